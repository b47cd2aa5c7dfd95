"""Penalties: terms added to the reconstruction loss that depend on the latent code."""

import math
from types import FunctionType
from typing import Any

import keras
from keras import ops

from autoencoders import draws
from autoencoders.arguments import Declared, Number, Part, Structure, Switch
from autoencoders.checks import one_of
from autoencoders.distributions import divergences
from autoencoders.distributions.posteriors import DiagonalGaussian
from autoencoders.distributions.priors import Prior, StandardNormal
from autoencoders.layers.encoding import Encoding
from autoencoders.networks.dense import kernel_of
from autoencoders.registry import unknown
from autoencoders.serialization import PACKAGE
from autoencoders.types import Tensor


class Penalty(keras.layers.Layer):
    """Base class of the penalties.

    A subclass gives `call(latent)`, or, where it needs more than the code, `of(encoding)`: one
    value per row, shape `(batch,)`, or a scalar for the batch. It is logged under `loss_term` and
    added to the loss. `batch_statistic` says that the value is estimated from the batch as a
    whole, so that it varies with the batch size; `prior` is the distribution towards which it draws
    the codes, or None.
    """

    loss_term = "penalty_loss"
    batch_statistic = False
    prior = None

    def of(self, encoding: Encoding) -> Tensor:
        """The penalty of a `layers.Encoding`."""
        return self(encoding.latent)


@keras.saving.register_keras_serializable(PACKAGE)
class ActivityPenalty(Declared, Penalty):
    """L1 and L2 norms of the latent code: `l1 * Σ|z| + l2 * Σz²`, per row.

    Args:
        l1, l2: Weights of the two norms.
    """

    loss_term = "activity_loss"
    l1 = Number(at_least=0)
    l2 = Number(at_least=0)

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.l1 = l1
        self.l2 = l2

    def call(self, latent: Tensor) -> Tensor:
        """The penalty of each row: `(batch, ...)` to `(batch,)`."""
        z = _flat(latent, self.variable_dtype)
        return self.l1 * ops.sum(ops.abs(z), axis=-1) + self.l2 * ops.sum(ops.square(z), axis=-1)


