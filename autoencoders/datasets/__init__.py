"""Data sets, all as `(x_train, y_train), (x_test, y_test)`.

Images are float32 in [0, 1] with a channel axis, `(n, height, width, channels)`; series are
`(n, steps, features)`; labels are integers, `(n,)`. `digits` comes with scikit-learn and needs no
download; the other images come through `keras.datasets`, or from the folder that the environment
variable `AUTOENCODERS_DATA_DIR` names, if it holds `<name>.npz` with the arrays `x_train`,
`y_train`, `x_test` and `y_test`; `ecg5000` comes from there alone.

`sprites` are of another kind: an object that draws its images when they are asked for, with the
factors that they vary in. `load` does not give it.
"""

from __future__ import annotations

import os
from pathlib import Path

from autoencoders.datasets import images
from autoencoders.datasets.images import cifar10, digits, fashion_mnist, mnist
from autoencoders.datasets.local import Split, local_file
from autoencoders.datasets.series import ecg5000
from autoencoders.datasets.sprites import sprites
from autoencoders.registry import unknown

__all__ = ["at_hand", "cifar10", "digits", "ecg5000", "fashion_mnist", "load", "mnist", "sprites"]

_LOADERS = {**images.LOADERS, "ecg5000": ecg5000}


def at_hand(name: str) -> bool:
    """Whether a data set can be had without a network, as far as its file's presence tells."""
    if name in ("digits", "sprites"):
        return True
    if local_file(name) is not None:
        return True
    fetched = Path(os.environ.get("KERAS_HOME", "~/.keras"), "datasets").expanduser()
    return name != "ecg5000" and (fetched / f"{name}.npz").is_file()


def load(name: str) -> Split:
    """The data set of that name, as arrays.

    Raises:
        ValueError: there is no data set of that name; the message suggests the nearest.
        RuntimeError: the data set is not at hand, and cannot be fetched.
    """
    if name == "sprites":
        raise ValueError(
            "`sprites` are not arrays, but drawn when they are asked for: use "
            "`autoencoders.datasets.sprites()`, whose `split()` gives a part for training and one "
            "for testing."
        )
    if name not in _LOADERS:
        raise ValueError(unknown("data set", name, _LOADERS))
    return _LOADERS[name]()
