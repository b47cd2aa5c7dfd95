"""Windows of long series, and sums over the windows that cover a point."""

import numpy as np

# Training windows at most, and what they may take of memory.
_MOST = 100_000
_MOST_BYTES = 2**29

# The share of the training windows that get a gap more.
_GAPS = 0.5

# The share of the gaps in some channels only that last for the whole window.
_LASTING = 0.5

# Windows that are run together, which bounds memory.
_GROUP = 1024


def fill(windows):
    """Windows without gaps, and where their values were observed.

    A missing value becomes the last one observed before it in its window and channel, else the
    first one after it, else 0.

    Args:
        windows: `(n, steps, channels)`, NaN where values are missing.

    Returns:
        Two arrays `(n, steps, channels)`, the second bool.
    """
    observed = ~np.isnan(windows)
    if observed.all():
        return windows, observed
    steps = np.arange(windows.shape[1])[:, None]
    last = np.maximum.accumulate(np.where(observed, steps, -1), axis=1)
    first = observed.argmax(axis=1)[:, None]
    filled = np.take_along_axis(windows, np.where(last < 0, first, last), axis=1)
    return np.nan_to_num(filled), observed


def with_gaps(windows, seed):
    """Windows of which half have one more gap, of up to half a window, in some channels or all.

    A third of the gaps end with the window, as where a series ends; a third begin with it. Some
    channels of several may also be missing throughout.

    Args:
        windows: `(n, steps, channels)`.
        seed: Integer.

    Returns:
        A copy, NaN in the gaps.
    """
    random = np.random.default_rng(seed)
    count, steps, channels = windows.shape
    lengths = random.integers(1, steps // 2 + 1, count)
    begins = random.integers(1 - lengths, steps)  # long gaps reach beyond the window
    place = random.integers(3, size=count)
    begins = np.select([place == 0, place == 1], [0, steps - lengths], begins)
    passed = np.arange(steps) - begins[:, None]
    inside = (passed >= 0) & (passed < lengths[:, None])
    which = random.random((count, 1, channels)) < 0.5
    which |= ~which.any(axis=2, keepdims=True) | (random.random((count, 1, 1)) < 0.5)
    inside |= ~which.all(axis=2) & (random.random((count, 1)) < _LASTING)
    inside &= random.random((count, 1)) < _GAPS
    return np.where(inside[:, :, None] & which, windows.dtype.type(np.nan), windows)


def of_series(parts, steps):
    """Windows for training: at every point one begins, evenly thinned if they are many.

    Args:
        parts: Arrays `(time, channels)`, NaN where values are missing. One shorter than a window
            ends with a gap.
        steps: Length of a window.

    Returns:
        `(n, steps, channels)`: up to 100,000 windows or 512 MiB, without those that miss more than
        half of their values.
    """
    parts = [_at_least(part, steps) for part in parts]
    views = [np.lib.stride_tricks.sliding_window_view(part, steps, axis=0) for part in parts]
    firsts = np.cumsum([0, *(len(view) for view in views)])
    count = firsts[-1]
    most = min(_MOST, max(_MOST_BYTES // (8 * steps * parts[0].shape[1]), 1), count)
    chosen = np.arange(most) * count // most
    windows = np.concatenate(
        [
            view[chosen[(chosen >= first) & (chosen < first + len(view))] - first]
            for view, first in zip(views, firsts, strict=False)
        ]
    ).swapaxes(1, 2)
    return windows[_enough(windows)]


class PointSums:
    """Sums over the windows that cover a point, of one series that comes in pieces, however cut.

    Windows begin at points 0, stride, 2 · stride, ...; one more ends with the series. What they
    tell of a point is added in the order in which they begin. The sum is final when the series has
    gone on for a window's length: no later window covers the point. A window that misses more than
    half of its values covers nothing. A series shorter than a window ends with a gap.

    Args:
        of_windows: From windows and where they were observed, `(n, steps, channels)`, to
            `(n, *shape, steps)`.
        shape: Tuple of integers.
        steps, stride, channels: Integers.
    """

    def __init__(self, of_windows, shape, steps, stride, channels):
        self._of_windows = of_windows
        self._steps, self._stride = steps, stride
        self._rows = np.empty((0, channels), "float32")
        self._sums = np.empty((*shape, 0))
        self._covered = np.empty(0, bool)
        self._first = 0  # the point that the arrays begin with
        self._next = 0  # the point that the next window begins with

    def update(self, rows):
        """Go on with rows `(n, channels)`; the sums that are final now, `(*shape, m)`.

        NaN where there is no window or no value.
        """
        self._append(rows)
        last = self._end - self._steps
        if last >= self._next:
            self._cover(np.arange(self._next, last + 1, self._stride))
            self._next += self._stride * ((last - self._next) // self._stride + 1)
        return self._release(last)

    def finish(self):
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
            windows = view[group].swapaxes(1, 2)
            enough = _enough(windows)
            if not enough.any():
                continue
            found = self._of_windows(*fill(windows[enough]))
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


def _at_least(rows, steps):
    missing = steps - len(rows)
    if missing <= 0:
        return rows
    return np.pad(rows.astype("float64"), ((0, missing), (0, 0)), constant_values=np.nan)


def _enough(windows):
    """Which windows have half of their values or more."""
    return 2 * (~np.isnan(windows)).sum(axis=(1, 2)) >= windows.shape[1] * windows.shape[2]
