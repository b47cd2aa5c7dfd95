"""Series as users have them: arrays, frames, or lists of these; checked."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_array, validate_data

from autoencoders.anomaly.base import Detector
from autoencoders.anomaly.chunks import chunks, is_pipeline
from autoencoders.frames import check_columns, unmasked

# What a detector takes: a series, or several.
Series = ArrayLike | Sequence[ArrayLike]


def is_several(X: Any) -> bool:
    """Whether this is a list of series; a list of numbers is one series."""
    return isinstance(X, (list, tuple)) and any(np.ndim(x) > 0 for x in X)


def read(X: Any, columns: Detector, *, known: bool = True) -> list[np.ndarray]:
    """The series of X as arrays `(time, channels)` of numbers and NaN.

    Args:
        X: A series or a list of series.
        columns: The detector that knows the channels.
        known: Whether it holds them already: the series must then have the same channels. If
            not, those of the first series are noted there.

    Raises:
        ValueError: as of `read_one`.
    """
    found: list[np.ndarray] = []
    for x in X if is_several(X) else [X]:
        found.append(read_one(x, columns, known=known or bool(found)))
    return found


def read_one(x: Any, columns: Detector, *, known: bool = True, least: int = 1) -> np.ndarray:
    """One series as an array `(time, channels)` of numbers and NaN.

    Args:
        x: The series.
        columns, known: As in `read`.
        least: The fewest points.

    Raises:
        ValueError: a pipeline, infinity, values that are not numbers, too few points, or channels
            that are not those of the detector.
    """
    if is_pipeline(x):
        raise ValueError(
            "A series is an array or a data frame, not a pipeline: put it together, or map it "
            "from a file; and to score one that comes in piece by piece, use `stream()`."
        )
    check_columns(x, "X")
    x = unmasked(x)
    options: dict[str, Any] = {"dtype": "numeric", "ensure_all_finite": False}
    if np.ndim(x) < 2:
        # A frame's column has a name of its own, which is none of the detector's channels' names.
        x = check_array(x, ensure_2d=False, ensure_min_samples=0, **options).reshape(-1, 1)
    elif np.ndim(x) > 2:
        raise ValueError(
            f"A series has shape (time,) or (time, channels), got {np.shape(x)}. Pass several "
            "series as a list."
        )
    if known and np.shape(x)[1] != columns.n_features_in_:
        raise ValueError(
            f"A series has {np.shape(x)[1]} channels, but the detector was fitted on "
            f"{columns.n_features_in_}: pass the same channels, in the same order."
        )
    x = validate_data(columns, x, reset=not known, ensure_min_samples=least, **options)
    _check_finite(chunks(x))
    return x


def _check_finite(parts: Iterable[np.ndarray]) -> None:
    seen = 0
    for part in parts:
        infinite = np.isinf(part).any(axis=1)
        if infinite.any():
            raise ValueError(
                f"A series holds infinity at point {seen + int(infinite.argmax())}: make it "
                "NaN if the value is missing, or clip it."
            )
        seen += len(part)
