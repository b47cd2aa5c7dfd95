"""Derivatives of a model's parts with respect to their input, for losses that hold some."""

from collections.abc import Callable

import tensorflow as tf

from autoencoders.types import Tensor


def vector_jacobian(function: Callable[[Tensor], Tensor], x: Tensor, vector: Tensor) -> Tensor:
    """The product vᵀJ of a vector per row and the Jacobian of `function` at x.

    Args:
        function: From `(batch, *shape)` to `(batch, *other)`.
        x: Tensor `(batch, *shape)`.
        vector: Tensor `(batch, *other)`.

    Returns:
        Tensor `(batch, *shape)`, itself differentiable.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        y = function(x)
    # Zero where y does not depend on x, or where derivatives are not recorded, as `build` may be.
    zero = tf.UnconnectedGradients.ZERO
    vector = tf.cast(vector, y.dtype)
    return tape.gradient(y, x, output_gradients=vector, unconnected_gradients=zero)
