"""One training step: the model's phases, each with a loss, variables and an optimizer.

The last functions are methods of `PhasedModel`, whose class body names them: what Keras's loops and
the programs of many steps call for a batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import tensorflow as tf
from keras import ops

from autoencoders.training.keras_hooks import overridden
from autoencoders.training.loss_terms import mean_over_rows, replicas
from autoencoders.types import Tensor

if TYPE_CHECKING:
    from autoencoders.training.phased_model import PhasedModel


class TwoBatches(NamedTuple):
    """What a step is handed where labelled rows have a batch of their own; and what `fit` is given.

    Where few rows have labels, a batch of all rows may hold none of them. A step can take two
    batches instead: `model.fit(TwoBatches((x,), (x_labelled, labels)))` trains on all rows of x in
    each epoch, and in each of its steps on the next of the labelled rows, which begin anew in
    another order when all have been seen. A pipeline may give such pairs of batches, too. It is
    Keras's own loop that runs them.

    A phase finds the second batch in `Batch.labelled`. No model of the zoo has such a phase: it
    takes a class of your own that overrides `phases` and `labels`. `tests/test_two_batches.py` has
    one. `fit` takes this value as its `x`, without `y` or `sample_weight`.

    Attributes:
        rows: `(x,)`, `(x, y)` or `(x, y, sample_weight)`, as `fit` takes them.
        labelled: `(x, labels)` or `(x, labels, sample_weight)`; every row has a label.
    """

    rows: Any
    labelled: Any


class Batch(NamedTuple):
    """What a loss sees of a batch.

    Attributes:
        x: The input, `(batch, *input_shape)`.
        target: The clean target, of the same shape.
        sample_weight: A weight per row, `(batch,)`, or None.
        labels: The class of each row, integers `(batch,)`, or None.
        labelled: The `Batch` of labelled rows that comes with this one, or None. It has another
            size, so that a loss of its rows is to be a scalar.
    """

    x: Tensor
    target: Tensor
    sample_weight: Tensor | None = None
    labels: Any = None
    labelled: Batch | None = None


class Phase(NamedTuple):
    """One part of a training step: a named loss and the variables that it updates.

    `loss(batch, training)` returns a dict with the names in `terms` and in `measures`; each value
    is a scalar, or one value per row, which is weighted by the sample weights and averaged. The
    terms add up to the loss; the measures are logged beside them.

    `concerns(batch)`, where there is one, says whether the batch holds anything for the phase, as a
    boolean scalar: a batch that does not leaves the variables and the optimizer as they are. A loss
    of 0 alone would not do that, as an optimizer with momentum goes on moving.
    """

    name: str
    loss: Callable[[Batch, bool], dict[str, Tensor]]
    terms: tuple[str, ...]
    variables: list[keras.Variable]
    measures: tuple[str, ...] = ()
    concerns: Callable[[Batch], Tensor] | None = None

    @property
    def logged(self) -> tuple[str, ...]:
        """Names of all that the phase logs."""
        return (*self.terms, *self.measures)


def train(
    phases: list[Phase], optimizers: dict[str, keras.optimizers.Optimizer], batch: Batch
) -> dict[str, Tensor]:
    """Run the phases in order: each one's loss, gradient and update.

    Args:
        phases: The phases.
        optimizers: Dict from phase name to optimizer.
        batch: The batch.

    Returns:
        Dict of every loss term and measure, as scalars.
    """
    values = {}
    # The checks of a batch run before anything else, so that a bad one changes no variable, by an
    # update, by weight decay or by a moving average.
    parts = tf.nest.flatten(batch)
    with tf.control_dependencies([part for part in parts if part is not None]):
        for phase in phases:
            values.update(_apply_gradient(phase, optimizers[phase.name], batch))
    return values


def _apply_gradient(phase, optimizer, batch):
    variables = [variable.value for variable in phase.variables]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(variables)
        values = _values(phase, batch, training=True)
        # Gradients are summed over replicas, so that each contributes its share of the mean.
        loss = optimizer.scale_loss(total(phase, values) / replicas())
    if not variables:  # All may be frozen.
        return values
    gradients = tape.gradient(loss, variables)
    if phase.concerns is None:
        # Optimizers may override `apply_gradients`, as in Keras.
        optimizer.apply_gradients(zip(gradients, phase.variables, strict=True))
    else:
        _apply_if(phase.concerns(batch), optimizer, gradients, phase.variables)
    return values


def _apply_if(concerned, optimizer, gradients, variables):
    """Apply gradients if any replica's part of the batch concerns the phase."""

    def update(gradients):
        optimizer.apply_gradients(zip(gradients, variables, strict=True))

    def together(strategy, concerned, gradients):
        """What all replicas do at once, as no optimizer may apply gradients in a branch of one."""
        counts = strategy.reduce(tf.distribute.ReduceOp.SUM, concerned, axis=None)
        in_each = strategy.extended.call_for_each_replica
        tf.cond(counts > 0, lambda: in_each(update, args=(gradients,)), lambda: None)

    if replicas() == 1:
        tf.cond(concerned, lambda: update(gradients), lambda: None)
    else:
        context = tf.distribute.get_replica_context()
        context.merge_call(together, args=(tf.cast(concerned, tf.int32), gradients))


