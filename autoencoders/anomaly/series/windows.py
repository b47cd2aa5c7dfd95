"""Windows of long series, and those that a model is trained on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from autoencoders.anomaly.chunks import chunks
from autoencoders.anomaly.scaling import Scaler

# Training windows at most, and what they may take of memory.
_MOST = 100_000
_MOST_BYTES = 2**29

# The share of the training windows that get one more gap.
_GAPS = 0.5

# Where a gap is in some of the channels only: how often it lasts for the whole window.
_LASTING = 0.5


def fill(windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Windows without gaps, and where their values were observed.

    A missing value becomes the last one observed before it in its window and channel; where there
    is none, the first one after it; and 0 where there is none either.

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


def with_gaps(windows: np.ndarray, seed: int) -> np.ndarray:
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


def of_series(parts: Sequence[np.ndarray], steps: int) -> np.ndarray:
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
    return windows[enough(windows)]


class Examples(NamedTuple):
    """What a model is trained on: windows with more gaps than there were, to be made whole.

    All are `(n, steps, channels)`, scaled; missing values are filled in.

    Attributes:
        inputs: The windows with more gaps.
        targets: The windows as they were.
        inputs_observed: Where the values of `inputs` were observed, bool.
        targets_observed: The same of `targets`.
    """

    inputs: np.ndarray
    targets: np.ndarray
    inputs_observed: np.ndarray
    targets_observed: np.ndarray

    def thinned(self, step: int) -> Self:
        """Every so many of them."""
        return type(self)(*(part[::step] for part in self))


@dataclass(frozen=True, eq=False)
class EndsHeldBack:
    """Series to train on, whose ends are held back.

    Attributes:
        series: Arrays `(time, channels)`, NaN where values are missing.
        ends: Where the part to train on ends, for each of them.
        steps: Points in a window.
    """

    series: Sequence[np.ndarray]
    ends: Sequence[int]
    steps: int

    @property
    def row_shape(self) -> tuple[int, int]:
        """`(steps, channels)` of a window."""
        return self.steps, self.series[0].shape[1]

    @property
    def count(self) -> int:
        """How many points are trained on."""
        return sum(self.ends)

    @property
    def training(self) -> list[np.ndarray]:
        """The parts to train on."""
        return [x[:end] for x, end in zip(self.series, self.ends, strict=True)]

    def chunks(self) -> Iterator[np.ndarray]:
        """The points to train on, some at a time."""
        return (part for x in self.training for part in chunks(x))

    def examples(self, scaler: Scaler, seed: int, folder: str) -> Examples:
        """The windows to train on, scaled, with and without more gaps.

        What is filled into gaps must not make the points beside them look anomalous: hence more of
        them.

        Raises:
            ValueError: no window has half of its values.
        """
        found = of_series(self.training, self.steps)
        if len(found) == 0:
            points = max(self.ends)
            raise ValueError(
                f"There is no window of {self.steps} points to train on: the longest series for "
                f"training has {points}, and a window must have half of its values. Fit on longer "
                "series, or set a shorter `window`."
            )
        scaled = scaler(found)
        inputs, inputs_observed = fill(with_gaps(scaled, seed))
        targets, targets_observed = fill(scaled)
        return Examples(inputs, targets, inputs_observed, targets_observed)


def _at_least(rows: np.ndarray, steps: int) -> np.ndarray:
    """The rows; too few for a window are followed by missing ones."""
    missing = steps - len(rows)
    if missing <= 0:
        return rows
    return np.pad(rows.astype("float64"), ((0, missing), (0, 0)), constant_values=np.nan)


def enough(windows: np.ndarray) -> np.ndarray:
    """Which windows have half of their values or more."""
    return 2 * (~np.isnan(windows)).sum(axis=(1, 2)) >= windows.shape[1] * windows.shape[2]
