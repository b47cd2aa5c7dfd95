"""What needs Keras's TensorFlow backend says so.

Building a model, loading its weights and calling it work under every backend. What runs programs of
many steps, or rows in batches, is written in TensorFlow, and kept in this folder.
"""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import keras

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def needs_tensorflow(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Let a function raise a RuntimeError at once where Keras has another backend."""

    @wraps(function)
    def checked(*args, **kwargs):
        backend = keras.backend.backend()
        if backend != "tensorflow":
            raise RuntimeError(
                "Training a model, and asking it about rows, needs Keras's TensorFlow backend, but "
                f"Keras runs on {backend}: set the environment variable KERAS_BACKEND to "
                "tensorflow before Keras is imported."
            )
        return function(*args, **kwargs)

    return checked