def evaluate(phases: list[Phase], batch: Batch) -> dict[str, Tensor]:
    """The same values as `train`, in inference mode and without updates."""
    values = {}
    for phase in phases:
        values.update(_values(phase, batch, training=False))
    return values


def total(phase: Phase, values: dict[str, Tensor]) -> Tensor:
    """The sum of a phase's loss terms."""
    return sum(values[term] for term in phase.terms)


def terms_of(model: PhasedModel) -> list[str]:
    """Names of all loss terms: what gets better downwards."""
    return [term for phase in model.phases for term in phase.terms]


def _values(phase, batch, training):
    values = phase.loss(batch, training)
    if set(values) != set(phase.logged):
        raise ValueError(
            f"Phase {phase.name!r} declares {sorted(phase.logged)}, "
            f"but its loss returned {sorted(values)}."
        )
    return {name: mean_over_rows(value, batch.sample_weight) for name, value in values.items()}


# Methods of `PhasedModel` -------------------------------------------------------------------------


def train_step(self: PhasedModel, data: Any) -> dict[str, Tensor]:
    """One step: every phase in order, each with its loss, gradient and update."""
    batch = batch_of(self, data, "train")
    return _log(self, batch, train(self.phases, self.phase_optimizers, batch), "train")


def test_step(self: PhasedModel, data: Any) -> dict[str, Tensor]:
    """The same losses under the same names, without updates."""
    batch = batch_of(self, data, "test")
    return _log(self, batch, evaluate(self.phases, batch), "test")


def predict_step(self: PhasedModel, data: Any) -> Tensor:
    """The reconstruction of a batch."""
    x, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
    if self.needs_labels and isinstance(x, (list, tuple)):
        x, labels = x
    if not self._launches.current("predict").checked:
        x = self.expectation.tensor(x, "x")
        expected = self.labels if self.needs_labels else None
        labels = None if expected is None else expected.tensor(labels, x)
    return self((x, labels) if self.needs_labels else x, training=False)


def batch_of(model: PhasedModel, data: Any, loop: str) -> Batch:
    """The batch that a step of `loop` ("train" or "test") is handed, checked if it was not yet."""
    checked, expectation = model._launches.current(loop).checked, model.expectation
    takes_labels = bool(model.labels)
    if not isinstance(data, TwoBatches):
        return _of_rows(data, expectation, checked, takes_labels)
    labelled = _of_rows(data.labelled, expectation.labelled, checked, True)
    rows = _of_rows(data.rows, expectation, checked, takes_labels)
    return rows._replace(labelled=labelled)


def _of_rows(data, expectation, checked, takes_labels):
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if not checked:
        x, y, sample_weight = expectation.tensors(x, y, sample_weight)
    if takes_labels:
        return Batch(x, x, sample_weight, labels=y)
    return Batch(x, x if y is None else y, sample_weight)


def _log(model, batch, values, loop):
    model._logging += 1  # of replicas, which take turns
    try:
        return _logged(model, batch, values, loop)
    finally:
        model._logging -= 1


def _logged(model, batch, values, loop):
    size = ops.shape(batch.x)[0]
    loss = total(model.phases[0], values)
    model._loss_tracker.update_state(loss, sample_weight=size)
    model._trackers.update(values, size, loop)
    if overridden(model, "metrics") and set(model._trackers.names) - set(model.metrics_names):
        raise TypeError(
            f"The `metrics` of {type(model).__name__} leave out what its `{loop}_step` counts: "
            f"return `[*super().metrics, ...]`, or override `{loop}_step`, too."
        )
    if not (model._has_metrics or model.logs_of_its_own):
        return model.get_metrics_result()
    x = (batch.x, batch.labels) if model.needs_labels else batch.x
    reconstruction = model(x, training=False)
    logs = model.compute_metrics(batch.x, batch.target, reconstruction, batch.sample_weight)
    if not isinstance(logs, dict):
        raise TypeError(
            f"`compute_metrics` of {type(model).__name__} must return the dict of what is "
            f"logged, as `super().compute_metrics(...)` does; it returned {logs!r}."
        )
    return logs
