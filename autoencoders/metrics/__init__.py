"""How good a model is, measured on data that it was not trained on."""

from autoencoders.metrics.likelihood import (
    active_units,
    codebook_perplexity,
    elbo,
    kl_per_dimension,
    log_likelihood,
)
from autoencoders.metrics.reconstruction import pca_squared_error, squared_error

__all__ = [
    "active_units",
    "codebook_perplexity",
    "elbo",
    "kl_per_dimension",
    "log_likelihood",
    "pca_squared_error",
    "squared_error",
]
