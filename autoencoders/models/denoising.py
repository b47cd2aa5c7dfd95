"""Denoising autoencoders: reconstruct the clean input from a corrupted one.

Loss: the mean squared error between the *clean* input and the reconstruction of its corrupted
version, as Keras scales it. Vincent et al., "Extracting and composing robust features with
denoising autoencoders" (ICML 2008) and "Stacked denoising autoencoders" (JMLR 11, 2010).
"""

import keras

from autoencoders.autoencoder import Autoencoder
from autoencoders.layers import corruption as corruptions
from autoencoders.networks import Architecture
from autoencoders.registry import register
from autoencoders.types import Activation


@register
def denoising_ae(
    network: Architecture,
    latent_dim: int = 64,
    *,
    corruption: str | keras.Layer | None = "gaussian",
    noise: float = 0.3,
    output: Activation = "linear",
    name: str = "denoising_ae",
) -> Autoencoder:
    """Denoising autoencoder.

    Args:
        network, latent_dim, output, name: As in `ae`.
        corruption: "gaussian", "masking" or "salt_and_pepper", or a layer of your own.
        noise: Level of the named corruption: the standard deviation of Gaussian noise in the
            units of the data, or the share of inputs that the others destroy.
    """
    parts = network.build(latent_dim, output=output)
    return Autoencoder(**parts, corruption=corruptions.get(corruption, noise), name=name)