@keras.saving.register_keras_serializable(PACKAGE)
class SparsityPenalty(Declared, Penalty):
    """KL divergence of each unit's mean activation in the batch from a small target.

    `weight * Σ_j KL(ρ ‖ ρ̂_j)`, for code units between 0 and 1: Ng, "Sparse autoencoder" (CS294A
    lecture notes, 2011).

    Args:
        target: The mean activation ρ, between 0 and 1.
        weight: Weight of the penalty, the notes' β.
    """

    loss_term = "sparsity_loss"
    batch_statistic = True
    target = Number(above=0, below=1)
    weight = Number(at_least=0)

    def __init__(self, target: float = 0.05, weight: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target = target
        self.weight = weight

    def call(self, latent: Tensor) -> Tensor:
        """The penalty of a batch of codes, `(batch, ...)`: a scalar."""
        activation = ops.mean(_flat(latent, self.variable_dtype), axis=0)
        activation = ops.clip(activation, 1e-6, 1.0 - 1e-6)
        return self.weight * ops.sum(divergences.bernoulli_kl(self.target, activation))


# The derivatives of activations, as functions of what the activations put out.
_DERIVATIVES = {
    "linear": ops.ones_like,
    "relu": lambda h: ops.cast(h > 0, h.dtype),
    "sigmoid": lambda h: h * (1.0 - h),
    "tanh": lambda h: 1.0 - ops.square(h),
}


@keras.saving.register_keras_serializable(PACKAGE)
class ContractivePenalty(Declared, Penalty):
    """`weight * ‖J‖²`, the squared Frobenius norm of the Jacobian of the code at each input.

    Rifai, Vincent, Muller, Glorot & Bengio, "Contractive auto-encoders" (ICML 2011). For an encoder
    of one dense layer, in a model with neither bottleneck nor corruption, it is computed by their
    closed form: Σ_j h'_j² Σ_i W_ij². In all other models it is estimated without bias by ‖vᵀJ‖²,
    with J at the clean input and random signs v, whose covariance is the identity (Hutchinson
    1990).

    Args:
        weight: Weight of the penalty, the paper's λ.
        seed: Integer, for a fixed sequence of v.
    """

    loss_term = "contractive_loss"
    weight = Number(at_least=0)
    seed = Structure()

    def __init__(self, weight: float = 1.0, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.weight = weight
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def of(self, encoding: Encoding) -> Tensor:
        """The penalty of each row, `(batch,)`."""
        layer = _single_dense_layer(encoding.encoder)
        if layer is not None and len(encoding.latent.shape) == 2:
            h = ops.cast(encoding.latent, self.variable_dtype)
            slope = _DERIVATIVES[layer.activation.__name__](h)
            norms = ops.sum(ops.square(ops.cast(kernel_of(layer), self.variable_dtype)), axis=0)
            return self.weight * ops.sum(ops.square(slope) * norms, axis=-1)
        latent = encoding.latent
        half = draws.uniform(ops.shape(latent), -1.0, 1.0, seed=self.seed_generator)
        product = encoding.vector_jacobian(ops.sign(half))
        return self.weight * ops.sum(ops.square(_flat(product, self.variable_dtype)), axis=-1)


def _single_dense_layer(encoder):
    """The dense layer that, but for reshaping, is all of the encoder; or None."""
    shaping = (keras.layers.InputLayer, keras.layers.Flatten, keras.layers.Reshape)
    if not isinstance(encoder, keras.Model):
        return None
    layers = [layer for layer in encoder.layers if not isinstance(layer, shaping)]
    if len(layers) != 1 or type(layers[0]) is not keras.layers.Dense:
        return None
    activation = layers[0].activation  # A layer may stand in an activation's place.
    known = isinstance(activation, FunctionType) and activation.__name__ in _DERIVATIVES
    return layers[0] if known else None


_KERNELS = {
    "inverse_multiquadratic": divergences.inverse_multiquadratic,
    "radial_basis": divergences.radial_basis,
}


def _known_kernel(name, kernel):
    if kernel not in _KERNELS:
        raise ValueError(unknown(name, kernel, _KERNELS))


@keras.saving.register_keras_serializable(PACKAGE)
class MMDPenalty(Declared, Penalty):
    """`weight` times the squared maximum mean discrepancy between the batch's codes and the prior.

    Zhao, Song & Ermon, "InfoVAE" (2017, arXiv:1706.02262) and Tolstikhin et al., "Wasserstein
    auto-encoders" (2018, arXiv:1711.01558), by the unbiased estimate, which may be negative.

    Args:
        weight: Weight of the penalty.
        prior: The distribution that the codes are to follow; a standard normal unless given.
        kernel: "inverse_multiquadratic" (the Wasserstein autoencoder's) or "radial_basis" (the
            InfoVAE's).
        seed: Integer, for a fixed sequence of draws from the prior.
    """

    loss_term = "mmd_loss"
    batch_statistic = True
    weight = Number(at_least=0)
    prior = Part()
    kernel = Switch(_known_kernel)
    seed = Structure()

    def __init__(
        self,
        weight: float = 1.0,
        prior: Prior | None = None,
        kernel: str = "inverse_multiquadratic",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.weight = weight
        self.prior = prior or StandardNormal()
        self.kernel = kernel
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, latent: Tensor) -> Tensor:
        """The penalty of a batch of codes, `(batch, latent_dim)`: a scalar."""
        codes = _flat(latent, self.variable_dtype)
        drawn = self.prior.sample(ops.shape(codes), seed=self.seed_generator)
        drawn = ops.cast(drawn, codes.dtype)
        return self.weight * divergences.squared_mmd(codes, drawn, _KERNELS[self.kernel])


@keras.saving.register_keras_serializable(PACKAGE)
class DIPPenalty(Declared, Penalty):
    """The distance of the codes' covariance from the identity: disentangled inferred prior.

    `off_diagonal * Σ_{i≠j} C_ij² + diagonal * Σ_i (C_ii − 1)²`: Kumar, Sattigeri & Balakrishnan,
    "Variational inference of disentangled latent concepts from unlabeled observations" (2018,
    arXiv:1711.00848), for variational models.

    Args:
        off_diagonal, diagonal: The paper's λ_od and λ_d.
        kind: 1 for C, the covariance of the posteriors' means (DIP-VAE-I); 2 for the covariance of
            z, to which the mean of the posteriors' variances is added (DIP-VAE-II).
    """

    loss_term = "dip_loss"
    batch_statistic = True
    off_diagonal = Number(at_least=0)
    diagonal = Number(at_least=0)
    kind = Switch(one_of(1, 2))

    def __init__(
        self, off_diagonal: float = 10.0, diagonal: float = 100.0, kind: int = 1, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.off_diagonal = off_diagonal
        self.diagonal = diagonal
        self.kind = kind

    def of(self, encoding: Encoding) -> Tensor:
        """The penalty of a batch: a scalar.

        Raises:
            ValueError: the model has no posterior.
        """
        if not isinstance(encoding.posterior, DiagonalGaussian):
            raise ValueError("DIPPenalty is for variational models: it needs a posterior.")
        mean, log_variance = encoding.posterior
        centred = mean - ops.mean(mean, axis=0)
        rows = ops.cast(ops.shape(mean)[0], mean.dtype)
        covariance = ops.divide_no_nan(ops.matmul(ops.transpose(centred), centred), rows)
        variance = ops.diagonal(covariance)
        off_diagonal = ops.sum(ops.square(covariance)) - ops.sum(ops.square(variance))
        if self.kind == 2:
            variance = variance + ops.mean(ops.exp(log_variance), axis=0)
        distance = ops.sum(ops.square(variance - 1.0))
        return self.off_diagonal * off_diagonal + self.diagonal * distance


def _flat(codes, dtype):
    return ops.reshape(ops.cast(codes, dtype), (-1, math.prod(codes.shape[1:])))
