"""The zoo: models by name, their cards, their weights. Listing models imports no Keras."""

from autoencoders.zoo.building import get, info, list_models, list_weights, load
from autoencoders.zoo.optimizers import compile_arguments, pretraining_arguments

__all__ = [
    "compile_arguments",
    "get",
    "info",
    "list_models",
    "list_weights",
    "load",
    "pretraining_arguments",
]
