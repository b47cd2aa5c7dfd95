"""Files of a model, written whole or not at all, and read once they are found to be whole.

The functions are methods of `PhasedModel`, whose class body names them.
"""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any, TypeGuard

import keras
from keras.src.utils.io_utils import ask_to_proceed_with_overwrite

from autoencoders import files
from autoencoders.training import state

if TYPE_CHECKING:
    from autoencoders.training.phased_model import PhasedModel


def save(
    self: PhasedModel,
    filepath: files.AnyPath | files.MemoryFile,
    overwrite: bool = True,
    zipped: bool | None = None,
    **kwargs: Any,
) -> None:
    """As `keras.Model.save`; a `.keras` file is replaced once the new one is complete.

    What goes to a folder (`zipped=False`) or to a remote address Keras writes piece by piece.

    Raises:
        OSError: the file cannot be written; the old one is kept.
    """
    if zipped is False or not _is_local(filepath):
        keras.Model.save(self, filepath, overwrite, zipped, **kwargs)
    elif _may_replace(filepath, overwrite):
        with files.replacing(filepath) as new:
            keras.Model.save(self, new, True, zipped, **kwargs)


def save_weights(
    self: PhasedModel,
    filepath: files.AnyPath | files.MemoryFile,
    overwrite: bool = True,
    max_shard_size: float | None = None,
) -> None:
    """As `keras.Model.save_weights`; a file is replaced once the new one is complete.

    Of a compiled model the file holds the state of training, too. The many files that
    `max_shard_size` asks for, and those at a remote address, Keras writes one by one.

    Raises:
        OSError: the file cannot be written; the old one is kept.
    """
    if max_shard_size is not None or not _is_local(filepath):
        keras.Model.save_weights(self, filepath, overwrite, max_shard_size)
    elif _may_replace(filepath, overwrite):
        with files.replacing(filepath) as new:
            keras.Model.save_weights(self, new)


def load_weights(
    self: PhasedModel, filepath: files.AnyPath, skip_mismatch: bool = False, **kwargs: Any
) -> None:
    """As `keras.Model.load_weights`; but if it fails, all variables are as they were.

    Where mismatches were skipped, so is what the file says of training: the epochs that the model
    was trained for and its optimizers. Then `trained` is None.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or does not fit.
    """
    local = _is_local(filepath) and str(filepath).endswith((".keras", ".weights.h5"))
    source: Any = files.read(filepath) if local else filepath
    before = state.values(self.weights) if self.built else []
    of_training = state.values(state.beside_weights(self))
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            keras.Model.load_weights(self, source, skip_mismatch=skip_mismatch, **kwargs)
    except BaseException:
        state.put_back([*before, *of_training])
        raise
    for one in caught:
        warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    if any("could not be loaded" in str(one.message) for one in caught):
        state.put_back(of_training)


def _is_local(path: object) -> TypeGuard[files.AnyPath]:
    """Whether it is a path on this machine, rather than an address or a file in memory."""
    return isinstance(path, (str, os.PathLike)) and "://" not in os.fspath(path)


def _may_replace(path, overwrite):
    return overwrite or not os.path.exists(path) or ask_to_proceed_with_overwrite(str(path))
