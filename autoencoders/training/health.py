"""Checks on data: NaN, a wrong shape or a wrong dtype never reach the weights.

Arrays are checked whole, before the first step. What comes from a pipeline (`tf.data`, a
generator) is checked inside the step, before its forward pass: shape and dtype when the step is
traced, values as they come. XLA compiles such assertions away, so an explicit `jit_compile=True`
gives up the check of values from pipelines.
"""

import re
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf

_NON_FINITE = "must be finite, but a batch holds NaN or infinity. Drop or impute such rows."


class Expectation:
    """What a model expects of its data.

    Args:
        shape: Shape of one row of the input; None where any size will do.
        target_range: The smallest and largest value that a target may have.
        labels: The `Labels` that come beside x, for a model that takes them; its target is x.
        padding: A value that stands for none, wherever the range is.
    """

    def __init__(self, shape, target_range=(-np.inf, np.inf), labels=None, padding=None):
        self.shape = tuple(shape)
        self.low, self.high = target_range
        self.labels = labels
        self.padding = padding

    def arrays(self, x, y=None, sample_weight=None):
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
                checked.append(x)  # Keras's order is (x, y, sample_weight); the target is x.
            checked.append(_sample_weight(sample_weight))
        for name, array in zip(("y", "sample_weight"), checked[1:], strict=False):
            if len(array) != len(x):
                raise ValueError(
                    f"`{name}` must have as many rows as `x`, {len(x)}; got {len(array)}."
                )
        return tuple(checked)

    def inputs(self, data, name="x"):
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

    def array(self, data, name, target=False):
        """`data`, of shape `(n, *shape)`, as a finite float array; targets within their range."""
        array = _as_array(data, name)
        self.spec(array.dtype, array.shape, name)
        with np.errstate(over="ignore"):
            array = array.astype(keras.config.floatx(), copy=False)
        if len(array) == 0 and name != "z":
            raise ValueError(f"`{name}` has no rows; expected shape {self._described()}.")
        if array.size == 0:
            return array
        # Smallest and largest tell without a mask as large as the data; NaN is both.
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

    def spec(self, dtype, shape, name):
        """Raise a ValueError unless batches of this dtype and shape are expected."""
        if getattr(shape, "rank", 0) is not None:
            shape = tuple(shape)
            if not shape or not self._fits(shape[1:]):
                hint = (
                    "It is the clean target of `x`; labels have no place in it."
                    if name == "y"
                    else "Codes have the shape `model.latent_shape`."
                    if name == "z"
                    else "`get(name, input_shape=...)` builds a model for rows of another shape."
                )
                raise ValueError(
                    f"`{name}` must have shape {self._described()}, got {shape}. {hint}"
                )
        dtype = str(getattr(dtype, "name", dtype))
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

    def tensors(self, x, y, sample_weight):
        """One batch inside a step, asserted before it is read.

        Returns:
            `(x, target, sample_weight)`, with labels in the target's place where they are expected.
        """
        x = self.tensor(x, "x")
        if self.labels:
            labels = self.labels.tensor(y, x)
            y = None
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
            sample_weight = tf.cast(sample_weight, keras.config.floatx())
            if sample_weight.shape.rank not in (1, None):
                raise ValueError(
                    "`sample_weight` must have shape (n,), one weight per row; got "
                    f"{tuple(sample_weight.shape)}."
                )
            sample_weight = tf.debugging.check_numerics(
                sample_weight, f"`sample_weight` {_NON_FINITE}"
            )
        for name, part in (("y", target), ("sample_weight", sample_weight)):
            if part is not None and not part.shape[:1].is_compatible_with(x.shape[:1]):
                raise ValueError(
                    f"`{name}` must have as many rows as `x`, {x.shape[0]}; got {part.shape[0]}."
                )
        return x, labels if self.labels else target, sample_weight

    def tensor(self, data, name):
        """One batch inside a step, at Keras's precision, which nothing reads unless finite."""
        if not hasattr(data, "shape"):
            raise ValueError(f"`{name}` must be one dense array, got a {type(data).__name__}.")
        self.spec(data.dtype, data.shape, name)
        data = tf.cast(data, keras.config.floatx())
        return tf.debugging.check_numerics(data, f"`{name}` {_NON_FINITE}")

    def _described(self):
        return "(" + ", ".join(["n", *("any" if n is None else str(n) for n in self.shape)]) + ")"

    def _out_of_range(self, name, given):
        return (
            f"`{name}` must lie in [{self.low:g}, {self.high:g}], the support of its "
            f"likelihood{given}. Rescale the data, or build the model with another `likelihood`."
        )


class Labels:
    """The class labels that a model takes beside x: integers from 0.

    Args:
        num_classes: How many classes there are.
        needed: Whether every row has one; otherwise −1 stands for none.
    """

    def __init__(self, num_classes, needed=True):
        self.num_classes = num_classes
        self.needed = needed

    def array(self, labels, rows):
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

    def array_or_one(self, labels, rows):
        """As `array`; one label stands for all rows."""
        if np.ndim(labels) == 0 and labels is not None:
            labels = np.full(rows, labels)
        return self.array(labels, rows)

    def tensor(self, labels, x):
        """The labels of a batch inside a step, asserted before they are read."""
        if labels is None and not self.needed:
            return tf.fill(tf.shape(x)[:1], -1)
        labels = None if labels is None else tf.convert_to_tensor(labels)
        if labels is None or not labels.dtype.is_integer or labels.shape.rank not in (1, None):
            raise ValueError(f"{self._described()}, one for each row.")
        labels = tf.cast(labels, tf.int32)
        inside = tf.reduce_all((labels >= self._lowest) & (labels < self.num_classes))
        message = f"{self._described()} for all rows."
        with tf.control_dependencies([tf.debugging.Assert(inside, [message])]):
            return tf.identity(labels)

    @property
    def _lowest(self):
        return 0 if self.needed else -1

    def _described(self):
        without = "" if self.needed else " (-1: none)"
        return f"Labels must be integers from 0 to {self.num_classes - 1}{without}"


@contextmanager
def value_errors():
    """Turn the assertions of `Expectation.tensors` into the ValueError they stand for."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        # Among TensorFlow's own words about ops and nodes.
        ours = re.search(
            r"(`\w+`|Labels) must (be finite|lie in|be integers).*?(rows|`likelihood`)\.",
            str(error.message),
        )
        if ours is None:
            raise
        raise ValueError(ours[0]) from None


def _as_array(data, name):
    if isinstance(data, (list, tuple)) or hasattr(data, "tocsr") or not hasattr(data, "shape"):
        pipeline = hasattr(data, "element_spec") or hasattr(data, "__next__")
        hint = (
            "Pipelines do for `fit`, `evaluate` and `predict` alone."
            if pipeline
            else "Use np.asarray or .toarray()."
        )
        raise ValueError(f"`{name}` must be one dense array, got a {type(data).__name__}. {hint}")
    if hasattr(data, "select_dtypes"):  # a data frame: name the columns
        others = list(data.select_dtypes(exclude="number").columns)
        if others:
            raise ValueError(
                f"`{name}` must be numeric, but has the columns {others}. Encode or drop them."
            )
    return np.asarray(data)


def _sample_weight(sample_weight):
    weights = np.asarray(sample_weight, dtype=keras.config.floatx())
    if weights.ndim != 1 or not np.isfinite(weights).all():
        raise ValueError(
            f"`sample_weight` must be finite with shape (n,), one weight per row; got shape "
            f"{weights.shape}."
        )
    return weights
