"""Arrays as batches, in a shuffle order that is part of the model's saved state.

Keras shuffles with TensorFlow's global generator, whose state no file holds: a resumed run would
see other batches than an uninterrupted one. Here epoch `e` of a model's life is ordered by the
permutation drawn from `(seed, e)`, both saved with the model, so any epoch can be replayed.
"""

import itertools
import math
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf


class EpochCounter(keras.callbacks.Callback):
    """Counts the epochs that a model has lived, in the second element of its shuffle state.

    It has to run before callbacks that save the model at the end of an epoch.
    """

    def __init__(self, state):
        super().__init__()
        self._state = state

    def on_epoch_end(self, epoch, logs=None):
        """Move on to the next epoch's order."""
        self._state.assign(self._state + np.array([0, 1]))


@contextmanager
def first(callback, callbacks, model):
    """`callbacks` with `callback` in front, taken out of a list of Keras's own afterwards."""
    if callback is None:
        yield callbacks
    elif isinstance(callbacks, keras.callbacks.CallbackList):
        callback.set_model(model)
        callbacks.callbacks.insert(0, callback)
        try:
            yield callbacks
        finally:
            callbacks.callbacks.remove(callback)
    else:
        yield [callback, *keras.tree.flatten(callbacks or [])]


def split(arrays, share):
    """First rows for training, last ones for validation, as Keras's `validation_split` does."""
    if not 0.0 < share < 1.0:
        raise ValueError(f"`validation_split` must be between 0 and 1, got {share}.")
    cut = int(np.floor(len(arrays[0]) * (1.0 - share)))
    if cut == 0 or cut == len(arrays[0]):
        raise ValueError(
            f"`validation_split={share}` of {len(arrays[0])} rows leaves one part without rows."
        )
    return tuple(a[:cut] for a in arrays), tuple(a[cut:] for a in arrays)


def batches(arrays, state, *, batch_size, shuffle=True, steps_per_epoch=None):
    """A `tf.data.Dataset` over the rows of arrays.

    Args:
        arrays: Tuple of arrays with the same number of rows.
        state: Variable of shape `(2,)`: seed, and number of epochs lived. It is read when
            iteration begins, so that a callback may restore it after the dataset was made.
        batch_size: Rows per batch; the last batch of a pass holds the rest.
        shuffle: Whether each pass over the rows has an order of its own.
        steps_per_epoch: None for a dataset of one pass, to be iterated once an epoch. Otherwise
            the batches of an epoch, out of an endless stream of passes in which each epoch goes
            on where the one before ended.
    """
    rows = len(arrays[0])
    batches_per_pass = math.ceil(rows / batch_size)

    def orders():
        seed, epochs = (int(value) for value in np.asarray(state))
        position = epochs * (steps_per_epoch or batches_per_pass)
        first_pass, offset = divmod(position, batches_per_pass)
        passes = itertools.count(first_pass) if steps_per_epoch else (first_pass,)
        for number in passes:
            generator = np.random.Generator(np.random.Philox(key=[seed, number]))
            order = generator.permutation(rows) if shuffle else np.arange(rows)
            yield order[offset * batch_size :]
            offset = 0

    def index_batches(order):
        # Reshaped rather than batched element by element, which is many times slower.
        rest = rows % batch_size
        full = tf.reshape(order[: tf.size(order) - rest], (-1, batch_size))
        dataset = tf.data.Dataset.from_tensor_slices(full)
        if rest:
            dataset = dataset.concatenate(tf.data.Dataset.from_tensors(order[-rest:]))
        return dataset

    dataset = tf.data.Dataset.from_generator(
        orders, output_signature=tf.TensorSpec((None,), tf.int64)
    )
    dataset = dataset.prefetch(1).flat_map(index_batches)
    if not steps_per_epoch:
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(batches_per_pass))
    with tf.device("cpu"):
        tensors = tuple(tf.convert_to_tensor(array) for array in arrays)
    dataset = dataset.map(
        lambda index: tuple(tf.gather(tensor, index) for tensor in tensors),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = False  # nothing to fuse here
    return dataset.with_options(options).prefetch(tf.data.AUTOTUNE)
