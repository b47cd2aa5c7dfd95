"""Variational autoencoders: a probabilistic encoder, a prior, and the evidence lower bound.

A paper that changes the objective has a file of its own; what differs in the weights of the terms
alone is a card of `vae`.
"""

from autoencoders.models.variational.conditional import ConditionalAutoencoder, cvae
from autoencoders.models.variational.factor import FactorVAE, factor_vae
from autoencoders.models.variational.importance import ImportanceWeightedAutoencoder, iwae
from autoencoders.models.variational.vae import vae
from autoencoders.models.variational.vamp import vamp_vae
from autoencoders.models.variational.wasserstein import wae

__all__ = [
    "ConditionalAutoencoder",
    "FactorVAE",
    "ImportanceWeightedAutoencoder",
    "cvae",
    "factor_vae",
    "iwae",
    "vae",
    "vamp_vae",
    "wae",
]
