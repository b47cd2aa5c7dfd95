"""How good a model is, measured on data that it was not trained on."""

from autoencoders.metrics import features, generation
from autoencoders.metrics.code_use import (
    active_units,
    codebook_perplexity,
    kl_per_dimension,
)
from autoencoders.metrics.disentanglement import (
    dci,
    disentanglement_scores,
    factor_vae_score,
    mig,
    modularity,
    mutual_information,
    sap,
)
from autoencoders.metrics.likelihood import elbo, log_likelihood
from autoencoders.metrics.reconstruction import (
    pca_squared_error,
    pca_squared_error_at,
    squared_error,
)

__all__ = [
    "active_units",
    "codebook_perplexity",
    "dci",
    "disentanglement_scores",
    "elbo",
    "factor_vae_score",
    "features",
    "generation",
    "kl_per_dimension",
    "log_likelihood",
    "mig",
    "modularity",
    "mutual_information",
    "pca_squared_error",
    "pca_squared_error_at",
    "sap",
    "squared_error",
]
