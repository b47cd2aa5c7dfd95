"""The importance-weighted autoencoder: −log 1/k Σ_i p(x, z_i) / q(z_i|x).

Burda, Grosse & Salakhutdinov, "Importance weighted autoencoders" (2015, arXiv:1509.00519).
"""

import math
from typing import Any

import keras
from keras import ops

from autoencoders import layers, losses
from autoencoders.arguments import is_on
from autoencoders.autoencoder import Autoencoder
from autoencoders.distributions.priors import described
from autoencoders.layers.encoding import Encoding
from autoencoders.networks import Architecture
from autoencoders.registry import register
from autoencoders.serialization import PACKAGE
from autoencoders.training.step import Batch
from autoencoders.types import Tensor


@keras.saving.register_keras_serializable(PACKAGE)
class ImportanceWeightedAutoencoder(Autoencoder):
    """A variational autoencoder trained on the importance-weighted bound.

    With weights w_i = p(x, z_i) / q(z_i|x) the loss is −log 1/k Σ w_i. It is logged as the two
    terms of −ELBO, `reconstruction_loss` and `kl_loss`, both over the k samples, and
    `importance_loss`, by how much the bound is tighter: zero for k = 1, otherwise negative.

    Args:
        kwargs: As in `Autoencoder`; its bottleneck is a `layers.GaussianBottleneck` with
            `num_samples=k`, and it has a likelihood.
    """

    def __init__(
        self,
        encoder: keras.Layer,
        decoder: keras.Layer,
        *,
        bottleneck: layers.GaussianBottleneck,
        likelihood: losses.Likelihood,
        **kwargs: Any,
    ) -> None:
        super().__init__(encoder, decoder, bottleneck=bottleneck, likelihood=likelihood, **kwargs)
        self._check_bound()

    def _check_bound(self):
        if is_on(self.bottleneck.free_bits) or self.bottleneck.capacity is not None:
            raise ValueError("An importance-weighted bound has no `free_bits` and no `capacity`.")

    @property
    def reconstruction_terms(self) -> tuple[str, ...]:
        """Those of a variational autoencoder, and the gain of the importance weights."""
        return (*super().reconstruction_terms, "importance_loss")

    def objective(self, batch: Batch, encoding: Encoding, output: Tensor) -> dict[str, Tensor]:
        """The terms of the bound: one value per row."""
        self._check_bound()  # the bottleneck's arguments may have been set since
        prior, posterior = described(self.bottleneck.prior), encoding.posterior
        log_ratio = posterior.repeated(self.num_samples).log_ratio(prior, encoding.latent)
        log_ratio = self.bottleneck.weight(encoding.training) * log_ratio
        target, mask = self.repeated(batch.target), self.repeated(encoding.inputs.mask)
        target, output = (ops.cast(part, self.likelihood.dtype) for part in (target, output))
        error = self.likelihood.masked(target, output, mask)
        k = self.num_samples
        log_ratio = ops.cast(log_ratio, error.dtype)
        error, log_ratio = (ops.reshape(part, (-1, k)) for part in (error, log_ratio))
        bound = math.log(k) - ops.logsumexp(-error - log_ratio, axis=-1)
        error, log_ratio = ops.mean(error, axis=-1), ops.mean(log_ratio, axis=-1)
        return {
            **encoding.terms,
            "reconstruction_loss": error,
            "kl_loss": log_ratio,
            "importance_loss": bound - error - log_ratio,
        }


@register
def iwae(
    network: Architecture,
    latent_dim: int = 50,
    *,
    num_samples: int = 5,
    beta: float = 1.0,
    warm_up: int = 0,
    likelihood: str | losses.Likelihood = "bernoulli",
    name: str = "iwae",
) -> ImportanceWeightedAutoencoder:
    """Importance-weighted autoencoder.

    Args:
        network, latent_dim, likelihood, name: As in `vae`.
        num_samples: The bound's k: samples of z drawn for each row.
        beta: Weight of log q(z|x) / p(z) in the importance weights; 1 for the bound.
        warm_up: Training steps in which that weight grows linearly from 0.
    """
    likelihood = losses.get(likelihood)
    parts = network.build(latent_dim, code=False, likelihood=likelihood)
    bottleneck = layers.GaussianBottleneck(
        latent_dim, beta=beta, warm_up=warm_up, num_samples=num_samples, name="bottleneck"
    )
    return ImportanceWeightedAutoencoder(
        **parts, bottleneck=bottleneck, likelihood=likelihood, name=name
    )
