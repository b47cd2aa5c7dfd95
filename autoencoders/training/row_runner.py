"""Run a function over the rows of an array, in batches of one fixed, padded shape.

The results for a row do not depend on how many or which rows come with it, nor on its place among
them: the last bits of a matrix product differ between batch shapes, so there is only one for rows
of a shape, and it is one in which all places are alike.
"""

from collections.abc import Callable, Hashable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from autoencoders.training.backend import needs_tensorflow
from autoencoders.training.fused.programs import Graphs

# The bytes and the rows of a batch: so many that launching a program costs little, and so few that
# the batch stays in cache.
_BATCH_BYTES = 2**22
_FEWEST, _MOST = 48, 1056

# A matrix product takes its rows in blocks, and on some processors the rows that are left over come
# out with other last bits. In batches of these sizes, or of multiples of the largest, all rows come
# out alike. This was measured on a processor with AVX-512, where batches of other sizes differ.
_ALIKE = (48, 24, 12, 6, 3, 2, 1)


def size_without_rest(most: int) -> int:
    """The largest batch of at most so many rows in which all places are alike.

    Raises:
        ValueError: not a positive integer.
    """
    if not isinstance(most, (int, np.integer)) or most < 1:
        raise ValueError(f"`batch_size` must be a positive integer, got {most!r}.")
    block = next(size for size in _ALIKE if size <= most)
    return int(most - most % block)


class RowRunner(Graphs):
    """Runs functions of a model over rows.

    In TensorFlow graphs, not XLA programs: at these batch sizes they are as fast, and there is
    nothing to compile.
    """

    @needs_tensorflow
    def run(
        self,
        name: Hashable,
        function: Callable[..., Any],
        x: np.ndarray | tuple[np.ndarray, ...],
        batch_size: int | None = None,
        row_bytes: int = 0,
    ) -> Any:
        """Apply `function` to the rows of `x`.

        Args:
            name: What the function computes, to find its graph again.
            function: From a tensor `(batch_size, ...)` (for each array in `x`) to a tensor, or a
                tuple of them, with the same first axis.
            x: NumPy array, or a tuple of them with as many rows. Floating point becomes the
                model's.
            batch_size: The most rows at once; from the size of a row unless given.
            row_bytes: What the function holds of a row at once, where that is more than the row.

        Returns:
            NumPy array (or a tuple of them) with one result per row of `x`.
        """
        arrays = x if isinstance(x, tuple) else (x,)
        count = len(arrays[0])
        own = sum(int(np.prod(a.shape[1:])) * a.itemsize for a in arrays)
        row_bytes = max(own, row_bytes, 1)
        if batch_size is None:
            batch_size = int(np.clip(_BATCH_BYTES // row_bytes, _FEWEST, _MOST))
        batch_size = size_without_rest(batch_size)
        precision = self._model.variable_dtype
        dtypes = [precision if np.issubdtype(a.dtype, np.floating) else a.dtype for a in arrays]
        specs = tuple(
            tf.TensorSpec((batch_size, *a.shape[1:]), dtype)
            for a, dtype in zip(arrays, dtypes, strict=True)
        )
        self.refresh()
        key = (name, specs)
        traced = tf.function(function, autograph=False)  # Keras's own loops trace like this, too.
        graph = self.get(key, lambda: traced.get_concrete_function(*specs))
        results = outputs = None
        for start in range(0, max(count, 1), batch_size):
            rows = [_padded(a[start : start + batch_size], batch_size) for a in arrays]
            outputs = graph(*(tf.cast(a, dtype) for a, dtype in zip(rows, dtypes, strict=True)))
            parts = [output.numpy() for output in tf.nest.flatten(outputs)]
            if results is None:
                results = [np.empty((count, *part.shape[1:]), part.dtype) for part in parts]
            stop = min(start + batch_size, count)
            for result, part in zip(results, parts, strict=True):
                result[start:stop] = part[: stop - start]
        return tf.nest.pack_sequence_as(outputs, results)


def has_values(x: Any) -> bool:
    """Whether there are numbers in x, as there are not while a model or a program is put together.

    Those are Keras's symbolic tensors, and the tensors of a function that TensorFlow traces.
    """
    return not (isinstance(x, keras.KerasTensor) or tf.is_symbolic_tensor(x))


def _padded(rows, size):
    missing = size - len(rows)
    if missing == 0:
        return rows
    return np.concatenate([rows, np.zeros((missing, *rows.shape[1:]), rows.dtype)])
