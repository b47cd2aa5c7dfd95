"""`PointScore`: what makes a point of a series anomalous."""

from typing import Any

import numpy as np
from keras import ops

from autoencoders.anomaly.ensemble import DenoisingEnsemble
from autoencoders.anomaly.scores import TINY, log_slope

# Errors are added up over this share of a window around each point: the error of a single point
# is often small by chance, and its logarithm then tells little.
NEIGHBOURS = 1 / 8

# A channel that is reconstructed (nearly) exactly is expected to have this share of the mean error.
_LEAST_SHARE = 0.01

# A window counts by the share of its values that were observed, raised to this power.
_DISTRUST = 2

# What stands for an error that is not a number: no error is worse.
_WORST = float(np.finfo("float32").max)


class PointScore:
    """What makes a point anomalous: `scores.MultiScale` for points that several windows cover.

    Args:
        model: The trained `DenoisingEnsemble`.
        stride: Points from one window to the next, where series are scored.

    Attributes:
        levels: How many noise levels there are.
        statistics: Arrays by name, all that was learnt: `base`, `(levels, channels)`; `gaps`,
            `(levels, 2)`; and `spread`, `(levels,)`.
    """

    def __init__(self, model: DenoisingEnsemble, stride: int) -> None:
        self.model = model
        self.stride = stride
        self.levels: int = len(model.members)
        self.statistics: dict[str, np.ndarray] = {}

    def get_config(self) -> dict[str, Any]:
        """What a detector's file says of its score, beside the statistics."""
        return {"stride": self.stride}

    def errors(self, x: Any, observed: Any) -> Any:
        """The squared errors of windows, 0 where values are missing.

        Args:
            x, observed: Tensors `(batch, steps, channels)`, the second 0 where values are missing.

        Returns:
            `(batch, levels, steps, channels)`, at double precision.
        """
        errors = ops.cast(self.model.squared_errors(x), "float64")
        errors = ops.nan_to_num(errors, nan=_WORST, posinf=_WORST)
        return errors * ops.cast(observed, "float64")[:, None]

    def learn_base(self, errors: np.ndarray, observed: np.ndarray) -> None:
        """Learn the mean error of each channel from windows to train on, and their `errors`."""
        counts = observed.sum(axis=(0, 1))
        sums = errors.sum(axis=(0, 2))
        least = _LEAST_SHARE * sums.sum(axis=1, keepdims=True) / max(counts.sum(), 1)
        base = np.maximum(sums / np.maximum(counts, 1), least) + TINY
        self.statistics = {"base": base, "gaps": np.zeros((len(base), 2))}

    def learn_gaps(self, errors: np.ndarray, observed: np.ndarray) -> None:
        """Learn how much larger errors are in windows with gaps, and beside those, from `errors`.

        By least squares: E / B − 1 at a step from what is missing in the window and around.
        """
        expected = np.einsum("lc,nsc->nsl", self.statistics["base"], observed)
        there = observed.any(axis=2)
        ratios = np.swapaxes(errors.sum(axis=3), 1, 2)[there] / expected[there]
        missing = np.asarray(self._missing(ops.cast(observed, "float64")))[there]
        found = np.linalg.lstsq(missing, ratios - 1.0, rcond=None)[0]
        self.statistics["gaps"] = np.maximum(found.T, 0.0)

    def _missing(self, observed):
        """What is missing of a window and around each step, as shares: `(batch, steps, 2)`."""
        steps = observed.shape[1]
        missing = 1.0 - ops.mean(observed, axis=2)
        reach = max(round(steps * NEIGHBOURS), 1)
        around = _around(missing, reach) / (2 * reach + 1)
        whole = ops.mean(missing, axis=1, keepdims=True) * ops.ones_like(missing)
        return ops.stack([whole, around], axis=2)

    def shares(self, x: Any, observed: Any) -> Any:
        """What windows tell of their points: the errors E around each, and those to expect, B.

        A missing value is taken to have the error to expect: few values beside a gap prove little.

        Args:
            x, observed: As in `errors`.

        Returns:
            `(batch, 2, levels, channels, steps)`, at double precision.
        """
        observed = ops.cast(observed, "float64")
        more = 1.0 + ops.einsum("lk,nsk->nls", self.statistics["gaps"], self._missing(observed))
        # What is filled in misleads: the more of it, the less a window has to say.
        votes = ops.mean(observed, axis=(1, 2), keepdims=True) ** _DISTRUST
        expected = more[..., None] * self.statistics["base"][:, None]
        known = observed[:, None]
        errors = self.errors(x, observed) + known * TINY + (1.0 - known) * expected
        pair = ops.stack([errors, expected], axis=1) * votes[:, None, None]
        return _around(ops.swapaxes(pair, 3, 4), round(x.shape[1] * NEIGHBOURS / 2))

    def totals(self, x: Any, observed: Any) -> Any:
        """The same of all channels together: `(batch, 2, levels, steps)`."""
        return ops.sum(self.shares(x, observed), axis=3)

    def learn(self, ratios: np.ndarray) -> None:
        """Learn the spread of log E / B of points `(levels, n)`.

        Raises:
            ValueError: no point has an error.
        """
        ratios = ratios[:, ~np.isnan(ratios[0])]
        if ratios.shape[1] == 0:
            raise ValueError(
                "No point to train on is covered by a window that has half of its values: fit on "
                "series with fewer gaps, or set a shorter `window` or `stride`."
            )
        spread = np.log(ratios).std(axis=1)
        # Points that are all alike have no spread to measure others by.
        self.statistics["spread"] = np.where(spread > 1e-6, spread, 1.0)

    def of(self, ratios: np.ndarray) -> np.ndarray:
        """The scores of points with these E / B, `(levels, n)`: `(n,)`, high for normal points."""
        total = np.zeros(ratios.shape[1])
        for ratio, spread in zip(ratios, self.statistics["spread"], strict=True):
            total += np.log(ratio) / spread  # in one order for any number of points
        return -total

    def contributions(self, shares: np.ndarray) -> np.ndarray:
        """What each channel adds to the score, of points `(2, levels, channels, n)`.

        The share of a channel of errors e and b is (e − b) · log(E / B) / (E − B) / s, over levels.

        Returns:
            `(n, channels)`.
        """
        errors, expected = shares
        base = expected.sum(axis=1, keepdims=True)
        slope = ops.convert_to_numpy(log_slope(errors.sum(axis=1, keepdims=True), base))
        spread = self.statistics["spread"][:, None, None]
        return -np.sum((errors - expected) * slope / spread, axis=0).T


def _around(values: Any, reach: int) -> Any:
    """Sums over the neighbours on the last axis, at most `reach` steps away."""
    steps = values.shape[-1]
    padded = ops.pad(values, [(0, 0)] * (len(values.shape) - 1) + [(reach, reach)])
    return sum(padded[..., start : start + steps] for start in range(2 * reach + 1))
