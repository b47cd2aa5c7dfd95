"""Prior distributions over the latent space: `Prior` says what one tells of itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from autoencoders import draws
from autoencoders.arguments import Declared, Derived, Number, Structure
from autoencoders.distributions import divergences
from autoencoders.distributions.posteriors import DiagonalGaussian
from autoencoders.serialization import PACKAGE
from autoencoders.types import Tensor


class Prior:
    """What a distribution over codes tells of itself: the base class of the priors.

    A subclass gives `sample`. The rest has an answer that says "none" here.

    Attributes:
        of_indices: Whether it is over the numbers of a codebook's vectors, `(n, *places)`.
    """

    of_indices = False

    @property
    def has_density(self) -> bool:
        """Whether there is a `log_prob`."""
        return type(self).log_prob is not Prior.log_prob

    def sample(self, shape: tuple[int, ...], seed: int | keras.random.SeedGenerator) -> Tensor:
        """Draw codes.

        Args:
            shape: `(n, *latent_shape)`; for one of indices `(n, *places)`.
            seed: Integer, or `keras.random.SeedGenerator`.

        Returns:
            Tensor of this shape.
        """
        raise NotImplementedError

    def log_prob(self, z: Tensor) -> Tensor:
        """Log-density in nats: `(n, *latent_shape)` to `(n,)`."""
        raise NotImplementedError(f"A {type(self).__name__} has no density.")

    def kl(self, mean: Tensor, log_variance: Tensor) -> Tensor | None:
        """KL from diagonal Gaussians to it, per row, in nats; None if it has no closed form."""

    def kl_per_dimension(self, mean: Tensor, log_variance: Tensor) -> Tensor | None:
        """The same, of every latent dimension; None if it does not fall into dimensions."""

    def connect(self, posterior: Callable[[Tensor], Any]) -> None:
        """Take the model's function from rows to posteriors, if it is made of them."""

    def components(self) -> DiagonalGaussian | None:
        """The `DiagonalGaussian` of which it is an even mixture, or None."""


class _Foreign(Prior):
    """An object with a `sample` of its own, which may have the rest as well."""

    def __init__(self, prior):
        for name in _ANSWERS:
            if hasattr(prior, name):
                setattr(self, name, getattr(prior, name))

    @property
    def has_density(self) -> bool:
        """Whether it has brought a `log_prob`."""
        return "log_prob" in vars(self)


_ANSWERS = (
    *("of_indices", "sample", "log_prob", "kl", "kl_per_dimension", "connect", "components"),
)


def described(prior: Any) -> Prior:
    """A prior that answers what `Prior` asks: itself, or an object that has `sample` alone."""
    return prior if isinstance(prior, Prior) else _Foreign(prior)


class Value(Prior):
    """A prior that is not a layer: arguments in, values out."""

    def get_config(self) -> dict[str, Any]:
        """Nothing to configure."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The inverse of `get_config`."""
        return cls(**config)


@keras.saving.register_keras_serializable(PACKAGE)
class StandardNormal(Value):
    """The normal distribution with zero mean and unit variance in every latent dimension."""

    def sample(self, shape: tuple[int, ...], seed: int | keras.random.SeedGenerator) -> Tensor:
        """Draw latent vectors: `shape`."""
        return draws.normal(shape, seed=seed)

    def log_prob(self, z: Tensor) -> Tensor:
        """Log-density in nats: `(n, latent_dim)` to `(n,)`."""
        zero = ops.zeros_like(z)
        return ops.sum(divergences.gaussian_log_density(z, zero, zero), axis=-1)

    def kl(self, mean: Tensor, log_variance: Tensor) -> Tensor | None:
        """KL from a diagonal Gaussian posterior to this prior, per row, in nats."""
        return divergences.gaussian_kl(mean, log_variance)

    def kl_per_dimension(self, mean: Tensor, log_variance: Tensor) -> Tensor | None:
        """The same, of every latent dimension."""
        return divergences.gaussian_kl_per_dimension(mean, log_variance)


