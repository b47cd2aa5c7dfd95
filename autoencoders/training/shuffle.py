"""The order in which training sees the rows of arrays; it is part of the model's saved state.

Keras shuffles with TensorFlow's global generator, whose state no file holds: a resumed run would
see other batches than an uninterrupted one. Here epoch `e` of a model's life is ordered by the
permutation drawn from `(seed, e)`, both saved with the model, so any epoch can be replayed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf


class EpochCounter(keras.callbacks.Callback):
    """Counts the epochs that a model has lived, in the second element of its shuffle state.

    It has to run before callbacks that save the model at the end of an epoch.

    Args:
        state: Variable of shape `(2,)`: seed, and number of epochs lived.
        begin: Called with Keras's number of each epoch before it begins.
    """

    def __init__(self, state: keras.Variable, begin: Callable[[int], None] | None = None) -> None:
        super().__init__()
        self._state = state
        self._begin = begin

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Say that an epoch begins."""
        if self._begin is not None:
            self._begin(epoch)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Move on to the next epoch's order."""
        self._state.assign(self._state + np.array([0, 1]))


@contextmanager
def first(own: list[keras.callbacks.Callback], callbacks: Any, model: keras.Model) -> Iterator[Any]:
    """`callbacks` with `own` in front; a `CallbackList` of Keras's is left as it was."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        before = list(callbacks.callbacks)
        for callback in own:
            callback.set_model(model)
        callbacks.callbacks[:0] = own
        try:
            yield callbacks
        finally:
            callbacks.callbacks[:] = before
    else:
        yield [*own, *keras.tree.flatten(callbacks or [])]


def split(
    arrays: tuple[np.ndarray, ...], share: float
) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """First rows for training, last ones for validation, as Keras's `validation_split` does."""
    if not 0.0 < share < 1.0:
        raise ValueError(f"`validation_split` must be between 0 and 1, got {share}.")
    cut = int(np.floor(len(arrays[0]) * (1.0 - share)))
    if cut == 0 or cut == len(arrays[0]):
        raise ValueError(
            f"`validation_split={share}` of {len(arrays[0])} rows leaves one part without rows."
        )
    return tuple(a[:cut] for a in arrays), tuple(a[cut:] for a in arrays)


class Order:
    """Which rows each step of an epoch sees.

    Args:
        rows: Number of rows.
        state: Variable of shape `(2,)`: seed, and number of epochs lived. It is read when an
            epoch begins, so that a callback may restore it after this was made. None where every
            epoch is alike: `shuffle` and `steps_per_epoch` need one.
        batch_size: Rows per batch, 32 unless given; the last batch of a pass over the rows holds
            the rest.
        shuffle: Whether each pass over the rows has an order of its own.
        steps_per_epoch: None for epochs of one pass. Otherwise the batches of an epoch, out of an
            endless stream of passes in which each epoch goes on where the one before ended.

    Attributes:
        steps: Batches in an epoch.
        batch_size: Rows in a full batch; all rows, where there are fewer than asked for.
        even: Whether all batches have the size asked for.

    Raises:
        ValueError: a `batch_size` that is not a positive integer.
    """

    def __init__(
        self,
        rows: int,
        state: keras.Variable | None = None,
        *,
        batch_size: int | None = None,
        shuffle: bool = False,
        steps_per_epoch: int | None = None,
    ) -> None:
        batch_size = 32 if batch_size is None else batch_size
        if not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
            raise ValueError(f"`batch_size` must be a positive integer, got {batch_size!r}.")
        self._shuffled = shuffle
        self.batch_size: int = int(min(batch_size, rows))
        self.even: bool = rows % batch_size == 0
        self._state = state
        self._rows = rows
        self._steps_per_pass = math.ceil(rows / self.batch_size)
        self.steps: int = steps_per_epoch or self._steps_per_pass

    def epoch(self) -> tuple[np.ndarray, np.ndarray]:
        """The rows of the epoch that the state stands at.

        Returns:
            The indices of its rows in the order they are seen; and `steps + 1` bounds, the
            batches' places among them.
        """
        seed, epochs = (0, 0) if self._state is None else np.asarray(self._state).tolist()
        number, offset = divmod(epochs * self.steps, self._steps_per_pass)
        pass_bounds = np.minimum(np.arange(self._steps_per_pass + 1) * self.batch_size, self._rows)
        indices, sizes, missing = [], [], self.steps
        while missing:
            bounds = pass_bounds[offset : offset + missing + 1]
            indices.append(self._pass(seed, number)[bounds[0] : bounds[-1]])
            sizes.append(np.diff(bounds))
            missing -= len(bounds) - 1
            number, offset = number + 1, 0
        bounds = np.concatenate([[0], np.cumsum(np.concatenate(sizes))])
        return np.concatenate(indices), bounds

    def _pass(self, seed, number):
        if not self._shuffled:
            return np.arange(self._rows)
        return np.random.Generator(np.random.Philox(key=[seed, number])).permutation(self._rows)


def batches(arrays: tuple[np.ndarray, ...], order: Order) -> tf.data.Dataset[Any]:
    """A `tf.data.Dataset` of the batches of one epoch, to be iterated anew for every epoch.

    A step gets what Keras hands it: a tuple of arrays as a tuple, and one array by itself.

    Args:
        arrays: Tuple of arrays with the same number of rows.
        order: The `Order` of those rows.
    """
    with tf.device("cpu"):
        tensors = tuple(tf.convert_to_tensor(array) for array in arrays)

    def epoch(_):
        # Without `from_generator`, which under Python 3.11 sets the process's mmap threshold
        # so low that every XLA program afterwards spends half of its time on page faults.
        indices, bounds = tf.numpy_function(order.epoch, [], (tf.int64, tf.int64))
        indices, bounds = tf.ensure_shape(indices, (None,)), tf.ensure_shape(bounds, (None,))
        spans = tf.data.Dataset.from_tensor_slices((bounds[:-1], bounds[1:]))

        def batch(begin, end):
            parts = tuple(tf.gather(tensor, indices[begin:end]) for tensor in tensors)
            return parts if len(parts) > 1 else next(iter(parts))

        return spans.map(batch, num_parallel_calls=tf.data.AUTOTUNE)

    dataset = tf.data.Dataset.range(1).flat_map(epoch)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(order.steps))
    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = (
        False  # There is nothing to fuse.
    )
    return dataset.with_options(options).prefetch(tf.data.AUTOTUNE)
