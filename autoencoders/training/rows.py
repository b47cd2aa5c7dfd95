"""Run a function over the rows of an array, in batches of one fixed, padded shape.

The results for a row do not depend on how many or which rows come with it: the last bits of a
matrix product differ between batch shapes, so there is only one.
"""

import numpy as np
import tensorflow as tf

BATCH_SIZE = 256


class RowRunner:
    """Runs functions of a model over rows, and keeps their graphs between calls.

    Args:
        model: The model whose variables the functions read. A graph reads them when it runs, so
            it outlives training; it is made anew once the model has other variables.
    """

    def __init__(self, model):
        self._model = model
        self._graphs = {}
        self._variables = None

    def run(self, name, function, x, batch_size=None):
        """Apply `function` to the rows of `x`.

        Args:
            name: What the function computes, to find its graph again.
            function: From a tensor `(batch_size, ...)` to a tensor, or a tuple of them, with the
                same first axis.
            x: NumPy array.
            batch_size: Rows at once; `BATCH_SIZE` unless given.

        Returns:
            NumPy array (or a tuple of them) with one result per row of `x`.
        """
        shape = (batch_size or BATCH_SIZE, *x.shape[1:])
        graph = self._graph(name, function, tf.TensorSpec(shape, x.dtype))
        results = []
        for start in range(0, max(len(x), 1), shape[0]):
            rows = x[start : start + shape[0]]
            padded = np.zeros(shape, x.dtype)
            padded[: len(rows)] = rows
            outputs = graph(tf.convert_to_tensor(padded))
            count = len(rows)
            results.append([output[:count].numpy() for output in tf.nest.flatten(outputs)])
        joined = [np.concatenate(parts) for parts in zip(*results, strict=True)]
        return tf.nest.pack_sequence_as(outputs, joined)

    def clear(self):
        """Forget the graphs, when the model may compute something else from now on."""
        self._graphs.clear()

    def _graph(self, name, function, spec):
        variables = [id(variable) for variable in self._model.variables]
        if variables != self._variables:
            self.clear()
            self._variables = variables
        key = (name, spec)
        if key not in self._graphs:
            self._graphs[key] = tf.function(function).get_concrete_function(spec)
        return self._graphs[key]
