"""Checks on data: NaN, a wrong shape or a wrong dtype never reach the weights.

Arrays are checked whole, before the first step. What comes from a pipeline (`tf.data`, a
generator) is checked inside the step, before its forward pass: shape and dtype when the step is
traced, values as they come. XLA compiles such assertions away, so an explicit `jit_compile=True`
gives up the check of values from pipelines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike
from scipy.sparse import issparse

from autoencoders.training.labels import Labels
from autoencoders.types import Data, Shape, Tensor

_NON_FINITE = "must be finite, but a batch holds NaN or infinity. Drop or impute such rows."


class Expectation:
    """What a model expects of its data.

    Args:
        shape: Shape of one row of the input; None where any size will do.
        target_range: The smallest and largest value that a target may have.
        labels: The `Labels` that come beside x, for a model that takes them; its target is x.
        padding: A value that stands for padding; targets may have it even outside their range.
        dtype: The model's precision, which data takes on, but for half precision: that is single.
            Keras's unless given.
    """

    def __init__(
        self,
        shape: Shape,
        target_range: tuple[float, float] = (-np.inf, np.inf),
        labels: Labels | None = None,
        padding: float | None = None,
        dtype: str | None = None,
    ) -> None:
        self.shape: Shape = tuple(shape)
        self.low: float = target_range[0]
        self.high: float = target_range[1]
        self.labels = labels
        self.padding = padding
        self.dtype: str = keras.backend.result_type(dtype or keras.config.floatx(), "float32")

    @property
    def labelled(self) -> Expectation:
        """What is expected of rows every one of which has a label.

        Raises:
            ValueError: the model takes no labels.
        """
        if self.labels is None:
            raise ValueError("This model takes no labels: it trains on no labelled rows.")
        labels = Labels(self.labels.num_classes)
        return Expectation(self.shape, (self.low, self.high), labels, self.padding, self.dtype)

    def arrays(
        self, x: Data, y: Data = None, sample_weight: ArrayLike | None = None
    ) -> tuple[np.ndarray, ...]:
        """The given arrays, checked, as a tuple without the missing ones.

        Raises:
            ValueError: what was expected and what was given.
        """
        x = self.array(x, "x", target=y is None or self.labels is not None)
        checked = [x]
        if self.labels:
            y = self.labels.array(y, len(x))
            checked.append(y)
        elif y is not None:
            checked.append(self.array(y, "y", target=True))
        if sample_weight is not None:
            if y is None:
                checked.append(x)  # Keras's order is (x, y, sample_weight), and the target is x.
            checked.append(_sample_weight(sample_weight, self.dtype))
        for name, array in zip(("y", "sample_weight"), checked[1:], strict=False):
            if len(array) != len(x):
                raise ValueError(
                    f"`{name}` must have as many rows as `x`, {len(x)}; got {len(array)}."
                )
        return tuple(checked)

    def inputs(self, data: Data, name: str = "x") -> tuple[np.ndarray, ...]:
        """What a reconstruction needs, as a tuple: x; and the labels, where it needs them.

        Raises:
            ValueError: what was expected and what was given.
        """
        if not (self.labels and self.labels.needed):
            return (self.array(data, name),)
        if not isinstance(data, (list, tuple)) or len(data) != 2:
            raise ValueError(f"This model takes `({name}, labels)`: it is one of labelled rows.")
        array = self.array(data[0], name)
        return (array, self.labels.array(data[1], len(array)))

    def array(self, data: Data, name: str, target: bool = False) -> np.ndarray:
        """`data`, of shape `(n, *shape)`, as a finite float array; targets within their range."""
        array = _as_array(data, name)
        self.spec(array.dtype, array.shape, name)
        with np.errstate(over="ignore"):
            array = array.astype(self.dtype, copy=False)
        if len(array) == 0 and name != "z":
            raise ValueError(f"`{name}` has no rows; expected shape {self._described()}.")
        if array.size == 0:
            return array
        # The smallest and the largest value show whether all are finite, and need no mask as large
        # as the data: if there is a NaN, both are NaN.
        with np.errstate(invalid="ignore"):
            low, high = array.min(), array.max()
        if not (np.isfinite(low) and np.isfinite(high)):
            bad = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))
            raise ValueError(
                f"`{name}` must be finite, but {len(bad)} of {len(array)} rows hold NaN or "
                f"infinity, the first of them row {bad[0]}. Drop or impute such rows."
            )
        if target and (low < self.low or high > self.high) and self.padding is not None:
            others = array[array != self.padding]
            low, high = (others.min(), others.max()) if others.size else (self.low, self.high)
        if target and (low < self.low or high > self.high):
            raise ValueError(self._out_of_range(name, f", got {low:g} to {high:g}"))
        return array

    def spec(self, dtype: Any, shape: Any, name: str) -> None:
        """Raise a ValueError unless batches of this dtype and shape are expected."""
        if not (isinstance(shape, tf.TensorShape) and shape.rank is None):
            shape = tuple(shape)
            if not shape or not self._fits(shape[1:]):
                hint = {
                    "y": "It is the clean target of `x`; labels have no place in it.",
                    "z": "Codes have the shape `model.latent_shape`.",
                }.get(
                    name, "`get(name, input_shape=...)` builds a model for rows of another shape."
                )
                raise ValueError(
                    f"`{name}` must have shape {self._described()}, got {shape}. {hint}"
                )
        dtype = dtype if isinstance(dtype, str) else dtype.name
        if not dtype.startswith(("float", "bfloat")):
            hint = {
                "uint8": f"Scale images to [0, 1]: `{name}.astype('float32') / 255`.",
                "object": "Encode every column as numbers first.",
                "string": "Encode every column as numbers first.",
            }.get(dtype, f"Convert it first: `{name}.astype('float32')`.")
            raise ValueError(f"`{name}` must be floating point, got {dtype}. {hint}")

    def _fits(self, given):
        return len(given) == len(self.shape) and all(
            a == b or None in (a, b) for a, b in zip(given, self.shape, strict=True)
        )

    def tensors(
        self, x: Tensor, y: Tensor | None, sample_weight: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """One batch inside a step, asserted before it is read.

        Returns:
            `(x, target, sample_weight)`, with labels in the target's place where they are expected.
        """
        x = self.tensor(x, "x")
        labels = None
        if self.labels:
            labels, y = self.labels.tensor(y, x), None
        target = x if y is None else self.tensor(y, "y")
        if np.isfinite((self.low, self.high)).any():
            inside = (target >= self.low) & (target <= self.high)
            if self.padding is not None:
                inside |= target == self.padding
            inside = tf.reduce_all(inside)
            message = self._out_of_range("x" if y is None else "y", "")
            with tf.control_dependencies([tf.debugging.Assert(inside, [message])]):
                target = tf.identity(target)
                x = target if y is None else x
        if sample_weight is not None:
            weight = tf.cast(sample_weight, self.dtype)
            if weight.shape.rank not in (1, None):
                raise ValueError(
                    "`sample_weight` must have shape (n,), one weight per row; got "
                    f"{tuple(weight.shape)}."
                )
            sample_weight = tf.debugging.check_numerics(weight, f"`sample_weight` {_NON_FINITE}")
        for name, part in (("y", target), ("sample_weight", sample_weight)):
            if part is not None and not part.shape[:1].is_compatible_with(x.shape[:1]):
                raise ValueError(
                    f"`{name}` must have as many rows as `x`, {x.shape[0]}; got {part.shape[0]}."
                )
        return x, labels if self.labels else target, sample_weight

    def tensor(self, data: Tensor, name: str) -> Tensor:
        """One batch inside a step, at the model's precision; read only once it is finite."""
        if not has_shape(data):
            raise ValueError(f"`{name}` must be one dense array, got a {type(data).__name__}.")
        self.spec(data.dtype, data.shape, name)
        data = tf.cast(data, self.dtype)
        return tf.debugging.check_numerics(data, f"`{name}` {_NON_FINITE}")

    def _described(self):
        return "(" + ", ".join(["n", *("any" if n is None else str(n) for n in self.shape)]) + ")"

    def _out_of_range(self, name, given):
        return (
            f"`{name}` must lie in [{self.low:g}, {self.high:g}], the support of its "
            f"likelihood{given}. Rescale the data, or build the model with another `likelihood`."
        )


