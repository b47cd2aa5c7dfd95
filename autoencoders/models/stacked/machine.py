"""Restricted Boltzmann machines, trained by contrastive divergence.

Hinton, "Training products of experts by minimizing contrastive divergence" (Neural Computation 14,
2002); Gaussian units as in Hinton, "A practical guide to training restricted Boltzmann machines"
(UTML TR 2010-003), section 13.
"""

from typing import Any

import keras
from keras import ops

from autoencoders import draws
from autoencoders.arguments import Declared, Number, Structure, Switch, is_on
from autoencoders.checks import positive_integer
from autoencoders.registry import unknown
from autoencoders.serialization import PACKAGE
from autoencoders.training.expectation import Expectation
from autoencoders.training.phased_model import PhasedModel
from autoencoders.training.step import Batch, Phase
from autoencoders.types import Shape, Tensor

_BIAS_ENERGY = {
    "binary": lambda states, bias: -ops.sum(states * bias, axis=-1),
    "gaussian": lambda states, bias: 0.5 * ops.sum(ops.square(states - bias), axis=-1),
}
_MEAN = {"binary": ops.sigmoid, "gaussian": lambda drive: drive}


def _known_kind(_, kind):
    if kind not in _BIAS_ENERGY:
        raise ValueError(unknown("kind of units", kind, _BIAS_ENERGY))


