"""The base class of the zoo's models, and what it is made of."""

from autoencoders.autoencoder.base import Autoencoder

__all__ = ["Autoencoder"]
