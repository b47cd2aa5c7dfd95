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

# In scaled units; beyond it the arithmetic of a network would no longer fit into single precision.
# Rows that are not scaled, whose units may be anything, may go as far as their squares fit.
_FARTHEST = 1e8
_FARTHEST_UNSCALED = 1e18


class Scaler:
    """What maps rows to the units that the model sees.

    Args:
        center, scale: Arrays `(channels,)`: what is subtracted, and what is divided by; numbers
            where rows are left as they are.
        mask_value: Number that stands for padding, in steps all of whose channels have it; it is
            left as it is.
    """

    def __init__(self, center, scale, mask_value=None):
        self.center = np.asarray(center, "float64")
        self.scale = np.asarray(scale, "float64")
        self._mask_value = mask_value
        self._farthest = _FARTHEST if self.center.ndim else _FARTHEST_UNSCALED

    @classmethod
    def fit(cls, name, chunks, mask_value=None):
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
        if mask_value is not None:
            tables = (table[~_padding(table, mask_value)] for table in tables)
            tables = (table for table in tables if len(table))
        if hasattr(scaler, "partial_fit"):
            for table in tables:
                scaler.partial_fit(table.astype("float64", copy=False))
        else:  # quantiles need all rows at once
            scaler.fit(np.concatenate(list(tables)).astype("float64", copy=False))
        return cls(*parameters(scaler), mask_value)

    def __call__(self, rows):
        """Rows `(n, ..., channels)` in the model's units, in single precision."""
        scaled = (rows - self.center) / self.scale
        scaled = np.clip(scaled, -self._farthest, self._farthest).astype("float32")
        if self._mask_value is not None:
            scaled[_padding(rows, self._mask_value)] = self._mask_value
        return scaled


def _padding(rows, mask_value):
    return (rows.astype("float32") == np.float32(mask_value)).all(axis=-1)
