"""What a loop reads: arrays, batches that order themselves, or a pipeline.

Each becomes one `Source`. Keras's loops are then given what the source says, and the launches read
its feed, where it has one: Keras iterates over the numbers of steps alone (`keras_hooks`).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from autoencoders import frames
from autoencoders.training import pipelines, shuffle
from autoencoders.training.expectation import has_shape
from autoencoders.training.fused.feed import Feed
from autoencoders.training.keras_hooks import overridden
from autoencoders.training.step import TwoBatches
from autoencoders.types import Data, Shape

if TYPE_CHECKING:
    from autoencoders.training.phased_model import PhasedModel


class Source(NamedTuple):
    """The data of one loop.

    Attributes:
        given: What Keras's loop is called with for it: arguments by name.
        feed: What programs of many steps read; None where Keras's own function reads what Keras
            hands it.
        checked: Whether the data was checked whole, so that no step need do it.
        counter: `shuffle.EpochCounter`, for training whose epochs have an order; otherwise None.
    """

    given: dict[str, Any]
    feed: Feed | None = None
    checked: bool = False
    counter: shuffle.EpochCounter | None = None


_unpacked = keras.utils.unpack_x_y_sample_weight


@runtime_checkable
class OrdersItself(Protocol):
    """Batches that know the order of each epoch, as `datasets.batches.Batches` do."""

    def begin_epoch(self, epoch: int) -> None:
        """Take note that this epoch of the model's life begins, counted from 0."""


def is_array(x: Data) -> bool:
    """Whether these are arrays, which are checked whole, and not a pipeline."""
    return has_shape(x) or isinstance(x, (list, tuple)) or frames.is_frame(x)


def batch_shape(x: Data) -> Shape | None:
    """The shape of the batches of arrays or of a `tf.data` pipeline; None where x does not tell."""
    if isinstance(x, (tf.data.Dataset, tf.distribute.DistributedDataset)):
        x = x.element_spec
    if isinstance(x, TwoBatches):
        x = x.rows
    rows = _unpacked(x)[0]
    known = has_shape(rows) and (not isinstance(rows.shape, tf.TensorShape) or rows.shape.rank)
    return (None, *rows.shape[1:]) if known else None


def training(
    model: PhasedModel,
    x: Data,
    y: Data,
    sample_weight: ArrayLike | None,
    *,
    batch_size: int | None,
    in_order: bool,
    steps_per_epoch: int | None,
    held_out: float,
) -> tuple[Source, tuple[np.ndarray, ...] | None]:
    """What `fit` reads, and the rows that are held out of it.

    Args:
        model: The model that reads it.
        x, y, sample_weight, batch_size, steps_per_epoch: As in `fit`.
        in_order: Whether arrays are not to be shuffled.
        held_out: The share of the last rows that is not trained on.

    Returns:
        A `Source`, and a tuple of arrays or None.

    Raises:
        ValueError: bad data, or arguments that are for data of another kind.
    """
    labelled = None
    if isinstance(x, TwoBatches):
        if y is not None or sample_weight is not None:
            raise ValueError(
                "`TwoBatches` hold labels and weights: pass no `y`, no `sample_weight`."
            )
        labelled = model.expectation.labelled.arrays(*_unpacked(x.labelled))
        x, y, sample_weight = _unpacked(x.rows)
    if is_array(x) or labelled is not None:
        arrays, rest = _looked_at(model.expectation, x, y, sample_weight), None
        if held_out:
            arrays, rest = shuffle.split(arrays, held_out)
        order = partial(
            shuffle.Order, state=model._shuffle.state, batch_size=batch_size, shuffle=not in_order
        )
        if labelled is not None:
            return _in_pairs(model, arrays, labelled, order, steps_per_epoch), rest
        return _ordered(model, arrays, order, steps_per_epoch), rest
    if held_out:
        raise ValueError("`validation_split` divides arrays; pass `validation_data` instead.")
    given = {"x": x, "y": y, "sample_weight": sample_weight, "steps_per_epoch": steps_per_epoch}
    if not isinstance(x, OrdersItself):
        given["x"] = pipelines.checked(model, x, "train")
        # Keras shuffles a `PyDataset`. Other pipelines shuffle by themselves, and Keras would warn
        # that it does not.
        shuffled = not in_order and isinstance(x, keras.utils.PyDataset)
        counter = shuffle.EpochCounter(model._shuffle.state)
        return Source({**given, "shuffle": shuffled}, counter=counter), None
    if steps_per_epoch is not None:
        raise ValueError("Batches have their own `steps`; pass no `steps_per_epoch`.")
    counter = shuffle.EpochCounter(
        model._shuffle.state, lambda _: x.begin_epoch(model.epochs_trained)
    )
    return Source({**given, "shuffle": False}, counter=counter), None


def _looked_at(expectation, x, y, sample_weight):
    arrays = expectation.arrays(x, y, sample_weight)
    expectation.look(arrays)
    return arrays


