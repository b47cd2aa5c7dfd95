"""How good a model is, measured on data that it was not trained on."""

from autoencoders.metrics.disentanglement import (
    dci,
    disentanglement_scores,
    factor_vae_score,
    mig,
    modularity,
    mutual_information,
    sap,
)
from autoencoders.metrics.reconstruction import (
    pca_squared_error,
    pca_squared_error_at,
    squared_error,
)

__all__ = [
    "dci",
    "disentanglement_scores",
    "factor_vae_score",
    "mig",
    "modularity",
    "mutual_information",
    "pca_squared_error",
    "pca_squared_error_at",
    "sap",
    "squared_error",
]
