"""Batches of a data set that is indexed, not held in memory, in an order that can be replayed."""

from __future__ import annotations

from typing import Protocol

import keras
import numpy as np

from autoencoders.checks import check_integers
from autoencoders.training.shuffle import Order


class Indexed(Protocol):
    """Data that have a length, and give their rows for an array of indices."""

    def __len__(self) -> int:
        """How many rows there are."""
        ...

    def __getitem__(self, indices: np.ndarray, /) -> np.ndarray:
        """The rows of these indices."""
        ...


class Batches(keras.utils.PyDataset):
    """Batches in an order of their own for each epoch, the same for the same seed and epoch.

    The models of this package say in training which epoch of their life begins, by `begin_epoch`;
    where nobody does, as in an evaluation, it is epoch 0 again. Other Keras models need a callback
    that does, and `shuffle=False` in `fit`, so that Keras does not shuffle the batches by Python's
    global generator.

    Keras reads them by `tf.data`'s `from_generator`, after which XLA programs are slower under
    Python 3.11 (see `training/shuffle.py`): arrays, where they fit into memory, train faster.

    Args:
        data: What has a length and gives its rows for an array of indices.
        batch_size: Rows in a batch.
        steps, seed, shuffle: See `Sprites.batches`.
    """

    def __init__(
        self,
        data: Indexed,
        batch_size: int,
        *,
        steps: int | None = None,
        seed: int = 0,
        shuffle: bool = True,
    ) -> None:
        super().__init__()
        check_integers(0, seed=seed)
        if steps is not None:
            check_integers(1, steps=steps)
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
        # The rows of the epoch in order, and where each batch begins; made when they are needed.
        self._rows = None

    def __len__(self) -> int:
        return self._order.steps

    def __getitem__(self, number: int) -> np.ndarray:
        indices, bounds = self._rows = self._rows or self._order.epoch()
        return self._data[indices[bounds[number] : bounds[number + 1]]]

    def begin_epoch(self, epoch: int) -> None:
        """Say that the next epoch is this one, counted from 0."""
        self._next_epoch = epoch

    def on_epoch_begin(self) -> None:
        """Order the epoch, as Keras begins it."""
        epoch, self._next_epoch = self._next_epoch, 0
        if self._state is not None and self._state[1] != epoch:
            self._state[1] = epoch
            self._rows = None
