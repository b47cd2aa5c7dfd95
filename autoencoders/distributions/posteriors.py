"""Posteriors q(z|x): what an encoder's features say of the code, one distribution for each row."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import keras
from keras import ops

from autoencoders import draws
from autoencoders.distributions import divergences
from autoencoders.types import Tensor

if TYPE_CHECKING:
    from autoencoders.distributions.priors import Prior


class DiagonalGaussian(NamedTuple):
    """Normal distributions with independent dimensions, N(mean, exp log_variance).

    Attributes:
        mean, log_variance: Tensors `(n, latent_dim)`.
    """

    mean: Tensor
    log_variance: Tensor

    def repeated(self, times: int) -> DiagonalGaussian:
        """Each row so many times, one after the other."""
        if times == 1:
            return self
        return DiagonalGaussian(*(ops.repeat(part, times, axis=0) for part in self))

    def sample(self, seed: int | keras.random.SeedGenerator) -> Tensor:
        """One draw of each row, by reparameterisation: `(n, latent_dim)`.

        Kingma & Welling (2013, arXiv:1312.6114): z = mean + σ · ε.

        Args:
            seed: `keras.random.SeedGenerator`, which moves on, or an integer.
        """
        noise = draws.normal(ops.shape(self.mean), dtype=self.mean.dtype, seed=seed)
        return self.mean + ops.exp(0.5 * self.log_variance) * noise

    def log_prob(self, z: Tensor) -> Tensor:
        """Log q(z|x) of one code for each row: `(n, latent_dim)` to `(n,)`."""
        return ops.sum(divergences.gaussian_log_density(z, *self), axis=-1)

    def log_ratio(self, prior: Prior, z: Tensor) -> Tensor:
        """Log q(z|x) − log p(z), whose mean is the KL, of one code for each row: `(n,)`."""
        return self.log_prob(z) - prior.log_prob(z)

    def kl(self, prior: Prior, z: Tensor, num_samples: int = 1) -> Tensor:
        """KL(q(z|x) ‖ p(z)) of each row, `(n,)`: in closed form, otherwise that of the draws.

        Args:
            prior: `priors.Prior`.
            z: What was drawn, `(n * num_samples, latent_dim)`, a row's one after the other.
            num_samples: How many draws of each row that is.
        """
        kl = prior.kl(*self)
        if kl is None:
            log_ratio = self.repeated(num_samples).log_ratio(prior, z)
            kl = ops.mean(ops.reshape(log_ratio, (-1, num_samples)), axis=-1)
        return kl


class Categorical(NamedTuple):
    """Categorical distributions, at every place of a row apart.

    Attributes:
        logits: Tensor `(n, *places, categories)`.
    """

    logits: Tensor

    def noisy(self, seed: int | keras.random.SeedGenerator) -> Tensor:
        """The logits with Gumbel noise: where they are largest is a draw (Gumbel 1954)."""
        uniform = draws.uniform(
            ops.shape(self.logits), minval=1e-20, dtype=self.logits.dtype, seed=seed
        )
        return self.logits - ops.log(-ops.log(uniform))

    def sample(self, seed: int | keras.random.SeedGenerator) -> Tensor:
        """The number of one drawn category at each place: `(n, *places)`."""
        return ops.argmax(self.noisy(seed), axis=-1)

    def relaxed_sample(
        self, seed: int | keras.random.SeedGenerator, temperature: Tensor | float
    ) -> Tensor:
        """A draw of the relaxed distribution, which has a gradient: `(n, *places, categories)`.

        Jang, Gu & Poole (2017, arXiv:1611.01144); Maddison, Mnih & Teh (2017, arXiv:1611.00712).
        """
        return ops.softmax(self.noisy(seed) / temperature, axis=-1)

    def kl_per_place(self) -> Tensor:
        """KL to the uniform distribution at each place, in nats: `(n, *places)`."""
        return divergences.categorical_kl(ops.log_softmax(self.logits))

    def kl(self) -> Tensor:
        """KL to uniform and independent categories, in nats: `(n,)`."""
        kl = self.kl_per_place()
        return ops.sum(ops.reshape(kl, (ops.shape(kl)[0], -1)), axis=-1)
