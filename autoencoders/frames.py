"""Data frames of pandas and polars, and masked arrays, as arrays of numbers.

Neither library is imported.
"""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np


def is_frame(data: Any) -> bool:
    """Whether this is a data frame of pandas or polars, be it a lazy one."""
    kind = type(data)
    return kind.__module__.partition(".")[0] in _LIBRARIES and kind.__name__.endswith("Frame")


_LIBRARIES = ("pandas", "polars")


def check_columns(data: Any, name: str) -> None:
    """Raise a ValueError if a data frame has columns that do not hold numbers.

    Anything else passes.
    """
    if not is_frame(data):
        return
    if type(data).__name__ == "LazyFrame":
        raise ValueError(f"`{name}` must be one dense array, got a LazyFrame. Use `.collect()`.")
    kinds = enumerate(zip(data.columns, data.dtypes, strict=True))
    others = [
        column
        for number, (column, dtype) in kinds
        if not (_is_numeric(dtype) or _holds_numbers(data, number, dtype))
    ]
    if others:
        raise ValueError(
            f"`{name}` must be numeric, but has the columns {others}. Encode or drop them."
        )


def _is_numeric(dtype):
    """Whether a column of this type holds numbers, or truth values: NumPy's, pandas' or polars'."""
    if type(dtype).__module__.startswith("polars"):
        return dtype.is_numeric() or str(dtype) == "Boolean"
    return dtype.kind in "fiub"


def _holds_numbers(frame, number, dtype):
    """Whether a column of pandas' for any objects holds numbers alone."""
    if type(dtype).__module__.startswith("polars") or dtype.kind != "O":
        return False
    return all(value is None or isinstance(value, Real) for value in frame.iloc[:, number])


def numbers(frame: Any, name: str, dtype: str) -> np.ndarray:
    """The rows of a data frame as an array of floating-point numbers, NaN where one is missing.

    Args:
        frame: A data frame.
        name: What messages call it.
        dtype: The type of the numbers, where the columns have no floating-point type in common.

    Raises:
        ValueError: columns that do not hold numbers.
    """
    check_columns(frame, name)
    array = np.asarray(frame)
    if array.dtype.kind == "f":
        return array
    if type(frame).__module__.startswith("pandas"):
        return frame.to_numpy(dtype=dtype, na_value=np.nan)
    return array.astype(dtype)


def unmasked(data: Any) -> Any:
    """A masked array with NaN where it is masked, not what is under the mask; others as given."""
    if isinstance(data, np.ma.MaskedArray) and np.ma.is_masked(data):
        return np.ma.filled(data.astype(np.result_type(data.dtype, "float32")), np.nan)
    return data
