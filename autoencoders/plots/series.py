"""Curves of series, side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from autoencoders.plots.picture import Picture

# Curves that are drawn below the reconstruction need other strokes to be seen.
_STYLES: dict[str, dict[str, Any]] = {
    "input": {"linewidth": 3.0, "alpha": 0.35},
    "noisy": {"linewidth": 0.6, "alpha": 0.7, "linestyle": ":"},
}


def small_multiples(
    lines: Mapping[str, np.ndarray], columns: int, titles: Iterable[Any] | None = None
) -> Figure:
    """A grid of axes, one for each series, that share their scales.

    Args:
        lines: Dict from what is drawn to arrays `(n, steps, features)`: a line for each feature, in
            a colour of its own.
        columns: Axes in a row.
        titles: One per axis of the first row or more.
    """
    count, _, features = np.shape(next(iter(lines.values())))
    rows = -(-count // columns)
    figure = Picture(2.0 * columns, 1.3 * rows + (1.0 if len(lines) > 1 else 0.7))
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for number, axis in enumerate(axes[:count]):
        for label, series in lines.items():
            for feature, values in enumerate(series[number].T):
                style = _STYLES.get(label, {"linewidth": 1.0})
                axis.plot(values, color=f"C{feature % 10}", label=label, **style)
        axis.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        axis.margins(x=0)
        if number % columns == 0:
            axis.set_ylabel("value")
        if number + columns >= count:
            axis.set_xlabel("step")
            axis.tick_params(labelbottom=True)
    for axis in axes[count:]:
        axis.set_visible(False)
    for axis, title in zip(axes, titles if titles is not None else (), strict=False):
        axis.set_title(str(title), fontsize=9)
    if len(lines) > 1:
        handles = axes[0].lines[::features]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(lines))
    return figure
