"""Pictures of why a detector holds rows to be anomalous."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from autoencoders.plots.images import show_image
from autoencoders.plots.picture import Picture

if TYPE_CHECKING:
    from autoencoders.anomaly.detector import AnomalyDetector

_MOST_FEATURES = 12


def explanation(detector: AnomalyDetector, x: ArrayLike) -> Figure:
    """What makes each row anomalous (red) or normal (blue) in the eyes of a detector.

    Images have a map below each; rows of a table have bars, the largest dozen of the contributions
    of `detector.explain`, with their sign turned: to the right for what is anomalous.

    Args:
        detector: A fitted `AnomalyDetector`, whose score is a sum over features.
        x: A few rows, as `detector.explain` takes them: images `(n, height, width, channels)`, or a
            table `(n, features)`.

    Raises:
        ValueError: rows of another shape, or a score that is not a sum over features.
    """
    contributions = -detector.explain(x)
    if contributions.ndim == 4:
        return _maps(np.asarray(x), contributions)
    if contributions.ndim == 2:
        # A detector has the names of features only if it was fitted on a data frame.
        names = getattr(detector, "feature_names_in_", np.arange(contributions.shape[1]))
        return _bars(contributions, np.asarray(names))
    raise ValueError(
        f"An explanation is drawn of images or tables, got rows of shape {contributions.shape[1:]}."
    )


def _maps(x: np.ndarray, contributions: np.ndarray) -> Figure:
    maps = contributions.sum(axis=-1)
    figure = Picture(len(x), 2.2)
    axes = figure.subplots(2, len(x), squeeze=False)
    low, high = min(0.0, float(x.min())), max(1.0, float(x.max()))
    for column, image, own in zip(axes.T, x, maps, strict=True):
        show_image(column[0], (image - low) / (high - low))
        limit = np.abs(own).max() or 1.0
        column[1].imshow(own, cmap="RdBu_r", vmin=-limit, vmax=limit)
        column[1].set_xticks([])
        column[1].set_yticks([])
    axes[0, 0].set_ylabel("input")
    axes[1, 0].set_ylabel("contribution")
    return figure


def _bars(contributions: np.ndarray, names: np.ndarray) -> Figure:
    count = min(len(names), _MOST_FEATURES)
    figure = Picture(3.2 * len(contributions), 0.8 + 0.25 * count)
    axes = figure.subplots(1, len(contributions), squeeze=False)[0]
    for axis, row in zip(axes, contributions, strict=True):
        largest = np.argsort(-np.abs(row))[:count][::-1]
        colours = np.where(row[largest] > 0, "tab:red", "tab:blue")
        axis.barh([str(name) for name in names[largest]], row[largest], color=colours)
        axis.axvline(0.0, color="black", linewidth=0.8)
        axis.set_title(f"anomaly score {row.sum():.3g}", fontsize=9)
        axis.set_xlabel("contribution")
    return figure
