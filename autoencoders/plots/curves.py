"""Curves and histograms."""

import numpy as np
from matplotlib.figure import Figure


def errors(normal, anomalous, *, threshold=None):
    """Histograms of reconstruction errors, on a logarithmic axis.

    Args:
        normal, anomalous: Arrays of positive errors, `(n,)` and `(m,)`.
        threshold: Where a decision is drawn, as a vertical line.
    """
    together = np.concatenate([normal, anomalous])
    bins = np.geomspace(max(together.min(), 1e-12), together.max(), 40)
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axis = figure.subplots()
    axis.hist(normal, bins, alpha=0.6, label="normal")
    axis.hist(anomalous, bins, alpha=0.6, label="anomalous")
    if threshold is not None:
        axis.axvline(threshold, color="black", linestyle="--", label="threshold")
    axis.set_xscale("log")
    axis.set_xlabel("reconstruction error")
    axis.set_ylabel("rows")
    axis.legend()
    return figure


def history(history):
    """Every term of a training run over its epochs, training and validation together.

    Args:
        history: What `fit` returned, or its `history` dict.
    """
    logs = getattr(history, "history", history)
    terms = [name for name in logs if not name.startswith("val_")]
    if len(terms) == 2:  # the loss and its only term, which are the same
        terms = terms[:1]
    figure = Figure(figsize=(3.4 * len(terms), 3), layout="constrained")
    for axis, name in zip(figure.subplots(1, len(terms), squeeze=False)[0], terms, strict=True):
        for key, label in ((name, "training"), (f"val_{name}", "validation")):
            if key in logs:
                axis.plot(np.arange(1, len(logs[key]) + 1), logs[key], label=label)
        axis.set_title(name)
        axis.set_xlabel("epoch")
        axis.legend()
    return figure
