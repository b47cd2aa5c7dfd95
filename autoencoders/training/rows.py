"""Run a function over the rows of an array, in batches of one fixed, padded shape.

The results for a row do not depend on how many or which rows come with it: the last bits of a
matrix product differ between batch shapes, so there is only one.
"""

import numpy as np
import tensorflow as tf

BATCH_SIZE = 256


def map_rows(function, graphs, key, x, batch_size=None):
    """Apply `function` to the rows of `x`.

    Args:
        function: From a tensor `(batch_size, ...)` to a tensor, or a tuple of them, with the
            same first axis.
        graphs: Dict in which the function's graph is kept between calls; it reads the model's
            variables when it runs, so that it outlives training.
        key: What the function computes, to find its graph again.
        x: NumPy array.
        batch_size: Rows at once; `BATCH_SIZE` unless given.

    Returns:
        NumPy array (or a tuple of them) with one result per row of `x`.
    """
    size = batch_size or BATCH_SIZE
    shape = (size, *x.shape[1:])
    key = (key, shape, x.dtype.str)
    if key not in graphs:
        graphs[key] = tf.function(function).get_concrete_function(tf.TensorSpec(shape, x.dtype))
    results = []
    for start in range(0, max(len(x), 1), size):
        rows = x[start : start + size]
        padded = np.zeros(shape, x.dtype)
        padded[: len(rows)] = rows
        count = len(rows)
        outputs = graphs[key](tf.convert_to_tensor(padded))
        results.append([output[:count].numpy() for output in tf.nest.flatten(outputs)])
    joined = [np.concatenate(parts) for parts in zip(*results, strict=True)]
    return tf.nest.pack_sequence_as(outputs, joined)
