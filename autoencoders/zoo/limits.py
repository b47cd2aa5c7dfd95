"""What may be built while a file is read: no more weights than the file can hold.

A config of some lines can ask for a layer of gigabytes.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras

# A file may hold half precision, packed, and no optimizer.
_TIMES_THE_FILE = 8
_SMALL = 2**26

_LEFT: ContextVar[list[float] | None] = ContextVar(
    "bytes that weights may still take", default=None
)


@contextmanager
def weights_within(size: int) -> Iterator[None]:
    """Within it layers get no more weights than a file of so many bytes can hold.

    Raises:
        ValueError: a layer asks for more.
    """
    token = _LEFT.set([max(_TIMES_THE_FILE * size, _SMALL)])
    try:
        yield
    finally:
        _LEFT.reset(token)


_add_weight = keras.layers.Layer.add_weight


@functools.wraps(_add_weight)
def _counted(self: keras.layers.Layer, shape: Any = None, *args: Any, **kwargs: Any) -> Any:
    left = _LEFT.get()
    if left is not None:
        sizes = (shape,) if isinstance(shape, int) else tuple(shape or ())
        left[0] -= 4 * math.prod(size or 1 for size in sizes)
        if left[0] < 0:
            raise ValueError(
                f"Layer {self.name!r} asks for weights of shape {sizes}: more than the file holds."
            )
    return _add_weight(self, shape, *args, **kwargs)


# Every layer gets its weights by this method, and Keras has no hook before they are made.
keras.layers.Layer.add_weight = _counted