def has_shape(data: object) -> bool:
    """Whether this is one array of whatever library: NumPy's, a tensor, a data frame."""
    return hasattr(data, "shape")


@contextmanager
def value_errors() -> Iterator[None]:
    """Turn the assertions of `Expectation.tensors` into the ValueError they stand for."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        # Our message stands among TensorFlow's own words about ops and nodes.
        ours = re.search(
            r"(`\w+`|Labels) must (be finite|lie in|be integers).*?(rows|`likelihood`)\.",
            str(error.message),
        )
        if ours is None:
            raise
        raise ValueError(ours[0]) from None


def _as_array(data, name):
    if isinstance(data, (list, tuple)) or issparse(data) or not has_shape(data):
        pipeline = isinstance(data, (tf.data.Dataset, Iterator))
        hint = (
            "Pipelines do for `fit`, `evaluate` and `predict` alone."
            if pipeline
            else "Use np.asarray or .toarray()."
        )
        raise ValueError(f"`{name}` must be one dense array, got a {type(data).__name__}. {hint}")
    if hasattr(data, "select_dtypes"):  # A data frame has columns, which can be named.
        others = list(data.select_dtypes(exclude="number").columns)
        if others:
            raise ValueError(
                f"`{name}` must be numeric, but has the columns {others}. Encode or drop them."
            )
    return np.asarray(data)


def _sample_weight(sample_weight, dtype):
    weights = np.asarray(sample_weight, dtype=dtype)
    if weights.ndim != 1 or not np.isfinite(weights).all():
        raise ValueError(
            f"`sample_weight` must be finite with shape (n,), one weight per row; got shape "
            f"{weights.shape}."
        )
    return weights
