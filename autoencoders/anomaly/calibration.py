"""From scores to decisions: split-conformal p-values and the false-discovery rate.

A p-value compares a row with calibration rows, normal ones that the detector was not trained on.
Whatever the score and the data, a normal row has p ≤ α with probability α at most (Vovk et al.,
"Algorithmic learning in a random world", 2005). Over a batch, the procedure of Benjamini & Hochberg
(1995) on these p-values bounds the expected share of false alarms among the alarms (Bates et al.,
"Testing for outliers with conformal p-values", Annals of Statistics 51, 2023, arXiv:2104.08279).

Scores are scikit-learn's here: high for normal rows.
"""

import math

import numpy as np


def rows_needed(rate: float) -> int:
    """The fewest calibration rows with which any row can be flagged at this rate."""
    return math.ceil(_exactly(1.0 / rate)) - 1


def threshold(calibration: np.ndarray, rate: float) -> float:
    """The score below which a row is flagged: below it, and only there, p ≤ `rate`.

    Args:
        calibration: Scores of normal rows, `(m,)`, sorted.
        rate: False-positive rate, in (0, 1).

    Returns:
        A float; −inf where there are too few rows.
    """
    rank = math.floor(_exactly(rate * (len(calibration) + 1)))
    return float(calibration[rank - 1]) if rank else -math.inf


def p_values(calibration: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The p-value of each score: `(n,)`.

    Args:
        calibration: Scores of normal rows, `(m,)`, sorted.
        scores: Scores of the rows to judge, `(n,)`.
    """
    below = np.searchsorted(calibration, scores, side="right")
    return (1 + below) / (len(calibration) + 1)


def discoveries(p: np.ndarray, rate: float) -> np.ndarray:
    """Which p-values the procedure of Benjamini & Hochberg rejects: bool, `(n,)`.

    The same as `scipy.stats.false_discovery_control(p) <= rate`, but exact at ties of the bound.
    """
    ordered = np.sort(p)
    bound = rate * np.arange(1, len(p) + 1) / len(p)
    passed = np.flatnonzero(ordered <= bound * (1.0 + 1e-12))
    return p <= ordered[passed[-1]] if len(passed) else np.zeros(len(p), bool)


def _exactly(number: float) -> float:
    """The number, or the integer that rounding has moved it from: 0.29 · 100 is 29."""
    return round(number) if abs(number - round(number)) < 1e-9 * max(number, 1.0) else number
