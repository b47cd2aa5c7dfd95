"""Rows as users have them: arrays, frames and pipelines; checked."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import validate_data

from autoencoders.anomaly.base import Detector
from autoencoders.anomaly.chunks import batches, chunks, is_pipeline, spool
from autoencoders.frames import check_columns, unmasked

# What a detector takes: arrays, frames, and pipelines of batches.
Rows = ArrayLike | Iterable[Any]


def read(X: Rows, columns: Detector, folder: str, *, known: bool) -> np.ndarray:
    """All rows of X as one array; those of a pipeline lie in a file of `folder`.

    Args:
        X: Two rows or more.
        columns: The detector that holds the number and the names of the columns.
        folder: A folder for temporary files.
        known: Whether `columns` holds them already: X must then have the same columns. If not, the
            detector takes those of X.

    Raises:
        ValueError: rows that are not finite numbers, that are not like those that the detector
            knows, or that are too few.
    """
    if is_pipeline(X):
        X = spool(batches(X), folder)
    return _checked(X, columns, known=known, ensure_min_samples=2)


def read_array(X: Rows, columns: Detector) -> np.ndarray:
    """All rows of an array or frame, whose columns the detector gets to know.

    Raises:
        ValueError: as of `read`; or a pipeline.
    """
    if is_pipeline(X):
        raise ValueError("Calibrate a model that was not fitted here with an array of rows.")
    return _checked(X, columns, known=False)


def checked_chunks(X: Rows, detector: Detector) -> Iterator[np.ndarray]:
    """The rows of X, some at a time, like those that the detector was fitted on.

    Raises:
        ValueError: as of `read`.
    """
    if not is_pipeline(X):
        yield from chunks(_checked(X, detector, known=True))
        return
    for part in batches(X):
        _check_row_shape(part, detector)
        yield part


def _checked(X: Rows, columns: Detector, *, known: bool, **options: Any) -> np.ndarray:
    check_columns(X, "X")
    options = {"allow_nd": True, "dtype": "numeric", **options}
    rows = validate_data(columns, unmasked(X), reset=not known, **options)
    if known:
        _check_row_shape(rows, columns)
    return rows


def _check_row_shape(X: np.ndarray, detector: Detector) -> None:
    if tuple(X.shape[1:]) != detector.row_shape_:
        raise ValueError(
            f"Rows have shape {tuple(X.shape[1:])}, but the detector was fitted on rows of "
            f"shape {detector.row_shape_}."
        )
