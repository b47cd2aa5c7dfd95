"""Curves and histograms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, StrMethodFormatter
from numpy.typing import ArrayLike

from autoencoders.plots.picture import Picture

if TYPE_CHECKING:
    import keras


def anomalies(
    series: ArrayLike,
    scores: ArrayLike,
    intervals: Iterable[Sequence[Any]] | None = None,
    *,
    threshold: float | None = None,
) -> Figure:
    """A series above the scores of its points, with the anomalies shaded.

    Args:
        series: `(time,)` or `(time, channels)`, a line for each channel; gaps where it is NaN.
            A data frame's columns name the lines.
        scores: Array `(time,)`, low for anomalies, as `SeriesAnomalyDetector.score_samples` gives
            them.
        intervals: Tuples that begin with the first point and the one after the last, as
            `SeriesAnomalyDetector.intervals` gives them.
        threshold: The score below which points are anomalous, as a horizontal line.

    Raises:
        ValueError: series and scores are of different lengths.
    """
    names = getattr(series, "columns", None)  # which arrays do not have
    series, scores = np.asarray(series, "float64"), np.asarray(scores, "float64")
    if scores.shape != series.shape[:1] or series.ndim > 2:
        raise ValueError(
            f"A series (time,) or (time, channels) has one score per point; got shapes "
            f"{series.shape} and {scores.shape}."
        )
    figure = Picture(9, 4)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    above.plot(series, linewidth=0.8, label=None if names is None else [*map(str, names)])
    above.set_ylabel("series")
    if names is not None:
        above.legend(loc="upper right")
    below.plot(scores, linewidth=0.8, color="black")
    below.set_ylabel("score")
    below.set_xlabel("time, points")
    if threshold is not None and np.isfinite(threshold):
        below.axhline(threshold, color="tab:red", linestyle="--", linewidth=0.8, label="threshold")
        below.legend(loc="lower left")  # where the training points mostly are
    for start, end, *_ in intervals or ():
        for axis in (above, below):
            # The band begins half a point before and ends half a point after, so that an interval
            # of one point shows.
            axis.axvspan(start - 0.5, end - 0.5, color="tab:red", alpha=0.25, linewidth=1.0)
    above.margins(x=0)
    return figure


def errors(
    normal: ArrayLike, anomalous: ArrayLike | None = None, *, threshold: float | None = None
) -> Figure:
    """Histograms of reconstruction errors, on a logarithmic axis.

    Args:
        normal: Array of errors, `(n,)`.
        anomalous: Array of errors of known anomalies, `(m,)`, if there are any.
        threshold: Where a decision is drawn, as a vertical line.

    Raises:
        ValueError: all errors are zero.
    """
    groups = {"normal": normal, "anomalous": anomalous}
    groups = {k: np.asarray(v, "float64") for k, v in groups.items() if v is not None}
    together = np.concatenate(list(groups.values()))
    positive = together[together > 0]
    if len(positive) == 0:
        raise ValueError("All errors are zero: there is nothing to tell apart.")
    # Exact zeros have no place on a logarithmic axis; they are counted in the first bin.
    bins = np.geomspace(0.99 * positive.min(), 1.01 * positive.max(), 41)
    figure = Picture(6.4, 3.6)
    axis = figure.subplots()
    for label, values in groups.items():
        axis.hist(np.maximum(values, positive.min()), bins, alpha=0.6, label=label)
    if threshold is not None:
        axis.axvline(threshold, color="black", linestyle="--", label="threshold")
    axis.set_xscale("log")
    # Errors often span less than two decades, where the default labels run into each other.
    axis.xaxis.set_minor_locator(LogLocator(subs=(2.0, 5.0)))
    for which in (axis.xaxis.set_major_formatter, axis.xaxis.set_minor_formatter):
        which(StrMethodFormatter("{x:g}"))
    axis.set_xlabel("reconstruction error")
    axis.set_ylabel("rows")
    axis.legend()
    return figure


def history(history: keras.callbacks.History | Mapping[str, Sequence[float]]) -> Figure:
    """Every term of a training run over its epochs, training and validation together.

    Args:
        history: What `fit` returned, or its `history` dict.

    Raises:
        ValueError: there is no epoch in it.
    """
    logs = history if isinstance(history, Mapping) else history.history
    if not logs:
        raise ValueError("The history holds no epoch.")
    # Where the loss has one term, both have one curve, which is drawn once.
    terms = [
        name
        for name in logs
        if not name.startswith("val_") and (name == "loss" or logs[name] != logs.get("loss"))
    ]
    figure = Picture(3.4 * len(terms), 3)
    for axis, name in zip(figure.subplots(1, len(terms), squeeze=False)[0], terms, strict=True):
        for key, label in ((name, "training"), (f"val_{name}", "validation")):
            if key in logs:
                epochs = np.arange(1, len(logs[key]) + 1)
                axis.plot(epochs, logs[key], marker="." if len(epochs) < 20 else None, label=label)
        axis.set_title(name)
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.legend()
    return figure
