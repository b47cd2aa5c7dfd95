"""Scalers: one affine map for each column of a table, or channel of images and series."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn import preprocessing

from autoencoders.registry import unknown


class _Kind(NamedTuple):
    """A kind of scaler.

    Attributes:
        make: Makes scikit-learn's scaler.
        parameters: What a fitted one subtracts and divides by.
        in_parts: Whether it can be fitted on a part of the rows after another; quantiles need all
            rows at once.
    """

    make: Callable[[], Any]
    parameters: Callable[[Any], tuple[np.ndarray, np.ndarray]]
    in_parts: bool = True


_SCALERS = {
    "standard": _Kind(preprocessing.StandardScaler, lambda fitted: (fitted.mean_, fitted.scale_)),
    "robust": _Kind(
        preprocessing.RobustScaler, lambda fitted: (fitted.center_, fitted.scale_), in_parts=False
    ),
    "minmax": _Kind(
        preprocessing.MinMaxScaler, lambda fitted: (fitted.data_min_, 1 / fitted.scale_)
    ),
}

# Scaled values are cut off here: the arithmetic of a network on larger ones would not fit into
# single precision. Rows that are not scaled may have any units, and go as far as their squares fit.
_FARTHEST = 1e8
_FARTHEST_UNSCALED = 1e18


class Scaler:
    """What maps rows to the units that the model sees.

    Args:
        center, scale: Arrays `(channels,)`: what is subtracted, and what is divided by; numbers
            where rows are left as they are.
        mask_value: Number that stands for padding, in steps all of whose channels have it; such
            steps are not scaled.
    """

    def __init__(
        self, center: ArrayLike, scale: ArrayLike, mask_value: float | None = None
    ) -> None:
        self.center: np.ndarray = np.asarray(center, "float64")
        self.scale: np.ndarray = np.asarray(scale, "float64")
        self._mask_value = mask_value
        self._farthest = _FARTHEST if self.center.ndim else _FARTHEST_UNSCALED

    @classmethod
    def fit(
        cls, name: str | None, chunks: Iterable[np.ndarray], mask_value: float | None = None
    ) -> Self:
        """The scaler of this name for rows that come in chunks; for None one that changes nothing.

        Columns that never change are centred, and keep their units.

        Raises:
            ValueError: there is no such scaler.
        """
        if name is None:
            return cls(0.0, 1.0)
        if name not in _SCALERS:
            raise ValueError(unknown("scaler", name, _SCALERS))
        kind = _SCALERS[name]
        scaler = kind.make()
        tables = (chunk.reshape(-1, chunk.shape[-1]) for chunk in chunks)
        if mask_value is not None:
            tables = (table[~_padding(table, mask_value)] for table in tables)
            tables = (table for table in tables if len(table))
        if kind.in_parts:
            for table in tables:
                scaler.partial_fit(table.astype("float64", copy=False))
        else:
            scaler.fit(np.concatenate(list(tables)).astype("float64", copy=False))
        return cls(*kind.parameters(scaler), mask_value)

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Rows `(n, ..., channels)` in the model's units, in single precision."""
        scaled = (rows - self.center) / self.scale
        scaled = np.clip(scaled, -self._farthest, self._farthest).astype("float32")
        if self._mask_value is not None:
            scaled[_padding(rows, self._mask_value)] = self._mask_value
        return scaled


def _padding(rows: np.ndarray, mask_value: float) -> np.ndarray:
    """Which steps are padding."""
    return (rows.astype("float32") == np.float32(mask_value)).all(axis=-1)
