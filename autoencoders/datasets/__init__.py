"""Data sets, all as `(x_train, y_train), (x_test, y_test)`.

Images are float32 in [0, 1] with a channel axis, `(n, height, width, channels)`; labels are
integers, `(n,)`. `digits` comes with scikit-learn and needs no download; the others come through
`keras.datasets`, or from the folder that the environment variable `AUTOENCODERS_DATA_DIR` names,
if it holds `<name>.npz` with the arrays `x_train`, `y_train`, `x_test` and `y_test`.
"""

from autoencoders.datasets.images import cifar10, digits, fashion_mnist, mnist
from autoencoders.registry import unknown

__all__ = ["cifar10", "digits", "fashion_mnist", "load", "mnist"]

_LOADERS = {"cifar10": cifar10, "digits": digits, "fashion_mnist": fashion_mnist, "mnist": mnist}


def load(name):
    """The data set of that name.

    Raises:
        ValueError: there is none; the message suggests the nearest.
    """
    if name not in _LOADERS:
        raise ValueError(unknown("data set", name, _LOADERS))
    return _LOADERS[name]()
