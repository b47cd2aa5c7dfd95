"""The models, one file per family; each builder's card is in `zoo_configs/`."""
