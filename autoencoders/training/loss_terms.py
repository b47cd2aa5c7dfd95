"""The terms of a loss: how each becomes one number of a batch, and is averaged over an epoch."""

from __future__ import annotations

from collections.abc import Iterable
from types import FunctionType
from typing import Any, Protocol, runtime_checkable

import keras
import tensorflow as tf
from keras import ops

from autoencoders.checks import refuse
from autoencoders.types import Tensor


@runtime_checkable
class TakesMasks(Protocol):
    """A loss that leaves padding out by itself, as likelihoods do."""

    def masked(self, y_true: Tensor, y_pred: Tensor, mask: Tensor) -> Tensor:
        """One value per row, `(batch,)`, of the steps that `mask` does not leave out."""
        ...


def check_metric_names(metrics: Any, taken: Iterable[str]) -> None:
    """See that no metric takes the place of something else in the logs.

    Args:
        metrics: What `compile` was given as metrics: names, functions, metrics, or lists of them.
        taken: Names under which the model logs something else.
    """
    named = {_metric_name(metric) for metric in keras.tree.flatten(metrics)}
    taken = {*taken, "loss", "learning_rate"}
    taken |= {f"val_{name}" for name in (*taken, *named)}
    if clashes := sorted(named & taken):
        refuse(
            f"A metric has the name {clashes[0]!r}, under which something else is logged: it would "
            "take its place in the history. Give it another, for instance "
            f"`keras.metrics.MeanSquaredError(name={'my_' + clashes[0]!r})`."
        )


def _metric_name(metric):
    if isinstance(metric, keras.metrics.Metric):
        return metric.name
    return metric.__name__ if isinstance(metric, FunctionType) else metric


def mean_over_rows(value: Tensor, sample_weight: Tensor | None) -> Tensor:
    """A term as a scalar: what it is already, or the mean over rows of value times weight.

    Args:
        value: Scalar, or `(batch,)`.
        sample_weight: `(batch,)`, or None.
    """
    value = ops.cast(value, keras.config.floatx())
    if len(value.shape) == 0:
        return value
    if sample_weight is not None:
        value = value * ops.cast(ops.reshape(sample_weight, (-1,)), value.dtype)
    # A replica may get a batch without rows.
    return ops.divide_no_nan(ops.sum(value), ops.cast(ops.size(value), value.dtype))


def keras_loss(
    loss: keras.losses.Loss,
    y_true: Tensor,
    y_pred: Tensor,
    sample_weight: Tensor | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """A Keras loss as a loss term, with a weight per row whatever the rank of a row.

    Args:
        loss: The loss.
        y_true, y_pred: Target and prediction, `(batch, ...)`.
        sample_weight: `(batch,)`.
        mask: `(batch, steps)`, False for the steps that are padding. A row's loss is then the mean
            over its other steps (a likelihood's, the sum), and the term the mean over the rows.

    Returns:
        A scalar, weighted; or, from a loss without reduction, one unweighted value per row.
    """
    y_true, y_pred = (ops.cast(y, loss.dtype) for y in (y_true, y_pred))
    if mask is not None:
        if isinstance(loss, TakesMasks):
            values = loss.masked(y_true, y_pred, mask)
        else:
            values = _masked_mean(loss.call(y_true, y_pred), mask)
        return mean_over_rows(values, sample_weight)
    if loss.reduction in (None, "none"):
        values = loss(y_true, y_pred)
        return ops.mean(ops.reshape(values, (ops.shape(values)[0], -1)), axis=-1)
    if sample_weight is not None:
        # Keras aligns weights only with losses of at most one more axis; an image's has two more.
        rank = len(loss.call(y_true, y_pred).shape)
        sample_weight = ops.reshape(sample_weight, (-1, *[1] * (rank - 1)))
    # Keras has divided by the number of replicas already, which a step does for all terms alike.
    return loss(y_true, y_pred, sample_weight) * replicas()


def _masked_mean(values, mask):
    mask = ops.cast(mask, values.dtype)
    values = ops.mean(ops.reshape(values, (*ops.shape(mask), -1)), axis=-1)
    return ops.divide_no_nan(ops.sum(values * mask, axis=-1), ops.sum(mask, axis=-1))


def replicas() -> int:
    """How many replicas of the model, each with a part of the batch, a step runs on."""
    return tf.distribute.get_strategy().num_replicas_in_sync


class LossTrackers:
    """Running means of the loss and its terms over the rows of an epoch, under their names.

    Not a Keras container: the trackers are made at `compile`, when a built model's state is
    locked, as Keras makes its own.

    Args:
        names: The names of the terms and measures.
        before: Other trackers; those of them whose names remain go on counting.

    Attributes:
        names, metrics: The names, and a Keras metric for each.
        counted: The loops ("train", "test") whose steps have counted terms here.
    """

    def __init__(self, names: Iterable[str], before: LossTrackers | None = None) -> None:
        kept = {} if before is None else {metric.name: metric for metric in before.metrics}
        self.names: list[str] = list(names)
        self.metrics: list[keras.Metric] = [
            kept.get(name) or keras.metrics.Mean(name=name) for name in names
        ]
        self.counted: set[str] = set() if before is None else before.counted

    def update(self, values: dict[str, Tensor], rows: Tensor, loop: str) -> None:
        """Count `values`, a dict of scalars, as means of a batch of so many rows in a loop."""
        self.counted.add(loop)
        for metric in self.metrics:
            metric.update_state(values[metric.name], sample_weight=rows)
