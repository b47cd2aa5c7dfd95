"""`Stream`: scores of a series that comes in piece by piece."""

import numpy as np
from numpy.typing import ArrayLike

from autoencoders.anomaly.base import Detector
from autoencoders.anomaly.chunks import chunks
from autoencoders.anomaly.series.points import PointSums, sums_of_totals
from autoencoders.anomaly.series.reading import read_one


class Stream:
    """Scores a series while it comes in: the scores that `score_samples` gives for all of it.

    The score of a point is final when the series has gone on for a window's length. Memory is
    bounded by the window and the longest piece. `SeriesAnomalyDetector.stream` makes one.

    >>> stream = detector.stream()
    >>> for piece in pieces:
    ...     scores = stream.update(piece)
    ...     anomalous = scores < detector.offset_  # as `predict` decides; False where NaN
    >>> rest = stream.finish()

    Args:
        detector: A fitted `SeriesAnomalyDetector`, which must not be fitted anew meanwhile.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._fitted = detector.fitted_
        self._points: PointSums | None = sums_of_totals(self._fitted)

    def update(self, X: ArrayLike) -> np.ndarray:
        """Go on with the series.

        Args:
            X: The next points, `(n,)` of one channel or `(n, channels)`.

        Returns:
            The scores that are final by now, in the order of the points: `(m,)`. After t points,
            t − window scores have been returned.

        Raises:
            ValueError: as `score_samples` does; or the series is finished.
        """
        points = self._points
        if points is None:
            raise ValueError("The series is finished: begin another one with `detector.stream()`.")
        x = read_one(X, self._detector, least=0)
        scaler = self._fitted.scaler
        parts = [self._scores(points.update(scaler(part))) for part in chunks(x)]
        return np.concatenate([np.empty(0), *parts])

    def finish(self) -> np.ndarray:
        """End the series; the scores of its last points: `(m,)`."""
        points, self._points = self._points, None
        if points is None:
            raise ValueError("The series is finished already.")
        return self._scores(points.finish())

    def _scores(self, totals):
        errors, expected = totals
        return self._fitted.score.of(errors / expected)
