"""A relaxed categorical code: the posterior is a probability for each code, at every place."""

from typing import Any

import keras
from keras import ops

from autoencoders.arguments import Derived, Number, Structure, Switch
from autoencoders.checks import not_negative, positive_integer, positive_integer_or_none
from autoencoders.distributions.posteriors import Categorical
from autoencoders.distributions.priors import UniformCodes
from autoencoders.layers.codebook import (
    count,
    perplexity,
    place_of_largest,
    straight_through,
)
from autoencoders.layers.encoding import Drawn
from autoencoders.layers.schedule import ScheduledBottleneck
from autoencoders.serialization import PACKAGE
from autoencoders.types import Shape, Tensor


@keras.saving.register_keras_serializable(PACKAGE)
class GumbelSoftmax(ScheduledBottleneck):
    """A categorical posterior at every place, sampled by relaxation; its KL to a uniform prior.

    Jang, Gu & Poole, "Categorical reparameterization with Gumbel-softmax" (2017, arXiv:1611.01144);
    Maddison, Mnih & Teh, "The concrete distribution" (2017, arXiv:1611.00712); as the discrete VAE
    of Ramesh et al., "Zero-shot text-to-image generation" (2021, arXiv:2102.12092). With logits l
    and Gumbel noise g, training draws softmax((l + g) / temperature); evaluation draws a category,
    so that what it measures is the ELBO of the discrete model. `kl_loss` is the categorical KL,
    summed over places, in nats.

    `perplexity` is logged beside the loss: exp of the entropy with which the batch's most probable
    codes use the codebook, from 1 to `num_codes`.

    Args:
        num_codes: Categories. Features of as many channels are the logits; others are mapped to
            them linearly, at each place alike.
        code_dim: Size of the vectors of a learned codebook, whose mean under the sample is the
            code. None: the sample itself is the code.
        beta: Weight of the KL term; 1 for the ELBO.
        warm_up: Training steps in which that weight grows linearly from 0. Evaluation has the whole
            weight.
        temperature: The relaxation's temperature; the lower, the nearer to one category.
        min_temperature: What the temperature falls to, exponentially, in `anneal_steps` training
            steps, and stays at.
        anneal_steps: See `min_temperature`; 0 for a temperature that stays as it is.
        straight_through: Whether the code in training is that of the sample's largest category,
            with the gradient of the relaxed sample.
        seed: Integer, for a fixed sequence of samples.
    """

    loss_terms = ("kl_loss",)
    measures = ("perplexity",)
    batch_statistics = ("perplexity",)
    posterior_family = Categorical
    num_codes = Structure(positive_integer)
    code_dim = Structure(positive_integer_or_none)
    beta = Number(at_least=0)
    warm_up = Switch(not_negative)
    temperature = Number(above=0)
    min_temperature = Number(above=0)
    anneal_steps = Switch(not_negative)
    straight_through = Switch()
    seed = Structure()

    def __init__(
        self,
        num_codes: int = 8192,
        code_dim: int | None = None,
        *,
        beta: float = 1.0,
        warm_up: int = 0,
        temperature: float = 1.0,
        min_temperature: float = 0.5,
        anneal_steps: int = 0,
        straight_through: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_codes = num_codes
        self.code_dim = code_dim
        self.beta = beta
        self.warm_up = warm_up
        self.temperature = temperature
        self.min_temperature = min_temperature
        self.anneal_steps = anneal_steps
        self.straight_through = straight_through
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.prior = UniformCodes(num_codes)
        self.logit = None
        self.codebook = None

    def check_arguments(self) -> None:
        """Raise a ValueError if the temperature would rise."""
        if self.anneal_steps and self.min_temperature > self.temperature:
            raise ValueError(
                f"The temperature falls: `min_temperature`, {self.min_temperature}, must not be "
                f"above `temperature`, {self.temperature}."
            )

    @property
    def schedule_steps(self) -> int:
        """How many steps the KL's weight grows or the temperature falls."""
        return max(self.warm_up, self.anneal_steps)

    @Derived
    def _fall(self):
        """The factor by which the temperature falls in all."""
        return self.min_temperature / self.temperature

    def build(self, features_shape: Shape) -> None:
        """Create the map to logits and the codebook, for features `(batch, ..., channels)`."""
        if features_shape[-1] != self.num_codes:
            self.logit = keras.layers.Dense(self.num_codes, dtype=self.dtype_policy, name="logit")
            self.logit.build(features_shape)
        if self.code_dim is not None:
            self.codebook = self.add_weight(
                shape=(self.num_codes, self.code_dim),
                initializer=keras.initializers.RandomNormal(stddev=1.0),
                autocast=False,
                name="codebook",
            )
        self.build_schedule()

    def call(self, features: Tensor, training: bool = False) -> Tensor:
        """The most probable codes: `(batch, ..., channels)` to `(batch, ..., code_dim)`.

        Without a codebook they are one-hot, `(batch, ..., num_codes)`. In training, for example of
        a classifier of the codes, they have the gradient of their mean.
        """
        logits = self.logits(features)
        code = self.lookup(place_of_largest(logits))
        return straight_through(code, self._mix(ops.softmax(logits))) if training else code

    def logits(self, features: Tensor) -> Tensor:
        """The logits of the posterior: `(batch, ..., num_codes)`, at full precision."""
        logits = features if self.logit is None else self.logit(features)
        return ops.cast(logits, self.variable_dtype)

    def posterior(self, features: Tensor) -> Categorical:
        """The `Categorical` q(z|x) at every place: logits `(batch, ..., num_codes)`."""
        return Categorical(self.logits(features))

    def indices(self, features: Tensor) -> Tensor:
        """Which codes are the most probable, integers `(batch, ...)`."""
        return place_of_largest(self.logits(features))

    def lookup(self, indices: Tensor) -> Tensor:
        """The codes of these numbers: `(batch, ...)` to `(batch, ..., code_dim)`."""
        if self.codebook is None:
            return ops.one_hot(indices, self.num_codes, dtype=self.variable_dtype)
        return ops.take(self.codebook, indices, axis=0)

    def draw(self, features: Tensor, training: bool) -> Drawn:
        """Relaxed samples of the codes, in evaluation samples; `kl_loss` and `perplexity`."""
        posterior = self.posterior(features)
        code = self._relaxed(posterior) if training else self._sample(posterior)
        kl = self.beta * self.progress(self.warm_up, training) * posterior.kl()
        counts = count(place_of_largest(posterior.logits), self.num_codes)
        return Drawn(code, {"kl_loss": kl, "perplexity": perplexity(counts)}, posterior)

    def _sample(self, posterior):
        return self.lookup(posterior.sample(self.seed_generator))

    def _relaxed(self, posterior):
        sample = posterior.relaxed_sample(self.seed_generator, self.current_temperature())
        if self.straight_through:
            category = place_of_largest(sample)
            hard = ops.one_hot(category, self.num_codes, dtype=sample.dtype)
            sample = straight_through(hard, sample)
        return self._mix(sample)

    def _mix(self, share):
        """The mean of the codes, weighted by their shares."""
        return share if self.codebook is None else ops.matmul(share, self.codebook)

    def current_temperature(self) -> Tensor:
        """The temperature of the next training step."""
        if not self.anneal_steps:
            return self.temperature
        return self.temperature * self._fall ** self.progress(self.anneal_steps, training=True)

    def compute_output_shape(self, features_shape: Shape) -> Shape:
        """`(batch, ..., code_dim)`, without a codebook `(batch, ..., num_codes)`."""
        return (*features_shape[:-1], self.code_dim or self.num_codes)
