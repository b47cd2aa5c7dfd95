"""Columns of codes and of factors: what several scores check of them and compute with them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from autoencoders.checks import check_integers


def checked(
    codes: ArrayLike, factors: ArrayLike, least: int = 1, kinds: str = "iu"
) -> tuple[np.ndarray, np.ndarray]:
    """Codes as float64, and for each factor the numbers of its values, 0 and so on.

    Args:
        codes: `(n, d)`.
        factors: `(n, k)`.
        least: The smallest k.
        kinds: The kinds of numbers that factors may be, as NumPy abbreviates them.

    Raises:
        ValueError: other shapes, numbers that are not finite, a constant factor.
    """
    codes, factors = np.asarray(codes), np.asarray(factors)
    if codes.ndim != 2 or codes.dtype.kind not in "fiu" or 0 in codes.shape:
        raise ValueError(
            f"`codes` must be numbers of shape (n, d), got {codes.dtype} of shape {codes.shape}."
        )
    if factors.ndim != 2 or factors.dtype.kind not in kinds or factors.shape[1] < least:
        numbers = "numbers" if "f" in kinds else "integers"
        raise ValueError(
            f"`factors` must be {numbers} of shape (n, k), k at least {least}; got {factors.dtype} "
            f"of shape {factors.shape}."
        )
    if not np.isfinite(factors).all():
        raise ValueError("`factors` must be finite, but some are NaN or infinity.")
    if len(codes) != len(factors):
        raise ValueError(
            f"`codes` and `factors` must have as many rows, got {len(codes)} and {len(factors)}."
        )
    bad = ~np.isfinite(codes).all(axis=1)
    if bad.any():
        raise ValueError(
            f"`codes` must be finite, but {bad.sum()} rows hold NaN or infinity, the first of them "
            f"row {bad.argmax()}."
        )
    for k, values in enumerate(factors.T):
        if values.min() == values.max():
            raise ValueError(
                f"Factor {k} has the value {values[0]} in all rows: leave its column out, there is "
                "nothing to tell."
            )
    numbers = [np.unique(values, return_inverse=True)[1] for values in factors.T]
    return codes.astype("float64"), np.stack(numbers, axis=1)


def split(rows: int, test: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the rows to train with, and of a share `test` that is held out.

    Raises:
        ValueError: a share that leaves one part without rows; a seed that is not one.
    """
    check_integers(0, seed=seed)
    held_out = round(rows * test)
    if not 0 < held_out < rows:
        raise ValueError(f"`test={test}` of {rows} rows leaves one part without rows.")
    order = np.random.default_rng(seed).permutation(rows)
    return order[held_out:], order[:held_out]


def vary(codes: np.ndarray) -> np.ndarray:
    """Whether each dimension varies by more than rounding: `(n, d)` to `(d,)`."""
    rounding = np.finfo(codes.dtype if codes.dtype.kind == "f" else "float64").eps
    return np.ptp(codes, axis=0) > rounding * np.abs(codes).max(axis=0)


def gap(scores: np.ndarray) -> np.ndarray:
    """The largest score of each column less the second largest, which is 0 where there is none."""
    ordered = np.sort(scores, axis=0)
    return ordered[-1] - (ordered[-2] if len(ordered) > 1 else 0.0)


def entropy(counts: np.ndarray) -> float:
    """The entropy, in nats, of the distribution with these counts."""
    shares = counts[counts > 0] / counts.sum()
    return -np.sum(shares * np.log(shares))
