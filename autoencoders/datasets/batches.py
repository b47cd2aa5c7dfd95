"""Batches of a data set that is indexed, not held in memory, in an order that can be replayed."""

import keras
import numpy as np

from autoencoders.training.shuffle import Order


class Batches(keras.utils.PyDataset):
    """Batches in an order of their own for each epoch, the same for the same seed and epoch.

    The models of this package say which epoch of their life begins, by `begin_epoch`. Other Keras
    models have epochs counted from 0 whenever Keras begins one; they need `shuffle=False` in `fit`,
    lest Keras shuffle the batches by Python's global generator.

    Args:
        data: What has a length and gives its rows for an array of indices.
        batch_size: Rows in a batch.
        steps, seed, shuffle: See `Sprites.batches`.
    """

    def __init__(self, data, batch_size, *, steps=None, seed=0, shuffle=True):
        super().__init__()
        if steps is not None and (not isinstance(steps, (int, np.integer)) or steps < 1):
            raise ValueError(f"`steps` must be a positive integer or None, got {steps!r}.")
        if not isinstance(seed, (int, np.integer)) or seed < 0:
            raise ValueError(f"`seed` must be an integer, 0 or more; got {seed!r}.")
        self._data = data
        self._state = np.array([seed, 0]) if shuffle else None
        self._next_epoch = 0
        self._order = Order(
            len(data),
            self._state,
            batch_size=batch_size,
            shuffle=shuffle,
            steps_per_epoch=None if steps is None else int(steps),
        )
        self._indices, self._bounds = self._order.epoch()

    def __len__(self):
        return self._order.steps

    def __getitem__(self, number):
        return self._data[self._indices[self._bounds[number] : self._bounds[number + 1]]]

    def begin_epoch(self, epoch):
        """Say that the next epoch is this one, counted from 0."""
        self._next_epoch = epoch

    def on_epoch_begin(self):
        """Order the epoch, as Keras begins it."""
        if self._state is not None:
            self._state[1] = self._next_epoch
            self._indices, self._bounds = self._order.epoch()
        self._next_epoch += 1
