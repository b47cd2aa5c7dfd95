"""Divergence: a loss or weights that became NaN or infinite are found, told and undone."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from autoencoders.training import state
from autoencoders.training.step import terms_of
from autoencoders.types import Data

if TYPE_CHECKING:
    from autoencoders.training.phased_model import PhasedModel

# A look at all weights, and the copy that is kept of them, cost less than one step in a hundred.
_STEPS_BETWEEN_LOOKS = 200

# Larger values than these make the first steps of training long ones.
_LARGE_VALUES = 100.0
_TIMES_THE_DEFAULT_RATE = 10.0


class DivergenceGuard(keras.callbacks.Callback):
    """Stops training that has diverged, and gives back the last state that was finite.

    `fit` has one by itself; pass one to choose otherwise. It looks at the loss and its terms after
    every epoch, and at the weights after 200 steps or more and when training ends. What it gives
    back is the state at the last such look: weights, codebooks, moving averages, optimizers and the
    count of epochs. It holds them in memory once more.

    `fit` then warns, with the likely cause; and `diverged` of the `History` that it returns is the
    epoch, as `History.epoch` counts them, otherwise None.

    In half precision, updates that a `LossScaleOptimizer` skips are not divergence.

    Args:
        stop: False to train on, and only warn.
        restore: False to leave the model as it is, and hold no second state.

    Attributes:
        diverged: The epoch in which training diverged, counted from 0; None if it did not.
        message: What there is to say then.
    """

    def __init__(self, *, stop: bool = True, restore: bool = True) -> None:
        super().__init__()
        self.stop = stop
        self.restore = restore
        self.diverged: int | None = None
        self.message = ""
        self._rows: Data = None

    def begin(self, rows: Data) -> None:
        """Take note of the arrays that `fit` was given (None for a pipeline), for the cause."""
        self.diverged, self.message = None, ""
        self._rows = rows
        self._kept: state.Values = []
        self._kept_after: int | None = None
        self._epoch = -1  # None has begun.
        self._doubtful = False

    def release(self) -> None:
        """Hold no data and no state any longer."""
        self._rows, self._kept, self._variables, self._weights = None, [], [], []

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Keep the state that training begins with; a callback may have loaded it."""
        if self._epoch < 0:
            self._terms = ["loss", *terms_of(self.model)]
            weights = self.model.weights
            self._variables = [*weights, *state.beside_weights(self.model)]
            self._keep(None)
            # What is not trained may be infinite for a reason, as a mask is.
            self._weights = [
                weight
                for weight in weights
                if weight.trainable or _are_finite([state.read(weight)])
            ]
        self._epoch = epoch

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Look at the loss, and now and then at the weights.

        Raises:
            ValueError: they were not finite when training began.
        """
        if self.diverged is not None:
            return
        logs = logs or {}
        broken = [term for term in self._terms if not np.isfinite(logs.get(term, 0.0)).all()]
        if broken:
            # The scale of a loss falls until its gradients are finite again.
            passing = _scales_its_loss(self.model) and not self._doubtful
            self._doubtful = True
            if not passing or not self._finite():
                self._tell(f"`{broken[-1]}` became {logs[broken[-1]]}")
            return
        self._doubtful = False
        if self._steps() - self._looked_at >= _STEPS_BETWEEN_LOOKS:
            if self._finite():
                self._keep(epoch)
            else:
                self._tell("weights became NaN or infinite")

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Look at the weights that training ends with."""
        if self.diverged is not None and self.stop:
            # With `use_ema` Keras has just put averages in the place of the weights.
            state.put_back(self._kept)
        if self._epoch < 0 or self.diverged is not None or self._steps() == self._looked_at:
            return
        if not self._finite():
            self._tell("weights became NaN or infinite")

    def _steps(self):
        return int(state.read(self.model.optimizer.iterations))

    def _keep(self, epoch):
        """Keep the state of after this epoch."""
        self._looked_at, self._kept_after = self._steps(), epoch
        if self.restore:
            self._kept = state.values(self._variables)

    def _finite(self):
        return _are_finite(value for _, value in state.values(self._weights))

    def _tell(self, what):
        watched = {id(weight) for weight in self._weights}
        kept = (value for variable, value in self._kept if id(variable) in watched)
        if self._kept_after is None and not _are_finite(kept):
            raise ValueError(
                f"The weights of {self.model.name!r} were NaN or infinite before training: "
                "load a file that is whole, or build the model again."
            )
        self.diverged = self._epoch
        cause = " ".join(likely_causes(self.model, self._rows))
        after = (
            "before `fit`" if self._kept_after is None else f"after epoch {self._kept_after + 1}"
        )
        now = f" The model is as it was {after}." if self.restore else ""
        stopped = " Training was stopped." if self.stop else ""
        self.message = (
            f"Training of {self.model.name!r} diverged in epoch {self._epoch + 1}: {what}. "
            f"{cause}{stopped}{now}"
        )
        state.put_back(self._kept)
        if self.stop:
            self.model.stop_training = True


def guard_among(callbacks: Any) -> DivergenceGuard | None:
    """The guard that the user has passed among the callbacks, or None."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = callbacks.callbacks
    flat = keras.tree.flatten(callbacks or [])
    return next((one for one in flat if isinstance(one, DivergenceGuard)), None)


def likely_causes(model: PhasedModel, rows: Data) -> list[str]:
    """Sentences on what can be seen of why a model diverges, and on what to do.

    Args:
        model: The model.
        rows: The arrays that it was trained on, or None.
    """
    causes = [*_of_scale(rows), *_of_rates(model)]
    if model.compute_dtype == "float16":
        causes.append(
            "It computes in float16, which ends at 65,504: use `mixed_bfloat16` or float32."
        )
    return causes or ["Lower the learning rate, or clip the gradients (`clipnorm=1.0`)."]


def _of_scale(rows):
    if not isinstance(rows, np.ndarray) or not np.issubdtype(rows.dtype, np.floating):
        return
    sizes = np.abs(rows).max(axis=0)
    largest = sizes.max()
    if largest > _LARGE_VALUES:
        place = f" in column {sizes.argmax()}" if rows.ndim == 2 else ""
        yield (
            f"The values of `x` reach {largest:,.0f}{place}: scale them first, to mean 0 and "
            "standard deviation 1, or to [0, 1]."
        )


def _of_rates(model):
    for phase, optimizer in model.phase_optimizers.items():
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            optimizer = optimizer.inner_optimizer
        rate = float(keras.ops.convert_to_tensor(optimizer.learning_rate))
        parameter = inspect.signature(type(optimizer).__init__).parameters.get("learning_rate")
        usual = None if parameter is None else parameter.default
        if isinstance(usual, float) and rate > _TIMES_THE_DEFAULT_RATE * usual:
            whose = f" of phase {phase!r}" if len(model.phase_optimizers) > 1 else ""
            yield (
                f"The learning rate{whose}, {rate:g}, is {rate / usual:,.0f} times the default of "
                f"{type(optimizer).__name__}: lower it."
            )


def _scales_its_loss(model):
    optimizers = model.phase_optimizers.values()
    return any(isinstance(one, keras.optimizers.LossScaleOptimizer) for one in optimizers)


def _are_finite(values):
    """Whether all values are: the smallest and the largest of each show it."""
    for value in values:
        value = value.numpy()
        if np.issubdtype(value.dtype, np.integer) or value.size == 0:
            continue
        if not (np.isfinite(value.min()) and np.isfinite(value.max())):
            return False
    return True
