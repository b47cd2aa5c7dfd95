"""One training step: the model's phases, each with a loss, variables and an optimizer."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf
from keras import ops


class Batch(NamedTuple):
    """What a loss sees: the input, the clean target, a weight per row and labels (or None)."""

    x: object
    target: object
    sample_weight: object = None
    labels: object = None


class Phase(NamedTuple):
    """One part of a training step: a named loss and the variables that it updates.

    `loss(batch, training)` returns a dict with the names in `terms` and in `measures`; each value
    is a scalar, or one value per row, which is weighted by the sample weights and averaged. The
    terms add up to the loss; the measures are logged beside them.
    """

    name: str
    loss: Callable
    terms: tuple
    variables: list
    measures: tuple = ()

    @property
    def logged(self):
        """Names of all that the phase logs."""
        return (*self.terms, *self.measures)


def train(phases, optimizers, batch):
    """Run the phases in order: each one's loss, gradient and update.

    Args:
        phases: List of `Phase`.
        optimizers: Dict from phase name to optimizer.
        batch: A `Batch`.

    Returns:
        Dict of every loss term and measure, as scalars.
    """
    values = {}
    # Nothing runs before the batch is found good, weight decay and moving averages included.
    with tf.control_dependencies([part for part in batch if part is not None]):
        for phase in phases:
            values.update(_update(phase, optimizers[phase.name], batch))
    return values


def _update(phase, optimizer, batch):
    variables = [variable.value for variable in phase.variables]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(variables)
        values = _values(phase, batch, training=True)
        # Gradients are summed over replicas, so that each contributes its share of the mean.
        loss = optimizer.scale_loss(total(phase, values) / _replicas())
    optimizer.apply(tape.gradient(loss, variables), phase.variables)
    return values


def evaluate(phases, batch):
    """The same values as `train`, in inference mode and without updates."""
    values = {}
    for phase in phases:
        values.update(_values(phase, batch, training=False))
    return values


def total(phase, values):
    """The sum of a phase's loss terms."""
    return sum(values[term] for term in phase.terms)


def _values(phase, batch, training):
    values = phase.loss(batch, training)
    if set(values) != set(phase.logged):
        raise ValueError(
            f"Phase {phase.name!r} declares {sorted(phase.logged)}, "
            f"but its loss returned {sorted(values)}."
        )
    return {name: _mean(value, batch.sample_weight) for name, value in values.items()}


def _mean(value, sample_weight):
    value = ops.cast(value, keras.config.floatx())
    if len(value.shape) == 0:
        return value
    if sample_weight is not None:
        value = value * ops.cast(ops.reshape(sample_weight, (-1,)), value.dtype)
    # A replica may get a batch without rows.
    return ops.divide_no_nan(ops.sum(value), ops.cast(ops.size(value), value.dtype))


def keras_loss(loss, y_true, y_pred, sample_weight=None, mask=None):
    """A Keras loss as a loss term, with a weight per row whatever the rank of a row.

    Args:
        loss: A `keras.losses.Loss`.
        y_true, y_pred: Target and prediction, `(batch, ...)`.
        sample_weight: `(batch,)`.
        mask: `(batch, steps)`, False for the steps that are padding. A row's loss is then the mean
            over its other steps (a likelihood's, the sum), and the term the mean over the rows.

    Returns:
        A scalar, weighted; or, from a loss without reduction, one unweighted value per row.
    """
    y_true, y_pred = (ops.cast(y, loss.dtype) for y in (y_true, y_pred))
    if mask is not None:
        if hasattr(loss, "masked"):
            values = loss.masked(y_true, y_pred, mask)
        else:
            values = _masked_mean(loss.call(y_true, y_pred), mask)
        return _mean(values, sample_weight)
    if loss.reduction in (None, "none"):
        values = loss(y_true, y_pred)
        return ops.mean(ops.reshape(values, (ops.shape(values)[0], -1)), axis=-1)
    if sample_weight is not None:
        # Keras aligns weights with losses of one rank more at most; images have two more.
        rank = len(loss.call(y_true, y_pred).shape)
        sample_weight = ops.reshape(sample_weight, (-1, *[1] * (rank - 1)))
    # Keras has divided by the number of replicas already, which `train` does for all terms alike.
    return loss(y_true, y_pred, sample_weight) * _replicas()


def _masked_mean(values, mask):
    mask = ops.cast(mask, values.dtype)
    values = ops.mean(ops.reshape(values, (*ops.shape(mask), -1)), axis=-1)
    return ops.divide_no_nan(ops.sum(values * mask, axis=-1), ops.sum(mask, axis=-1))


def _replicas():
    return tf.distribute.get_strategy().num_replicas_in_sync


class LossTrackers:
    """Running means of the loss and its terms over the rows of an epoch, under their names.

    Not a Keras container: the trackers are made at `compile`, when a built model's state is
    locked, as Keras makes its own.

    Args:
        names: Of the terms and measures.
        before: Other trackers; those of them whose names remain go on counting.
    """

    def __init__(self, names, before=None):
        kept = {} if before is None else {metric.name: metric for metric in before.metrics}
        self.names = list(names)
        self.metrics = [kept.get(name) or keras.metrics.Mean(name=name) for name in names]

    def update(self, values, rows):
        """Count `values`, a dict of scalars, as the means of a batch of `rows` rows."""
        for metric in self.metrics:
            metric.update_state(values[metric.name], sample_weight=rows)
