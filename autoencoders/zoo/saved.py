"""Reading whole saved models and detectors: one kind of error for all that a file can do wrong."""

from __future__ import annotations

import io
import json
import os
import re
import warnings
import zipfile
from typing import Any

from autoencoders import files
from autoencoders.checks import NAN_IN_A_FILE, nan_allowed, no_nan

# How large the files of a folder may be is not known.
_ANY_SIZE = 2**50


def read(path: files.AnyPath, *, compile: bool = True, allow_nan: bool = False) -> Any:
    """A model or detector of a `.keras` file, as `keras.saving.load_model` gives it.

    Or of a folder that Keras saved one to, unchecked.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, written by a newer version of this package, no saved
            model, holds code or NaN, or cannot be made into a model.
    """
    # Its public sister takes no file in memory, and what was checked has to be what is read.
    from keras.src.saving import saving_lib

    from autoencoders.zoo import limits

    source, size = os.fspath(path), _ANY_SIZE
    if not os.path.isdir(source):
        source = files.read(source)
        size = len(source.getbuffer())
        _check_contents(source)
    try:
        with warnings.catch_warnings(), nan_allowed(allow_nan), limits.weights_within(size):
            # Keras takes layers that do not match for a file of an older version, and says so.
            warnings.filterwarnings("ignore", message="Skipping nested container")
            loaded = saving_lib.load_model(source, compile=compile)
            model = getattr(loaded, "model_", loaded)  # A detector has one.
            # What is not trained may be NaN for a reason, as a mask is.
            no_nan(model.trainable_variables)
            return loaded
    except Exception as error:
        raise ValueError(_reason(path, error)) from error


def _check_contents(file):
    """Raise a ValueError unless an archive holds what `model.save` writes."""
    with zipfile.ZipFile(io.BytesIO(file.getvalue())) as archive:
        if "config.json" not in archive.namelist():
            raise ValueError(f"{file.name} is not a saved model: nothing in it is 'config.json'.")
        config = archive.read("config.json")
    try:
        config = json.loads(config)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{file.name} is not a saved model: its config is no JSON that can be read."
        ) from error
    if not isinstance(config, dict) or "class_name" not in config:
        raise ValueError(f"{file.name} is not a saved model: its config describes no object.")


def _reason(path, error):
    """What a file did wrong, by the error that Keras raised over it."""
    text = str(error).partition("\n")[0]
    if re.search(r"safe_mode|unsafe", str(error)):
        return (
            f"{path} holds code, which is not run: {text} If you trust whoever made it, "
            "`keras.saving.load_model(path, safe_mode=False)` runs it."
        )
    if re.search(r"Could not locate|not registered|Unknown (layer|object)", str(error)):
        return (
            f"{path} holds a class that is not known here: {text} Import the module that registers "
            "it first."
        )
    if NAN_IN_A_FILE in str(error):
        return f"{path} {NAN_IN_A_FILE}"
    return f"{path} holds no model that can be made with this version: {text}"
