"""What the windows of one series tell of its points, by sums over those that cover a point."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from autoencoders.anomaly.chunks import chunks
from autoencoders.anomaly.fitted import Fitted
from autoencoders.anomaly.series import windows

# The memory of windows that are scored at once: few enough to stay in the processor's cache, and
# for a stream not to wait for.
_BATCH_BYTES = 2**20
_FEWEST, _MOST = 8, 128

# How many windows are cut out at once, which bounds memory.
_GROUP = 1024


class PointSums:
    """Sums over the windows that cover a point, of one series that comes in pieces, however cut.

    Windows begin at points 0, stride, 2 · stride, ...; one more ends with the series. What they
    tell of a point is added in the order in which they begin. The sum is final when the series has
    gone on for a window's length: no later window covers the point. A window that misses more than
    half of its values covers nothing. A series shorter than a window ends with a gap.

    Args:
        of_windows: From windows and where they were observed, `(n, steps, channels)`, to
            `(n, *shape, steps)`.
        shape: The shape of what a window tells of one of its points.
        steps: Points in a window.
        stride: Points from one window to the next.
        channels: Channels of the series.
    """

    def __init__(
        self,
        of_windows: Callable[[np.ndarray, np.ndarray], np.ndarray],
        shape: tuple[int, ...],
        steps: int,
        stride: int,
        channels: int,
    ) -> None:
        self._of_windows = of_windows
        self._steps, self._stride = steps, stride
        self._rows = np.empty((0, channels), "float32")
        self._sums = np.empty((*shape, 0))
        self._covered = np.empty(0, bool)
        self._first = 0  # the point that the arrays begin with
        self._next = 0  # the point that the next window begins with

    def update(self, rows: np.ndarray) -> np.ndarray:
        """Go on with rows `(n, channels)`; the sums that are final now, `(*shape, m)`.

        NaN where there is no window or no value.
        """
        self._append(rows)
        last = self._end - self._steps
        if last >= self._next:
            self._cover(np.arange(self._next, last + 1, self._stride))
            self._next += self._stride * ((last - self._next) // self._stride + 1)
        return self._release(last)

    def finish(self) -> np.ndarray:
        """End the series; the sums of the points that are left."""
        end = self._end
        if 0 < end < self._steps:
            self._append(np.full((self._steps - end, self._rows.shape[1]), np.nan, "float32"))
        if end and self._next - self._stride < self._end - self._steps:
            self._cover(np.array([self._end - self._steps]))
        return self._release(end)

    @property
    def _end(self):
        return self._first + len(self._rows)

    def _append(self, rows):
        self._rows = np.concatenate([self._rows, rows.astype("float32", copy=False)])
        more = np.zeros((*self._sums.shape[:-1], len(rows)))
        self._sums = np.concatenate([self._sums, more], axis=-1)
        self._covered = np.pad(self._covered, (0, len(rows)))

    def _cover(self, begins):
        begins = begins - self._first
        view = np.lib.stride_tricks.sliding_window_view(self._rows, self._steps, axis=0)
        for start in range(0, len(begins), _GROUP):
            group = begins[start : start + _GROUP]
            cut = view[group].swapaxes(1, 2)
            enough = windows.enough(cut)
            if not enough.any():
                continue
            found = self._of_windows(*windows.fill(cut[enough]))
            for begin, one in zip(group[enough], found, strict=True):
                covered = slice(begin, begin + self._steps)
                self._sums[..., covered] += one
                self._covered[covered] = True

    def _release(self, until):
        count = max(until - self._first, 0)
        known = self._covered[:count] & ~np.isnan(self._rows[:count]).all(axis=1)
        sums = np.where(known, self._sums[..., :count], np.nan)
        self._rows, self._covered = self._rows[count:], self._covered[count:]
        self._sums = self._sums[..., count:]
        self._first += count
        return sums


def ratios(fitted: Fitted, x: np.ndarray) -> np.ndarray:
    """E / B of the points of a series `(time, channels)`: `(levels, time)`."""
    pieces = _pieces(fitted, x, sums_of_totals(fitted))
    return np.concatenate([error / expected for error, expected in pieces], axis=1)


def contributions(fitted: Fitted, x: np.ndarray) -> np.ndarray:
    """What each channel adds to the scores of a series `(time, channels)`, in that shape."""
    score, channels = fitted.score, fitted.row_shape[1]
    sums = _sums(fitted, score.shares, (2, score.levels, channels))
    return np.concatenate([score.contributions(part) for part in _pieces(fitted, x, sums)])


def sums_of_totals(fitted: Fitted) -> PointSums:
    """What `PointScore.totals` tells of the points of one series, which is yet to come."""
    return _sums(fitted, fitted.score.totals, (2, fitted.score.levels))


def _sums(fitted: Fitted, function: Callable[[Any, Any], Any], shape: tuple[int, ...]) -> PointSums:
    """`function` of the score, of shape `(*shape, steps)`, for the points of one series."""
    steps, channels = fitted.row_shape
    batch_size = int(np.clip(_BATCH_BYTES // (4 * steps * channels), _FEWEST, _MOST))

    def of_windows(x, observed):
        name = function.__name__
        return fitted.runner.run(name, function, (x, observed), batch_size=batch_size)

    return PointSums(of_windows, shape, steps, fitted.score.stride, channels)


def _pieces(fitted: Fitted, x: np.ndarray, sums: PointSums) -> Iterator[np.ndarray]:
    """The sums of a whole series, piece by piece."""
    for part in chunks(x):
        yield sums.update(fitted.scaler(part))
    yield sums.finish()
