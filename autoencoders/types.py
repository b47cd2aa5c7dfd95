"""Names for types that neither Python nor Keras has a word for.

Keras has no type of its own that covers its tensors: outside programs they are the backend's,
within programs symbolic ones, and most functions take NumPy arrays as well. `Tensor` says that an
argument or a result is one of them; its shape stands in the docstring.
"""

from collections.abc import Callable, Sequence
from typing import Any, NotRequired, TypedDict

Tensor = Any

# What Keras's `fit` takes as rows: arrays, data frames, `tf.data` pipelines, generators, ...
Data = Any

# One number of units, or those of several layers in order.
Sizes = int | Sequence[int]

# An activation by name or itself.
Activation = str | Callable[..., Any] | None

# The shape of a row or a batch; None for a size that is left open.
Shape = tuple[int | None, ...]

# The same, for code that knows which of the sizes are left open: a checker lets it calculate.
KnownShape = tuple[Any, ...]


class Networks(TypedDict):
    """What an architecture adds to the arguments of an `Autoencoder`; the networks are layers."""

    encoder: Any
    decoder: Any
    mask_value: NotRequired[float | None]