@keras.saving.register_keras_serializable(PACKAGE)
class RestrictedBoltzmannMachine(Declared, PhasedModel):
    """A layer of visible and one of hidden units, with p(v, h) ∝ exp(−E(v, h)).

        E(v, h) = e(v, a) + e(h, b) − vᵀWh,   e(s, c) = −sᵀc    for binary units,
                                              e(s, c) = ½‖s−c‖² for Gaussian ones, of unit variance

    `fit` follows the gradient of contrastive divergence, CD-k. The loss is
    E(v₀, h₀) − E(vₖ, hₖ), with data and chain held constant, so that its gradient is the difference
    of the statistics, ⟨vₖhₖᵀ⟩ − ⟨v₀h₀ᵀ⟩ for W. It does not measure progress, and may be negative;
    `reconstruction_error`, logged beside it, tells more.

    Args:
        visible_units, hidden_units: How many of each.
        visible, hidden: Kind of these units: "binary" (visible ones take values in [0, 1],
            as probabilities) or "gaussian".
        cd_steps: Steps of Gibbs sampling, k.
        sample_visible: Whether the chain samples the visible units, as a model of the density
            wants. Otherwise it takes their means, which is less noisy (Hinton 2010, section 3).
        weight_decay: Weight of ½ΣW² in the loss.
        seed: Integer, for a fixed sequence of samples.
    """

    visible_units = Structure(positive_integer)
    hidden_units = Structure(positive_integer)
    visible = Structure(_known_kind)
    hidden = Structure(_known_kind)
    cd_steps = Switch(positive_integer)
    sample_visible = Switch()
    weight_decay = Number(at_least=0, off=(0,))
    seed = Structure()

    def __init__(
        self,
        visible_units: int,
        hidden_units: int,
        *,
        visible: str = "binary",
        hidden: str = "binary",
        cd_steps: int = 1,
        sample_visible: bool = False,
        weight_decay: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cd_steps = cd_steps
        self.visible_units = visible_units
        self.hidden_units = hidden_units
        self.visible = visible
        self.hidden = hidden
        self.sample_visible = sample_visible
        self.weight_decay = weight_decay
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape: Shape) -> None:
        """Create the weights, small at first, and the biases, zero."""
        small = keras.initializers.RandomNormal(stddev=0.01, seed=self.seed)
        self.kernel = self.add_weight((self.visible_units, self.hidden_units), small, name="kernel")
        self.visible_bias = self.add_weight((self.visible_units,), "zeros", name="visible_bias")
        self.hidden_bias = self.add_weight((self.hidden_units,), "zeros", name="hidden_bias")
        super().build(input_shape)

    @property
    def known_input_shape(self) -> Shape:
        """`(None, visible_units)`."""
        return (None, self.visible_units)

    @property
    def expectation(self) -> Expectation:
        """Rows of visible units, in [0, 1] where they are binary."""
        interval: dict[str, Any] = {"target_range": (0.0, 1.0)} if self.visible == "binary" else {}
        return Expectation((self.visible_units,), **interval)

    def energy(self, v: Tensor, h: Tensor) -> Tensor:
        """E(v, h): `(batch, visible_units)` and `(batch, hidden_units)` to `(batch,)`."""
        own = _BIAS_ENERGY[self.visible](v, self.visible_bias)
        interaction = ops.sum(ops.matmul(v, self.kernel) * h, axis=-1)
        return own + _BIAS_ENERGY[self.hidden](h, self.hidden_bias) - interaction

    def free_energy(self, v: Tensor) -> Tensor:
        """F(v) = −log Σ_h exp(−E(v, h)), up to a constant: high for what is not like the data.

        Args:
            v: `(batch, visible_units)`.

        Returns:
            `(batch,)`.
        """
        b, drive = self.hidden_bias, self._hidden_drive(v)
        binary = self.hidden == "binary"
        gain = ops.softplus(drive) if binary else 0.5 * (ops.square(drive) - ops.square(b))
        return _BIAS_ENERGY[self.visible](v, self.visible_bias) - ops.sum(gain, axis=-1)

    def hidden_mean(self, v: Tensor) -> Tensor:
        """E[h|v]: `(batch, visible_units)` to `(batch, hidden_units)`."""
        return _MEAN[self.hidden](self._hidden_drive(v))

    def visible_mean(self, h: Tensor) -> Tensor:
        """E[v|h]: `(batch, hidden_units)` to `(batch, visible_units)`."""
        drive = ops.matmul(h, ops.transpose(self.kernel)) + self.visible_bias
        return _MEAN[self.visible](drive)

    def _hidden_drive(self, v):
        return ops.matmul(v, self.kernel) + self.hidden_bias

    def call(self, v: Tensor, training: bool | None = None) -> Tensor:
        """The reconstruction of v from the hidden units' means."""
        if training:
            self.note_within([term for phase in self.phases for term in phase.terms])
        return self.visible_mean(self.hidden_mean(v))

    def gibbs_chain(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """The means of both layers' units after `cd_steps` of Gibbs sampling.

        Args:
            h: Means of the hidden units that the chain begins with, `(batch, hidden_units)`.

        Returns:
            vₖ, sampled where `sample_visible` says so, and E[h|vₖ].
        """
        v = None  # There is one step at least, which replaces it.
        for _ in range(self.cd_steps):
            v = self.visible_mean(self._sample(self.hidden, h))
            v = self._sample(self.visible, v) if self.sample_visible else v
            h = self.hidden_mean(v)
        return v, h

    def _sample(self, kind, mean):
        if kind == "binary":
            draw = draws.uniform(ops.shape(mean), dtype=mean.dtype, seed=self.seed_generator)
            return ops.cast(draw < mean, mean.dtype)
        noise = draws.normal(ops.shape(mean), dtype=mean.dtype, seed=self.seed_generator)
        return mean + noise

    @property
    def phases(self) -> list[Phase]:
        """One, contrastive divergence over all weights."""
        terms = ["contrastive_divergence_loss"]
        if is_on(self.weight_decay):
            terms.append("weight_decay_loss")
        return [
            Phase(
                "contrastive_divergence",
                self.contrastive_phase,
                tuple(terms),
                self.trainable_variables,
                measures=("reconstruction_error",),
            )
        ]

    def contrastive_phase(self, batch: Batch, training: bool) -> dict[str, Tensor]:
        """The energy of the data less that of the chain's end, per row; and the weight decay.

        Beside them the mean squared difference between the two.
        """
        h = self.hidden_mean(batch.x)
        states = (batch.x, h, *self.gibbs_chain(h))
        v0, h0, vk, hk = (ops.stop_gradient(state) for state in states)
        terms = {"contrastive_divergence_loss": self.energy(v0, h0) - self.energy(vk, hk)}
        if is_on(self.weight_decay):
            squares = ops.sum(ops.square(self.kernel))
            terms["weight_decay_loss"] = 0.5 * self.weight_decay * squares
        return {**terms, "reconstruction_error": ops.mean(ops.square(v0 - vk), axis=-1)}