def _ordered(model, arrays, make_order, steps_per_epoch):
    """Arrays in the order that is saved with the model."""
    order = make_order(len(arrays[0]), steps_per_epoch=steps_per_epoch)
    feed = model._launches.feed("train", arrays, order)
    begin = partial(model._launches.begin_epoch, feed) if feed else None
    x = feed.keras_steps() if feed else shuffle.batches(arrays, order)
    counter = shuffle.EpochCounter(model._shuffle.state, begin)
    return Source({"x": x, "shuffle": False}, feed, True, counter)


def _in_pairs(model, arrays, labelled, make_order, steps_per_epoch):
    """Arrays in that order, and in each step labelled rows in an order of their own."""
    order = make_order(len(arrays[0]), steps_per_epoch=steps_per_epoch)
    other = make_order(len(labelled[0]), steps_per_epoch=order.steps)
    pairs = TwoBatches(shuffle.batches(arrays, order), shuffle.batches(labelled, other))
    given = {"x": tf.data.Dataset.zip(pairs), "shuffle": False}
    return Source(given, checked=True, counter=shuffle.EpochCounter(model._shuffle.state))


def validation(model: PhasedModel, data: Data, batch_size: int | None, steps: int | None) -> Source:
    """What `fit` evaluates on after an epoch: a `Source` of Keras's arguments.

    Args:
        model: The model that reads it.
        data: `validation_data` as in `fit`, or None.
        batch_size, steps: As `validation_batch_size` and `validation_steps` in `fit`.
    """
    _refuse_two_batches(data, "validation_data")
    feed = None
    if data is not None:
        x, y, sample_weight = _unpacked(data)
        if is_array(x):
            data = model.expectation.arrays(x, y, sample_weight)
            order = shuffle.Order(len(data[0]), batch_size=batch_size)
            feed = model._launches.feed("test", data, order, steps)
        else:
            data = pipelines.checked(model, data, "test")
    if feed:
        data, batch_size = feed.keras_steps(), None
    given = {
        "validation_data": data,
        "validation_batch_size": batch_size,
        "validation_steps": steps,
    }
    return Source(given, feed)


def evaluation(
    model: PhasedModel,
    x: Data,
    y: Data,
    sample_weight: ArrayLike | None,
    batch_size: int | None,
    steps: int | None,
    within_fit: bool = False,
) -> Source:
    """What `evaluate` reads: a `Source`; the arguments are those of `evaluate`.

    Args:
        model: The model that reads it.
        x, y, sample_weight, batch_size, steps: As in `evaluate`.
        within_fit: Whether `fit` calls, with what `validation` gave it: checked, if it is arrays.
    """
    if within_fit:
        given = {"x": x, "y": y, "sample_weight": sample_weight, "batch_size": batch_size}
        return Source({**given, "steps": steps}, model._validation_feed, is_array(x))
    _refuse_two_batches(x, "evaluate")
    feed = None
    if checked := is_array(x):
        arrays = _looked_at(model.expectation, x, y, sample_weight)
        x, y, sample_weight = _unpacked(arrays)
        order = shuffle.Order(len(x), batch_size=batch_size)
        feed = model._launches.feed("test", arrays, order, steps)
    else:
        x = pipelines.checked(model, x, "test")
    if feed:
        x, y, sample_weight, batch_size = feed.keras_steps(), None, None, None
    given = {"x": x, "y": y, "sample_weight": sample_weight, "batch_size": batch_size}
    return Source({**given, "steps": steps}, feed, checked)


def prediction(model: PhasedModel, x: Data, batch_size: int | None, steps: int | None) -> Source:
    """What `predict` reads: a `Source`; the arguments are those of `predict`."""
    feed = None
    if checked := is_array(x):
        arrays = model.expectation.inputs(x)
        order = shuffle.Order(len(arrays[0]), batch_size=batch_size)
        feed = model._launches.feed("predict", arrays, order, steps)
        x = arrays[0] if len(arrays) == 1 else arrays
    if feed:
        x, batch_size = feed.keras_steps(), None
    return Source({"x": x, "batch_size": batch_size, "steps": steps}, feed, checked)


def check_batch(
    model: PhasedModel,
    loop: str,
    x: Data,
    y: Data = None,
    sample_weight: ArrayLike | None = None,
    **_: Any,
) -> None:
    """Raise a ValueError if `train_on_batch` or `test_on_batch` is given bad arrays.

    The step checks them, too, but not where XLA compiles it. To a step of a user's own they may be
    of any form.
    """
    own = isinstance(x, TwoBatches) or overridden(model, f"{loop}_step")
    if is_array(x) and not own:
        model.expectation.arrays(x, y, sample_weight)


def _refuse_two_batches(data: Any, where: str) -> None:
    if isinstance(data, TwoBatches):
        raise ValueError(
            f"`TwoBatches` are for `fit` alone: give `{where}` its rows (and labels) as they are."
        )
