"""Checks on data: NaN, a wrong shape or a wrong dtype never reach the weights.

Arrays are checked whole, before the first step. What comes from a pipeline (`tf.data`, a
generator) is checked inside the step, before its forward pass: shape and dtype when the step is
traced, values as they come. XLA compiles such assertions away: for it they are checked before
(`pipelines.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike
from scipy.sparse import issparse

from autoencoders import frames
from autoencoders.checks import fits
from autoencoders.training.labels import Labels
from autoencoders.types import Data, Shape, Tensor

# How many rows of an array are looked at for what is worth a remark.
_LOOKED_AT = 256

_NON_FINITE = "must be finite, but a batch holds NaN or infinity. Drop or impute such rows."


class Expectation:
    """What a model expects of its data.

    Args:
        shape: Shape of one row of the input; None where any size will do.
        target_range: The smallest and largest value that a target may have.
        labels: The `Labels` that come beside x, for a model that takes them; its target is x.
        padding: A value that stands for padding; targets may have it even outside their range.
        usual: The range of targets in which nothing is remarkable.
        remark: Function that is shown some targets, `(n, *shape)`, with values beyond that range,
            and may warn.
        remarks_in_steps: Whether a step can call it, for what comes from a pipeline.
        dtype: The model's precision, which data takes on, but for half precision: that is single.
            Keras's unless given.
    """

    def __init__(
        self,
        shape: Shape,
        target_range: tuple[float, float] = (-np.inf, np.inf),
        labels: Labels | None = None,
        padding: float | None = None,
        usual: tuple[float, float] = (-np.inf, np.inf),
        remark: Callable[[np.ndarray], None] | None = None,
        remarks_in_steps: bool = False,
        dtype: str | None = None,
    ) -> None:
        self.shape: Shape = tuple(shape)
        self.low: float = target_range[0]
        self.high: float = target_range[1]
        self.labels = labels
        self.padding = padding
        self.dtype: str = keras.backend.result_type(dtype or keras.config.floatx(), "float32")
        self._usual = usual
        self._remark = remark
        self._remarks_in_steps = remarks_in_steps

    @property
    def labelled(self) -> Expectation:
        """What is expected of rows every one of which has a label.

        Raises:
            ValueError: the model takes no labels.
        """
        if self.labels is None:
            raise ValueError("This model takes no labels: it trains on no labelled rows.")
        labels = Labels(self.labels.num_classes)
        return Expectation(
            self.shape, (self.low, self.high), labels, self.padding, dtype=self.dtype
        )

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

    def look(self, arrays: tuple[np.ndarray, ...]) -> None:
        """Look at a small part of what `arrays` gave: is there something to remark?"""
        targets = arrays[0] if self.labels or len(arrays) == 1 else arrays[1]
        some, (low, high) = targets[:: max(len(targets) // _LOOKED_AT, 1)], self._usual
        if self._remark is not None and (some.min() < low or some.max() > high):
            self._remark(some)

    def _look_within(self, target, remark):
        """The same in a step, of the first row of a batch."""
        row = target[:1]
        unusual = (row < self._usual[0]) | (row > self._usual[1])

        shown = []

        def show(row):
            if not shown:  # once is enough
                shown.append(True)
                remark(row)
            return True  # A branch of `cond` has to give something.

        shows = partial(tf.numpy_function, show, [row], tf.bool)
        tf.cond(tf.reduce_any(unusual), shows, lambda: tf.constant(True))

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
            if not shape or not fits(shape[1:], self.shape):
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
        if self._remark is not None and self._remarks_in_steps:
            self._look_within(target, self._remark)
        if sample_weight is not None:
            weight = with_shape(tf.cast(sample_weight, self.dtype), (None,))
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
        data = with_shape(tf.cast(data, self.dtype), (None, *self.shape))
        return tf.debugging.check_numerics(data, f"`{name}` {_NON_FINITE}")

    def _described(self):
        return "(" + ", ".join(["n", *("any" if n is None else str(n) for n in self.shape)]) + ")"

    def _out_of_range(self, name, given):
        low, high = round(self.low, 5) + 0.0, round(self.high, 5) + 0.0  # There is no -0.
        return (
            f"`{name}` must lie in [{low:g}, {high:g}], the range of the model's "
            f"likelihood or loss{given}. Rescale the data, or choose another `likelihood` when "
            "building the model (`loss` when compiling it)."
        )


def with_shape(data: Tensor, shape: Shape) -> Tensor:
    """A batch whose shape a pipeline has left open, of the shape that it has to have."""
    if data.shape.rank is None or data.shape.rank == len(shape):
        return tf.ensure_shape(data, shape)
    return data


def has_shape(data: object) -> bool:
    """Whether this is one array of whatever library: NumPy's, a tensor, a data frame."""
    return hasattr(data, "shape")


@contextmanager
def value_errors() -> Iterator[None]:
    """Turn the assertions of `Expectation.tensors` into the ValueError they stand for."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        if shapes := re.search(r"tensor \S+ (\[.*?\]) is not .* shape (\[.*?\])", error.message):
            wanted = shapes[2].replace("?", "any")
            raise ValueError(f"A batch must have shape {wanted}, got {shapes[1]}.") from None
        # Our message stands among TensorFlow's own words about ops and nodes.
        ours = re.search(
            r"(`\w+`|Labels) must (be finite|lie in|be integers).*?(rows|compiling it\))\.",
            str(error.message),
        )
        if ours is None:
            raise
        raise ValueError(ours[0]) from None


def _as_array(data, name):
    if frames.is_frame(data):
        return frames.numbers(data, name, keras.config.floatx())
    sparse = issparse(data) or isinstance(data, (tf.SparseTensor, tf.RaggedTensor))
    if isinstance(data, (list, tuple)) or sparse or not has_shape(data):
        pipeline = isinstance(data, (tf.data.Dataset, Iterator))
        hint = "Use np.asarray or .toarray()."
        if pipeline:
            hint = "Pipelines do for `fit`, `evaluate` and `predict` alone."
        elif isinstance(data, (tf.SparseTensor, tf.RaggedTensor)):
            hint = "Use `tf.sparse.to_dense(x)` or `x.to_tensor()`."
        raise ValueError(f"`{name}` must be one dense array, got a {type(data).__name__}. {hint}")
    return np.asarray(frames.unmasked(data))


def _sample_weight(sample_weight, dtype):
    weights = np.asarray(sample_weight, dtype=dtype)
    if weights.ndim != 1 or not np.isfinite(weights).all():
        raise ValueError(
            "`sample_weight` must be finite with shape (n,), one weight per row; got "
            f"{weights.shape}."
        )
    return weights
