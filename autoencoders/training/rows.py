"""Run a function over the rows of an array, in batches of one fixed, padded shape.

The results for a row do not depend on how many or which rows come with it: the last bits of a
matrix product differ between batch shapes, so there is only one for rows of a shape.
"""

import numpy as np
import tensorflow as tf

from autoencoders.training.graphs import Graphs

# Rows at once: enough that launching a program costs little, few enough to stay in cache.
_BATCH_BYTES = 2**22
_FEWEST, _MOST = 32, 1024


class RowRunner(Graphs):
    """Runs functions of a model over rows.

    In TensorFlow graphs, not XLA programs: at these batch sizes they are as fast, and there is
    nothing to compile.
    """

    def run(self, name, function, x, batch_size=None):
        """Apply `function` to the rows of `x`.

        Args:
            name: What the function computes, to find its graph again.
            function: From a tensor `(batch_size, ...)` to a tensor, or a tuple of them, with the
                same first axis.
            x: NumPy array.
            batch_size: Rows at once; from the size of a row unless given.

        Returns:
            NumPy array (or a tuple of them) with one result per row of `x`.
        """
        row_bytes = max(int(np.prod(x.shape[1:])) * x.itemsize, 1)
        batch_size = batch_size or int(np.clip(_BATCH_BYTES // row_bytes, _FEWEST, _MOST))
        shape = (batch_size, *x.shape[1:])
        self.refresh()
        spec = tf.TensorSpec(shape, x.dtype)
        graph = self.get((name, spec), lambda: tf.function(function).get_concrete_function(spec))
        results = None
        for start in range(0, max(len(x), 1), batch_size):
            rows = x[start : start + batch_size]
            count = len(rows)
            if count < batch_size:
                rows = np.concatenate([rows, np.zeros((batch_size - count, *shape[1:]), x.dtype)])
            outputs = graph(tf.convert_to_tensor(rows))
            parts = [output.numpy() for output in tf.nest.flatten(outputs)]
            if results is None:
                results = [np.empty((len(x), *part.shape[1:]), part.dtype) for part in parts]
            for result, part in zip(results, parts, strict=True):
                result[start : start + count] = part[:count]
        return tf.nest.pack_sequence_as(outputs, results)
