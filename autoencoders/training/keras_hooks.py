"""Where Keras's loops are made to launch programs of many steps.

Keras's `fit`, `evaluate` and `predict` iterate over batches and call a function for each. Over
arrays they are given the numbers of the steps to iterate over, in place of the batches, and a
function that takes as many steps from the feed as the launch allows (`fused.launches`). So Keras's
progress bar, callbacks and history go on around programs as they do with its own
`steps_per_execution`. For pipelines, and where `compile` asks for Keras's own loop, that function
calls the one that Keras would have made.

The functions are methods of `PhasedModel`, whose class body names them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf
from keras.src.backend.common import global_state

from autoencoders.types import Tensor

if TYPE_CHECKING:
    from autoencoders.training.phased_model import PhasedModel


def make_train_function(self: PhasedModel, force: bool = False) -> None:
    """Make what `fit` launches, as Keras asks for it."""
    _launch_instead(self, "train", force)


def make_test_function(self: PhasedModel, force: bool = False) -> None:
    """Make what `evaluate` launches, as Keras asks for it."""
    _launch_instead(self, "test", force)


def make_predict_function(self: PhasedModel, force: bool = False) -> None:
    """Make what `predict` launches, as Keras asks for it."""
    _launch_instead(self, "predict", force)


def _launch_instead(model, loop, force):
    name = f"{loop}_function"

    def keras_function():
        own = getattr(model, name)
        getattr(keras.Model, f"make_{name}")(model, force=True)  # Keras sets the attribute.
        made = getattr(model, name)
        setattr(model, name, own)
        return made

    if getattr(model, name) is None or force:
        setattr(model, name, model._launches.function(loop, keras_function))


def called_by_another(model: PhasedModel) -> bool:
    """Whether the call of a larger model is under way, within which this one is called."""
    context = global_state.get_global_attribute("current_call_ctx")  # Asking Keras would begin one.
    return context is not None and context.entry_layer is not model


def within_another(model: PhasedModel) -> bool:
    """Whether a program is being traced that is none of the model's own steps."""
    return not (tf.executing_eagerly() or model._launches.running or model._logging)


def metrics(self: PhasedModel) -> list[keras.Metric]:
    """Keras's metrics, with the loss terms behind the loss.

    Within the program of a larger model there are none: Keras would log them in place of that
    model's own where a layer such as `keras.layers.TimeDistributed` holds this one.
    """
    if within_another(self):
        return []
    metrics: list[keras.Metric] = keras.Model.metrics.fget(self)
    return [*metrics[:1], *_counted_terms(self), *metrics[1:]] if self.compiled else metrics


def compute_metrics(
    self: PhasedModel, x: Tensor, y: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
) -> dict[str, Tensor]:
    """The compiled metrics between target and reconstruction; without `y` the target is x."""
    return keras.Model.compute_metrics(self, x, x if y is None else y, y_pred, sample_weight)


def logs_of_its_own(self: PhasedModel) -> bool:
    """Whether a subclass's own `compute_metrics` says what a step logs."""
    return overridden(self, "compute_metrics")


def _counted_terms(model):
    """The means of the loss terms; none in a loop whose step is a user's and counts no terms.

    Keras's guide lets such a step update and return all of `metrics` by itself.
    """
    trackers, loop = model._trackers, model._launches.current().loop
    own = loop is not None and overridden(model, f"{loop}_step")
    return [] if own and loop not in trackers.counted else trackers.metrics


def steps_per_execution(self: PhasedModel) -> int:
    """How many steps a launch has in the loop of Keras's that asks."""
    launches = vars(self).get("_launches")  # Keras's constructor asks before there are launches.
    return launches.current().steps if launches else 1


def set_steps(self: PhasedModel, value: int | None) -> None:
    """Take another value than `compile` was given, as in Keras."""
    if launches := vars(self).get("_launches"):  # Keras's `compile` sets a default, then ours.
        launches.configure(launches.jit_compile, value)


def jit_compile(self: PhasedModel) -> bool:
    """As in Keras: whether XLA compiles the steps of Keras's own loop."""
    return keras.Model.jit_compile.fget(self)


def set_jit_compile(self: PhasedModel, value: bool) -> None:
    """Take another value than `compile` was given, as in Keras."""
    keras.Model.jit_compile.fset(self, value)
    if launches := vars(self).get("_launches"):
        launches.configure(value, launches.steps_per_execution)


def result_or_logs(self: PhasedModel, logs: dict[str, Any]) -> dict[str, Any]:
    """What Keras's loops log after a step: what a step of a user's own returned, as it is.

    Keras takes the value of its metrics in the place of results that have their names.
    """
    loop = self._launches.current().loop
    if loop is not None and overridden(self, f"{loop}_step"):
        return logs
    return keras.Model._get_metrics_result_or_logs(self, logs)


def overridden(model: keras.Model, name: str) -> bool:
    """Whether a user has replaced a method or property of a model: in a subclass, or on it."""
    if name in vars(model):
        return True
    for cls in type(model).__mro__:
        if name in vars(cls):
            return cls.__module__.partition(".")[0] not in ("autoencoders", "keras")
    return False
