"""Scalers: one affine map for each column of a table, or channel of images and series."""

import numpy as np
from sklearn import preprocessing

from autoencoders.registry import unknown

# Name -> scikit-learn's scaler, and what it subtracts and divides by.
_SCALERS = {
    "standard": (preprocessing.StandardScaler, lambda fitted: (fitted.mean_, fitted.scale_)),
    "robust": (preprocessing.RobustScaler, lambda fitted: (fitted.center_, fitted.scale_)),
    "minmax": (preprocessing.MinMaxScaler, lambda fitted: (fitted.data_min_, 1 / fitted.scale_)),
}

# In scaled units; beyond it the square of an error would no longer fit into single precision.
_FARTHEST = 1e8


class Scaler:
    """What maps rows to the units that the model sees.

    Args:
        center, scale: Arrays `(channels,)`: what is subtracted, and what is divided by.
    """

    def __init__(self, center, scale):
        self.center = np.asarray(center, "float64")
        self.scale = np.asarray(scale, "float64")

    @classmethod
    def fit(cls, name, chunks):
        """The scaler of this name for rows that come in chunks; for None one that changes nothing.

        Columns that never change are centred, and keep their units.

        Raises:
            ValueError: there is no such scaler.
        """
        if name is None:
            return cls(0.0, 1.0)
        if name not in _SCALERS:
            raise ValueError(unknown("scaler", name, _SCALERS))
        make, parameters = _SCALERS[name]
        scaler = make()
        tables = (chunk.reshape(-1, chunk.shape[-1]) for chunk in chunks)
        if hasattr(scaler, "partial_fit"):
            for table in tables:
                scaler.partial_fit(table.astype("float64", copy=False))
        else:  # quantiles need all rows at once
            scaler.fit(np.concatenate(list(tables)).astype("float64", copy=False))
        return cls(*parameters(scaler))

    def __call__(self, rows):
        """Rows `(n, ..., channels)` in the model's units, in single precision."""
        scaled = (rows - self.center) / self.scale
        return np.clip(scaled, -_FARTHEST, _FARTHEST).astype("float32")