@keras.saving.register_keras_serializable(PACKAGE)
class SwissRoll(Declared, Value):
    """A spiral in the plane, evenly covered along its length.

    The prior of Makhzani et al., "Adversarial Autoencoders" (2015, arXiv:1511.05644).

    Args:
        turns: How often it goes around the origin.
        radius: Distance of its outer end from the origin.
        stddev: Standard deviation of the Gaussian noise around it.
    """

    turns = Number()
    radius = Number()
    stddev = Number(at_least=0)

    def __init__(self, turns: float = 2.0, radius: float = 3.0, stddev: float = 0.05) -> None:
        self.turns = turns
        self.radius = radius
        self.stddev = stddev

    @Derived
    def _whole_angle(self):
        return 2.0 * math.pi * self.turns

    def sample(self, shape: tuple[int, ...], seed: int | keras.random.SeedGenerator) -> Tensor:
        """Draw latent vectors: `shape`, of two dimensions."""
        n, dim = shape
        check_dimensions(self, 2, dim)
        first, second = (seed, seed + 1) if isinstance(seed, (int, np.integer)) else (seed, seed)
        # The length of the spiral up to a point grows with the square of the point's distance.
        share = ops.sqrt(draws.uniform((n,), seed=first))
        angle = self._whole_angle * share
        spiral = ops.stack([ops.cos(angle), ops.sin(angle)], axis=1)
        noise = self.stddev * draws.normal((n, 2), seed=second)
        return self.radius * share[:, None] * spiral + noise


@keras.saving.register_keras_serializable(PACKAGE)
class VampPrior(Declared, Prior, keras.layers.Layer):
    """The mixture of a model's own posteriors at inputs that are learned with it.

    p(z) = 1/K Σ_k q(z|u_k): Tomczak & Welling, "VAE with a VampPrior" (2018, arXiv:1705.07120).

    Args:
        row_shape: Shape of one row of the input.
        num_pseudo_inputs: K.
        low, high: The range of the data, to which the pseudo-inputs are clipped.
    """

    row_shape = Structure()
    num_pseudo_inputs = Structure()
    low = Number()
    high = Number()

    def __init__(
        self,
        row_shape: Sequence[int],
        num_pseudo_inputs: int = 500,
        low: float = 0.0,
        high: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.row_shape = tuple(row_shape)
        self.num_pseudo_inputs = num_pseudo_inputs
        self.low = low
        self.high = high
        self._posterior: Any = None

    def build(self, _: Any = None) -> None:
        """Create the pseudo-inputs."""
        self.pseudo_inputs = self.add_weight(
            shape=(self.num_pseudo_inputs, *self.row_shape),
            initializer=keras.initializers.RandomUniform(self.low, self.high),
            name="pseudo_inputs",
        )

    def connect(self, posterior: Callable[[Tensor], Any]) -> None:
        """Take the model's function from rows to their `DiagonalGaussian` posterior."""
        self._posterior = posterior

    def components(self) -> DiagonalGaussian:
        """The components, a `DiagonalGaussian` of shape `(num_pseudo_inputs, latent_dim)`."""
        return self._posterior(ops.clip(self.pseudo_inputs, self.low, self.high))

    def log_prob(self, z: Tensor) -> Tensor:
        """Log-density in nats: `(n, latent_dim)` to `(n,)`."""
        mean, log_variance = self.components()
        logs = divergences.gaussian_log_density(z[:, None, :], mean, log_variance)
        return ops.logsumexp(ops.sum(logs, axis=-1), axis=1) - math.log(self.num_pseudo_inputs)

    def sample(self, shape: tuple[int, ...], seed: int | keras.random.SeedGenerator) -> Tensor:
        """Draw latent vectors: `shape`."""
        first, second = (seed, seed + 1) if isinstance(seed, (int, np.integer)) else (seed, seed)
        chosen = draws.randint((shape[0],), 0, self.num_pseudo_inputs, seed=first)
        drawn = DiagonalGaussian(*(ops.take(part, chosen, axis=0) for part in self.components()))
        return drawn.sample(second)


@keras.saving.register_keras_serializable(PACKAGE)
class UniformCodes(Declared, Value):
    """Codes of a codebook, each as probable, at every place apart.

    Args:
        num_codes: Vectors in the codebook.
    """

    of_indices = True
    num_codes = Structure()

    def __init__(self, num_codes: int) -> None:
        self.num_codes = num_codes

    def sample(self, shape: tuple[int, ...], seed: int | keras.random.SeedGenerator) -> Tensor:
        """Draw the numbers of codes: integers of this shape."""
        return draws.randint(shape, 0, self.num_codes, seed=seed)

    def log_prob(self, indices: Tensor) -> Tensor:
        """Log-probability in nats: `(n, *places)` to `(n,)`."""
        places = math.prod(indices.shape[1:])
        return ops.full((ops.shape(indices)[0],), -places * math.log(self.num_codes))


def check_dimensions(prior: Prior, expected: int, given: int) -> None:
    """Raise a ValueError unless a model has as many latent dimensions as its prior."""
    if given != expected:
        raise ValueError(
            f"{type(prior).__name__} is a distribution over {expected} latent dimensions; the "
            f"model has {given}."
        )
