"""FactorVAE: −ELBO + gamma · total correlation, estimated by a discriminator.

The discriminator is trained in a phase of its own (`discriminator_loss`). Kim & Mnih,
"Disentangling by factorising" (2018, arXiv:1802.05983). The paper's discriminator has six layers of
1,000 units, and Adam's rate is 0.0001 for both networks; the cards have smaller discriminators, and
0.001 for the model.
"""

from typing import Any

import keras
from keras import ops

from autoencoders import draws, layers, losses, networks
from autoencoders.arguments import Number
from autoencoders.autoencoder.discriminated import DiscriminatedAutoencoder, cross_entropy
from autoencoders.layers.encoding import Encoding
from autoencoders.networks import Architecture
from autoencoders.registry import register
from autoencoders.serialization import PACKAGE
from autoencoders.training.step import Batch
from autoencoders.types import Sizes, Tensor


@keras.saving.register_keras_serializable(PACKAGE)
class FactorVAE(DiscriminatedAutoencoder):
    """A variational autoencoder whose aggregate posterior is drawn towards its marginals' product.

    The discriminator tells codes from codes whose dimensions were shuffled over the batch, each
    apart; its logit is the log-ratio of the two densities, whose mean is the total correlation.
    The shuffled codes are other samples of the same batch (the paper takes a second batch).

    Args:
        encoder, decoder: As in `Autoencoder`.
        gamma: Weight of the total correlation.
        discriminator: Keras model from codes `(batch, latent_dim)` to logits `(batch, 1)`.
        kwargs: As in `Autoencoder`, with a `layers.GaussianBottleneck` among them.
    """

    gamma = Number(at_least=0)

    def __init__(
        self, encoder: keras.Layer, decoder: keras.Layer, *, gamma: float = 10.0, **kwargs: Any
    ) -> None:
        super().__init__(encoder, decoder, **kwargs)
        self.gamma = gamma

    @property
    def reconstruction_terms(self) -> tuple[str, ...]:
        """Those of a variational autoencoder, and the total correlation."""
        return (*super().reconstruction_terms, "total_correlation_loss")

    def objective(self, batch: Batch, encoding: Encoding, output: Tensor) -> dict[str, Tensor]:
        """−ELBO and gamma · the total correlation, by the discriminator's log-ratio for a code."""
        values = super().objective(batch, encoding, output)
        log_ratio = ops.squeeze(self.discriminator(encoding.latent), axis=-1)
        log_ratio = ops.cast(log_ratio, self.variable_dtype)
        return {**values, "total_correlation_loss": self.per_row(self.gamma * log_ratio)}

    def discriminator_losses(self, batch: Batch, training: bool) -> dict[str, Tensor]:
        """Tell codes (1) from shuffled ones (0): one loss per row."""
        codes, others = (self.codes(batch, training) for _ in range(2))
        noise = draws.uniform(ops.shape(others), seed=self.seed_generator)
        shuffled = ops.take_along_axis(others, ops.argsort(noise, axis=0), axis=0)
        joint = self.discriminator(codes, training=training)
        product = self.discriminator(shuffled, training=training)
        loss = 0.5 * (cross_entropy(1, joint) + cross_entropy(0, product))
        return {"discriminator_loss": loss}


@register
def factor_vae(
    network: Architecture,
    latent_dim: int = 10,
    *,
    gamma: float = 10.0,
    beta: float = 1.0,
    warm_up: int = 0,
    free_bits: float = 0.0,
    num_samples: int = 1,
    discriminator_units: Sizes = (256, 256, 256),
    likelihood: str | losses.Likelihood = "bernoulli",
    name: str = "factor_vae",
) -> FactorVAE:
    """FactorVAE.

    Args:
        network, latent_dim, beta, warm_up, free_bits, num_samples, likelihood, name: As in `vae`.
        gamma: Weight of the total correlation.
        discriminator_units: Units of the discriminator's hidden layers.
    """
    likelihood = losses.get(likelihood)
    parts = network.build(latent_dim, code=False, likelihood=likelihood)
    schedule = {"beta": beta, "warm_up": warm_up, "free_bits": free_bits}
    return FactorVAE(
        **parts,
        gamma=gamma,
        likelihood=likelihood,
        bottleneck=layers.GaussianBottleneck(
            latent_dim, **schedule, num_samples=num_samples, name="bottleneck"
        ),
        discriminator=networks.discriminator(
            latent_dim, discriminator_units, activation="leaky_relu"
        ),
        name=name,
    )
