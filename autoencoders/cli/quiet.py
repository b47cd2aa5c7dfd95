"""Importing TensorFlow without its start-up messages."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """TensorFlow writes some lines from C++ before its log level is read; hide those too."""
    saved = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)


def import_keras() -> ModuleType:
    """Import Keras and wake TensorFlow up; an ImportError still comes through."""
    with _silent_stderr():
        import keras

        keras.ops.zeros(())
    return keras
