"""The adversarial autoencoder: a discriminator tells codes from draws of the prior.

Makhzani et al., "Adversarial Autoencoders" (2015, arXiv:1511.05644), with the deterministic
encoder. Every step has the paper's two parts: a reconstruction phase, then a regularisation phase
in which the discriminator learns to tell draws from the prior from codes, and then the encoder, as
its generator, learns to fool it. Losses, each with an optimizer of its own:

- `reconstruction_loss`: mean squared error, for encoder and decoder;
- `discriminator_loss`: −½ E_p(z)[log D(z)] − ½ E_x[log(1 − D(E(x)))], for the discriminator;
- `generator_loss`: −E_x[log D(E(x))], for the encoder (the non-saturating form).

The normal prior has a deviation of 1, where replications of the paper's appendix A.1 have 5.
"""

from typing import Any

import keras
from keras import ops

from autoencoders import networks, priors
from autoencoders.arguments import Part
from autoencoders.autoencoder.discriminated import DiscriminatedAutoencoder, cross_entropy
from autoencoders.networks import Architecture
from autoencoders.registry import register
from autoencoders.serialization import PACKAGE
from autoencoders.training.step import Batch, Phase
from autoencoders.types import Activation, Sizes, Tensor


@keras.saving.register_keras_serializable(PACKAGE)
class AdversarialAutoencoder(DiscriminatedAutoencoder):
    """An autoencoder with a discriminator on its codes.

    A step runs the encoder three times, once in each phase, as the paper's procedure does; batch
    normalisation in it updates its averages as often.

    Args:
        encoder, decoder: As in `Autoencoder`.
        discriminator: Keras model from codes `(batch, latent_dim)` to logits `(batch, 1)`.
        prior: The distribution that the codes are to follow; a standard normal unless given.
        kwargs: As in `DiscriminatedAutoencoder`.
    """

    _prior = Part(argument="prior")

    def __init__(
        self,
        encoder: keras.Layer,
        decoder: keras.Layer,
        *,
        discriminator: keras.Layer,
        prior: priors.Prior | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(encoder, decoder, discriminator=discriminator, **kwargs)
        if prior is not None and not hasattr(prior, "sample"):
            raise TypeError(f"`prior` must have a `sample` method, got {prior!r}.")
        self._prior = prior or priors.StandardNormal()

    @property
    def training_prior(self) -> priors.Prior:
        """The distribution that the codes are trained to follow."""
        return self._prior

    def run_discriminators(self, code: Tensor, reconstruction: Tensor, training: bool) -> None:
        """Call the discriminator once, and the prior, which has to have the code's dimensions."""
        super().run_discriminators(code, reconstruction, training)
        self.training_prior.sample((1, code.shape[-1]), seed=0)

    @property
    def phases(self) -> list[Phase]:
        """Reconstruction, then discriminator and generator."""
        encoder = self.encoder.trainable_variables
        if self.bottleneck is not None:
            encoder = encoder + self.bottleneck.trainable_variables
        generator = Phase("generator", self.generator_phase, ("generator_loss",), encoder)
        return [*super().phases, generator]

    def discriminator_losses(self, batch: Batch, training: bool) -> dict[str, Tensor]:
        """Tell draws from the prior (1) from codes (0): one loss per row."""
        codes = self.codes(batch, training)
        drawn = self.training_prior.sample(ops.shape(codes), seed=self.seed_generator)
        real = self.discriminator(drawn, training=training)
        fake = self.discriminator(codes, training=training)
        return {"discriminator_loss": 0.5 * (cross_entropy(1, real) + cross_entropy(0, fake))}

    def generator_phase(self, batch: Batch, training: bool) -> dict[str, Tensor]:
        """Make the discriminator take codes for draws from the prior: one loss per row."""
        fake = self.discriminator(self.codes(batch, training), training=training)
        return {"generator_loss": cross_entropy(1, fake)}


@register
def aae(
    network: Architecture,
    latent_dim: int = 8,
    *,
    discriminator_units: Sizes = (1000, 1000),
    prior: "str | priors.Prior" = "normal",
    output: Activation = "linear",
    name: str = "aae",
) -> AdversarialAutoencoder:
    """Adversarial autoencoder.

    Args:
        network, latent_dim, output, name: As in `ae`.
        discriminator_units: Units of the discriminator's hidden layers.
        prior: The distribution that the codes are to follow: "normal"; with two code units
            "mixture" or "swiss_roll"; or any object with a method `sample(shape, seed)`.
    """
    return AdversarialAutoencoder(
        **network.build(latent_dim, output=output),
        discriminator=networks.discriminator(latent_dim, discriminator_units),
        prior=priors.get(prior),
        name=name,
    )
