"""Gaussian bottlenecks: the code is a diagonal normal distribution, the posterior q(z|x)."""

from typing import Any

import keras
from keras import ops

from autoencoders.arguments import Number, Part, Structure, Switch, is_on
from autoencoders.checks import not_negative, positive_integer
from autoencoders.distributions import divergences
from autoencoders.distributions.posteriors import DiagonalGaussian
from autoencoders.distributions.priors import Prior, StandardNormal, described
from autoencoders.layers.encoding import Drawn
from autoencoders.layers.schedule import ScheduledBottleneck
from autoencoders.serialization import PACKAGE
from autoencoders.types import Shape, Tensor

# A latent unit is active if the variance of its posterior mean from row to row is above this.
_ACTIVE_VARIANCE = 0.01


@keras.saving.register_keras_serializable(PACKAGE)
class GaussianBottleneck(ScheduledBottleneck):
    """A diagonal Gaussian posterior, sampled by reparameterisation, with its KL to the prior.

    Kingma & Welling, "Auto-Encoding Variational Bayes" (2013, arXiv:1312.6114): two linear maps
    of the encoder's features give the mean and the log-variance, and z = mean + σ · ε.

    `active_units` is logged beside the loss: the number of latent dimensions whose posterior mean
    has a variance above 0.01 over the batch (Burda et al. 2015, arXiv:1509.00519).

    Args:
        latent_dim: Number of latent dimensions.
        beta: Weight of the KL term (Higgins et al., "beta-VAE", ICLR 2017); 1 for the ELBO.
        prior: The prior over z; a standard normal unless given. Without a closed form for its
            KL, as a mixture, the KL is that of the drawn samples.
        num_samples: Samples of z drawn for each row.
        warm_up: Training steps in which the weight of the KL grows linearly from 0 (Sønderby et
            al. 2016, arXiv:1602.02282). Evaluation has the whole weight.
        free_bits: The least nats that each latent dimension costs, as a mean over the batch: using
            fewer saves nothing (Kingma et al. 2016, arXiv:1606.04934, the paper's λ).
        capacity: In place of the KL, its distance from a capacity that grows linearly from 0 to
            this many nats in `capacity_steps` training steps: beta · |KL − C| (Burgess et al. 2018,
            arXiv:1804.03599), for each row. Evaluation has the whole capacity.
        capacity_steps: See `capacity`.
        seed: Integer, for a fixed sequence of samples.
    """

    loss_terms = ("kl_loss",)
    measures = ("active_units",)
    posterior_family = DiagonalGaussian
    latent_dim = Structure(positive_integer)
    beta = Number(at_least=0)
    prior = Part()
    num_samples = Switch(positive_integer)
    warm_up = Switch(not_negative)
    free_bits = Number(at_least=0, off=(0,))
    capacity = Number(at_least=0, off=(None,))
    capacity_steps = Switch(not_negative)
    seed = Structure()

    def __init__(
        self,
        latent_dim: int,
        *,
        beta: float = 1.0,
        prior: Prior | None = None,
        num_samples: int = 1,
        warm_up: int = 0,
        free_bits: float = 0.0,
        capacity: float | None = None,
        capacity_steps: int = 0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.latent_dim = latent_dim
        self.beta = beta
        self.prior = prior or StandardNormal()
        self.num_samples = num_samples
        self.warm_up = warm_up
        self.free_bits = free_bits
        self.capacity = capacity
        self.capacity_steps = capacity_steps
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.flatten = keras.layers.Flatten("channels_last", dtype=self.dtype_policy)
        self.mean = keras.layers.Dense(latent_dim, dtype=self.dtype_policy, name="mean")
        self.log_variance = keras.layers.Dense(
            latent_dim, dtype=self.dtype_policy, name="log_variance"
        )

    def check_arguments(self) -> None:
        """Raise a ValueError unless the arguments go together."""
        if self.capacity_steps and self.capacity is None:
            raise ValueError("`capacity_steps` are those in which a `capacity` grows: pass both.")
        if self.free_bits and self.capacity is not None:
            raise ValueError("Either `free_bits` or `capacity`: both say what KL costs nothing.")
        if self.free_bits and not self._falls_into_dimensions():
            raise ValueError("`free_bits` are of latent dimensions: for a standard normal prior.")

    def _falls_into_dimensions(self):
        one = ops.zeros((1, 1))
        return described(self.prior).kl_per_dimension(one, one) is not None

    @property
    def schedule_steps(self) -> int:
        """How many steps the KL's weight or its capacity grows."""
        return max(self.warm_up, self.capacity_steps)

    def build(self, features_shape: Shape) -> None:
        """Create the two linear maps for features of shape `(batch, ...)`."""
        flat_shape = self.flatten.compute_output_shape(features_shape)
        self.mean.build(flat_shape)
        self.log_variance.build(flat_shape)
        if isinstance(self.prior, keras.layers.Layer) and not self.prior.built:
            self.prior.build()
        self.build_schedule()

    @property
    def batch_statistics(self) -> tuple[str, ...]:
        """The active units, and a KL whose free bits are of the batch's mean."""
        return ("active_units", *self.loss_terms) if is_on(self.free_bits) else ("active_units",)

    def posterior(self, features: Tensor) -> DiagonalGaussian:
        """The `DiagonalGaussian` q(z|x), each part `(batch, latent_dim)`, at full precision."""
        features = self.flatten(features)
        maps = (self.mean, self.log_variance)
        return DiagonalGaussian(*(ops.cast(part(features), self.variable_dtype) for part in maps))

    def call(self, features: Tensor) -> Tensor:
        """The posterior mean: `(batch, ...)` to `(batch, latent_dim)`."""
        return self.posterior(features).mean

    def code_layer(self) -> keras.layers.Layer:
        """The flattening and the linear map that give the posterior mean."""
        return keras.Sequential([self.flatten, self.mean], name=self.name)

    def draw(self, features: Tensor, training: bool) -> Drawn:
        """Samples of z, `(batch * num_samples, latent_dim)`, and `kl_loss`."""
        posterior = self.posterior(features)
        z = posterior.repeated(self.num_samples).sample(self.seed_generator)
        terms = self.kl_terms(posterior, z, training)
        return Drawn(z, {**terms, "active_units": _active_units(posterior.mean)}, posterior)

    def kl_terms(self, posterior: DiagonalGaussian, z: Tensor, training: bool) -> dict[str, Tensor]:
        """The loss terms of a posterior and of what was drawn from it, by name."""
        prior = described(self.prior)
        if is_on(self.free_bits):
            per_dimension = ops.mean(prior.kl_per_dimension(*posterior), axis=0)
            kl = ops.sum(ops.maximum(per_dimension, self.free_bits))
        else:
            kl = posterior.kl(prior, z, self.num_samples)
        if self.capacity is not None:
            kl = ops.abs(kl - self.capacity * self.progress(self.capacity_steps, training))
        return {"kl_loss": self.weight(training) * kl}

    def weight(self, training: bool) -> Tensor | float:
        """The weight of the KL at this step: `beta`, or while it warms up a share of it."""
        return self.beta * self.progress(self.warm_up, training)

    def compute_output_shape(self, features_shape: Shape) -> Shape:
        """`(batch, latent_dim)`."""
        return (features_shape[0], self.latent_dim)


@keras.saving.register_keras_serializable(PACKAGE)
class TotalCorrelationBottleneck(GaussianBottleneck):
    """A Gaussian bottleneck whose KL is split in three parts, each with a weight of its own.

    Chen et al., "Isolating sources of disentanglement in variational autoencoders" (2018,
    arXiv:1802.04942): alpha · mutual information + beta · total correlation + gamma ·
    dimension-wise KL, estimated from the batch. All weights 1 give the ELBO.

    Args:
        latent_dim: Number of latent dimensions.
        alpha, beta, gamma: The weights.
        dataset_size: Rows in the training data; it shifts the logged values by constants, and no
            gradient.
        kwargs: As in `GaussianBottleneck`, but for `prior`, `free_bits` and `capacity`.
    """

    loss_terms = ("mutual_information_loss", "total_correlation_loss", "dimension_wise_kl_loss")
    alpha = Number(at_least=0)
    gamma = Number(at_least=0)
    dataset_size = Number(above=0)

    def __init__(
        self,
        latent_dim: int,
        *,
        alpha: float = 1.0,
        beta: float = 6.0,
        gamma: float = 1.0,
        dataset_size: float = 60_000,
        **kwargs: Any,
    ) -> None:
        super().__init__(latent_dim, beta=beta, **kwargs)
        self.alpha = alpha
        self.gamma = gamma
        self.dataset_size = dataset_size

    def check_arguments(self) -> None:
        """Raise a ValueError for what a KL that is split cannot have."""
        super().check_arguments()
        if self.free_bits or self.capacity is not None or type(self.prior) is not StandardNormal:
            raise ValueError(
                "A KL that is split for its total correlation takes no `free_bits`, no `capacity` "
                "and no prior but the standard normal."
            )

    @property
    def batch_statistics(self) -> tuple[str, ...]:
        """All of it is estimated from the batch."""
        return (*self.loss_terms, "active_units")

    def kl_terms(self, posterior: DiagonalGaussian, z: Tensor, training: bool) -> dict[str, Tensor]:
        """The three parts, by name."""
        drawn_from = posterior.repeated(self.num_samples)
        parts = divergences.decomposed_kl(z, *drawn_from, self.dataset_size)
        progress = self.progress(self.warm_up, training)
        weights = (self.alpha, self.beta, self.gamma)
        return {
            term: progress * weight * ops.mean(ops.reshape(part, (-1, self.num_samples)), axis=-1)
            for term, weight, part in zip(self.loss_terms, weights, parts, strict=True)
        }


def _active_units(mean):
    # A single row has no variance: the square of its distance from zero stands for it.
    around_zero = ops.mean(ops.square(mean), axis=0)
    variance = ops.where(ops.shape(mean)[0] > 1, ops.var(mean, axis=0), around_zero)
    return ops.sum(ops.cast(variance > _ACTIVE_VARIANCE, mean.dtype))
