"""Image data sets."""

import os
import zipfile
from pathlib import Path

import numpy as np

DATA_DIR = "AUTOENCODERS_DATA_DIR"

_DIGITS_TRAIN_ROWS = 1437


def digits():
    """Scanned digits, 8×8 grey, from scikit-learn: 1,437 for training, the last 360 for testing.

    The split is by the order of the rows, which is that of the UCI archive's test part.
    """
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x = (x / 16.0).astype("float32").reshape(-1, 8, 8, 1)
    y = y.astype("int64")
    cut = _DIGITS_TRAIN_ROWS
    return (x[:cut], y[:cut]), (x[cut:], y[cut:])


def mnist():
    """Handwritten digits, 28×28 grey: 60,000 for training, 10,000 for testing."""
    return _load("mnist", (28, 28))


def fashion_mnist():
    """Articles of clothing, 28×28 grey: 60,000 for training, 10,000 for testing."""
    return _load("fashion_mnist", (28, 28))


def cifar10():
    """Photographs of ten classes, 32×32 RGB: 50,000 for training, 10,000 for testing."""
    return _load("cifar10", (32, 32, 3))


def _load(name, shape):
    folder = os.environ.get(DATA_DIR)
    path = Path(folder, f"{name}.npz") if folder else None
    if path is not None and path.is_file():
        (x_train, y_train), (x_test, y_test) = _read(path)
    else:
        (x_train, y_train), (x_test, y_test) = _fetch(name)
    return (
        (_images(x_train, shape, name), y_train.reshape(-1).astype("int64")),
        (_images(x_test, shape, name), y_test.reshape(-1).astype("int64")),
    )


def _read(path):
    try:
        with np.load(path, allow_pickle=False) as file:
            train, test = (
                tuple(file[f"{part}_{split}"] for part in "xy") for split in ("train", "test")
            )
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} must be an .npz file with the arrays x_train, y_train, x_test and y_test: "
            f"{error}"
        ) from error
    return train, test


def _fetch(name):
    import keras

    try:
        return getattr(keras.datasets, name).load_data()
    except Exception as error:
        # Keras raises a bare Exception when the download fails.
        raise RuntimeError(
            f"{name} could not be fetched. On a machine without network, put {name}.npz (arrays "
            f"x_train, y_train, x_test, y_test) into a folder and set {DATA_DIR} to it. {error}"
        ) from error


def _images(x, shape, name):
    if x.dtype != np.uint8 or x.shape[1:] != shape:
        raise ValueError(
            f"{name} must hold uint8 images of shape {shape}, got {x.dtype} {x.shape[1:]}."
        )
    x = x.astype("float32") / 255.0
    return x[..., np.newaxis] if x.ndim == 3 else x
