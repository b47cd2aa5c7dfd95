"""The class labels of rows, checked as the rows are: arrays whole, a pipeline's within the step."""

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from autoencoders.types import Tensor


class Labels:
    """The class labels that a model takes beside x: integers from 0.

    Args:
        num_classes: How many classes there are.
        needed: Whether every row has a label; otherwise −1 stands for a row without one.
    """

    def __init__(self, num_classes: int, needed: bool = True) -> None:
        self.num_classes = num_classes
        self.needed = needed

    def array(self, labels: ArrayLike | None, rows: int) -> np.ndarray:
        """The labels of so many rows, `(rows,)`, as int32.

        Raises:
            ValueError: what was expected and what was given.
        """
        if labels is None and not self.needed:
            return np.full(rows, -1, "int32")
        labels = None if labels is None else np.asarray(labels)
        if labels is None or labels.dtype.kind not in "iu" or labels.shape != (rows,):
            given = "none" if labels is None else f"{labels.dtype} of shape {labels.shape}"
            raise ValueError(f"{self._described()}, one for each of {rows} rows; got {given}.")
        if rows and (labels.min() < self._lowest or labels.max() >= self.num_classes):
            raise ValueError(f"{self._described()}; got {labels.min()} to {labels.max()}.")
        return labels.astype("int32")

    def array_or_one(self, labels: ArrayLike | None, rows: int) -> np.ndarray:
        """As `array`; one label stands for all rows."""
        if labels is not None and np.ndim(labels) == 0:
            labels = np.full(rows, labels)
        return self.array(labels, rows)

    def tensor(self, labels: Tensor | None, x: Tensor) -> Tensor:
        """The labels of a batch inside a step, asserted before they are read."""
        if labels is None and not self.needed:
            return tf.fill(tf.shape(x)[:1], -1)
        labels = None if labels is None else tf.convert_to_tensor(labels)
        if labels is None or not labels.dtype.is_integer or labels.shape.rank not in (1, None):
            raise ValueError(f"{self._described()}, one for each row.")
        classes = tf.ensure_shape(tf.cast(labels, tf.int32), (None,))
        inside = tf.reduce_all((classes >= self._lowest) & (classes < self.num_classes))
        message = f"{self._described()} for all rows."
        with tf.control_dependencies([tf.debugging.Assert(inside, [message])]):
            return tf.identity(classes)

    @property
    def _lowest(self):
        return 0 if self.needed else -1

    def _described(self):
        without = "" if self.needed else " (-1: none)"
        return f"Labels must be integers from 0 to {self.num_classes - 1}{without}"
