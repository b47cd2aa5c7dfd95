"""Mixtures of normal distributions, given or fitted to codes."""

from __future__ import annotations

import math

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from autoencoders import draws
from autoencoders.arguments import Declared, Structure
from autoencoders.distributions.priors import Value, check_dimensions
from autoencoders.serialization import PACKAGE
from autoencoders.types import Tensor


@keras.saving.register_keras_serializable(PACKAGE)
class GaussianMixture(Declared, Value):
    """A mixture of normal distributions.

    Args:
        weights: Of the components, `(components,)`; they add up to 1.
        means: `(components, latent_dim)`.
        covariances: `(components, latent_dim, latent_dim)`; or `(components, latent_dim)`, of
            dimensions that are independent within a component.
    """

    weights = Structure(serialize=np.ndarray.tolist)
    means = Structure(serialize=np.ndarray.tolist)
    covariances = Structure(serialize=np.ndarray.tolist)

    def __init__(self, weights: ArrayLike, means: ArrayLike, covariances: ArrayLike) -> None:
        self.weights, self.means, self.covariances = (
            np.asarray(values, "float64") for values in (weights, means, covariances)
        )
        components, dim = self.means.shape
        shapes = [(components, dim, dim), (components, dim)]
        if self.weights.shape != (components,) or self.covariances.shape not in shapes:
            raise ValueError(
                f"{components} components of {dim} dimensions have weights ({components},) and "
                f"covariances {shapes[0]} or {shapes[1]}; got {self.weights.shape} and "
                f"{self.covariances.shape}."
            )
        if (self.weights < 0).any() or not np.isclose(self.weights.sum(), 1.0, atol=1e-3):
            raise ValueError(f"`weights` must be 0 or more and add up to 1, got {self.weights}.")
        self._diagonal = self.covariances.ndim == 2
        if self._diagonal:
            factors = np.sqrt(self.covariances)
            inverse, diagonal = 1.0 / factors, factors
        else:
            factors = np.linalg.cholesky(self.covariances)
            inverse, diagonal = np.linalg.inv(factors), np.diagonal(factors, axis1=1, axis2=2)
        log_determinants = np.log(diagonal).sum(axis=1)
        self._log_weights = np.log(np.maximum(self.weights, 1e-300))
        self._log_scale = -log_determinants - 0.5 * dim * math.log(2.0 * math.pi)
        self._factors, self._whitening = factors, inverse

    @classmethod
    def flower(
        cls, petals: int = 10, radius: float = 3.0, length: float = 1.0, width: float = 0.25
    ) -> GaussianMixture:
        """Ellipses in the plane that point away from the origin, evenly around it.

        The prior over two dimensions of Makhzani et al., "Adversarial Autoencoders" (2015,
        arXiv:1511.05644).

        Args:
            petals: Number of components.
            radius: Distance of their means from the origin.
            length, width: Standard deviations along the radius and across it.
        """
        angles = 2.0 * np.pi * np.arange(petals) / petals
        directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        across = directions[:, ::-1] * [-1.0, 1.0]
        covariances = length**2 * directions[:, :, None] * directions[:, None, :]
        covariances = covariances + width**2 * across[:, :, None] * across[:, None, :]
        return cls(np.full(petals, 1.0 / petals), radius * directions, covariances)

    @classmethod
    def fit(cls, codes: ArrayLike, components: int = 10, seed: int = 0) -> GaussianMixture:
        """The mixture of highest likelihood for codes `(n, *latent_shape)`, by scikit-learn.

        Covariances are full where there are ten codes for each of their rows, otherwise diagonal.
        """
        from sklearn import mixture

        codes = np.asarray(codes, "float64")
        codes = codes.reshape(len(codes), -1)
        components = min(components, len(codes))
        # Codes are standardised, so that `reg_covar`, which keeps covariances definite, is small
        # compared with them.
        centre, scale = codes.mean(axis=0), codes.std(axis=0)
        scale = np.maximum(scale, 1e-6 * max(scale.max(), 1e-6))
        full = len(codes) >= 10 * components * codes.shape[1]
        fitted = mixture.GaussianMixture(
            components,
            covariance_type="full" if full else "diag",
            reg_covar=1e-4,
            random_state=seed,
        ).fit((codes - centre) / scale)
        scales = scale[:, None] * scale if full else scale**2
        return cls(fitted.weights_, centre + scale * fitted.means_, scales * fitted.covariances_)

    def sample(self, shape: tuple[int, ...], seed: int | keras.random.SeedGenerator) -> Tensor:
        """Draw latent vectors: `shape`, whose rows are flat where the components' means are."""
        n, dim = shape[0], math.prod(shape[1:])
        check_dimensions(self, self.means.shape[1], dim)
        # Two seeds make the choice of a component and the place in it independent.
        first, second = (seed, seed + 1) if isinstance(seed, (int, np.integer)) else (seed, seed)
        uniform = draws.uniform((n, 1), seed=first)
        cumulative = ops.cast(np.cumsum(self.weights)[:-1], uniform.dtype)
        component = ops.sum(ops.cast(uniform > cumulative, "int32"), axis=1)
        noise = draws.normal((n, dim), seed=second)
        factors = ops.take(ops.cast(self._factors, noise.dtype), component, axis=0)
        if self._diagonal:
            scaled = factors * noise
        else:
            scaled = ops.squeeze(ops.matmul(factors, noise[..., None]), axis=-1)
        z = ops.take(ops.cast(self.means, noise.dtype), component, axis=0) + scaled
        return ops.reshape(z, shape)

    def log_prob(self, z: Tensor) -> Tensor:
        """Log-density in nats: `(n, *latent_shape)` to `(n,)`."""
        z = ops.reshape(z, (-1, self.means.shape[1]))
        means, whitening, log_scale, log_weights = (
            ops.cast(part, z.dtype)
            for part in (self.means, self._whitening, self._log_scale, self._log_weights)
        )
        centred = ops.expand_dims(z, 1) - means
        if self._diagonal:
            white = centred * whitening
        else:
            white = ops.einsum("kij,nkj->nki", whitening, centred)
        logs = log_scale - 0.5 * ops.sum(ops.square(white), axis=-1)
        return ops.logsumexp(logs + log_weights, axis=1)
