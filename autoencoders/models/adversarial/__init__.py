"""Adversarial autoencoders: a discriminator shapes the codes, or judges the reconstructions."""

from autoencoders.models.adversarial.codes import AdversarialAutoencoder, aae
from autoencoders.models.adversarial.semi_supervised import (
    SemiSupervisedAdversarialAutoencoder,
    semi_supervised_aae,
)
from autoencoders.models.adversarial.similarity import VAEGAN, vae_gan

__all__ = [
    "VAEGAN",
    "AdversarialAutoencoder",
    "SemiSupervisedAdversarialAutoencoder",
    "aae",
    "semi_supervised_aae",
    "vae_gan",
]
