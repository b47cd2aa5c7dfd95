"""Image data sets."""

from __future__ import annotations

import numpy as np

from autoencoders import files
from autoencoders.datasets.local import DATA_DIR, Split, local_file

_DIGITS_TRAIN_ROWS = 1437


def digits() -> Split:
    """Scanned digits, 8×8 grey, from scikit-learn: 1,437 for training, the last 360 for testing.

    The split is by the order of the rows, which is that of the UCI archive's test part.
    """
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x = (x / 16.0).astype("float32").reshape(-1, 8, 8, 1)
    y = y.astype("int64")
    cut = _DIGITS_TRAIN_ROWS
    return (x[:cut], y[:cut]), (x[cut:], y[cut:])


def mnist() -> Split:
    """Handwritten digits, 28×28 grey: 60,000 for training, 10,000 for testing."""
    return _load("mnist", (28, 28))


def fashion_mnist() -> Split:
    """Articles of clothing, 28×28 grey: 60,000 for training, 10,000 for testing."""
    return _load("fashion_mnist", (28, 28))


def cifar10() -> Split:
    """Photographs of ten classes, 32×32 RGB: 50,000 for training, 10,000 for testing."""
    return _load("cifar10", (32, 32, 3))


# What `load` finds by name.
LOADERS = {"cifar10": cifar10, "digits": digits, "fashion_mnist": fashion_mnist, "mnist": mnist}


def _load(name: str, shape: tuple[int, ...]) -> Split:
    path = local_file(name)
    if path is None:
        (x_train, y_train), (x_test, y_test) = _fetch(name)
    else:
        arrays = files.read_arrays(path, "x_train", "y_train", "x_test", "y_test")
        x_train, y_train, x_test, y_test = arrays
    return (
        (_images(x_train, shape, name), y_train.reshape(-1).astype("int64")),
        (_images(x_test, shape, name), y_test.reshape(-1).astype("int64")),
    )


def _fetch(name: str) -> Split:
    import keras

    try:
        return getattr(keras.datasets, name).load_data()
    except Exception as error:
        # Keras raises a bare Exception when the download fails.
        raise RuntimeError(
            f"{name} could not be fetched. On a machine without network, put {name}.npz (arrays "
            f"x_train, y_train, x_test, y_test) into a folder and set {DATA_DIR} to it. {error}"
        ) from error


def _images(x: np.ndarray, shape: tuple[int, ...], name: str) -> np.ndarray:
    if x.dtype != np.uint8 or x.shape[1:] != shape:
        raise ValueError(
            f"{name} must hold uint8 images of shape {shape}, got {x.dtype} {x.shape[1:]}."
        )
    x = x.astype("float32") / 255.0
    return x[..., np.newaxis] if x.ndim == 3 else x
