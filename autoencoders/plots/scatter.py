"""Pictures of the latent space."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from autoencoders.plots.picture import Picture
from autoencoders.types import Data

if TYPE_CHECKING:
    from autoencoders.autoencoder import Autoencoder


def latent(model: Autoencoder, x: Data, labels: ArrayLike | None = None) -> Figure:
    """The latent codes of rows, as a scatter plot of two dimensions.

    Codes of more than two dimensions are shown along their two leading principal components.

    Args:
        model: An `Autoencoder`.
        x: Array `(n, *input_shape)`; with labels `(x, labels)`, for a model that needs them.
        labels: Classes `(n,)`, for the colours.

    Raises:
        ValueError: the codes have one dimension only.
    """
    codes = model.encode(x)
    codes = codes.reshape(len(codes), -1)
    if codes.shape[1] < 2:
        raise ValueError(f"A scatter plot takes two dimensions; {model.name!r} has codes of one.")
    names = ("$z_1$", "$z_2$")
    if codes.shape[1] > 2:
        centred = codes - codes.mean(axis=0)
        codes = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
        names = ("first principal component of z", "second principal component of z")
    figure = Picture(6.8, 6)
    axis = figure.subplots()
    if labels is None:
        axis.scatter(*codes[:, :2].T, s=6, alpha=0.7)
    else:
        labels = np.asarray(labels)
        for i, label in enumerate(np.unique(labels)):
            chosen = codes[labels == label]
            axis.scatter(*chosen[:, :2].T, s=6, alpha=0.7, color=f"C{i % 10}", label=str(label))
        figure.legend(markerscale=3, loc="outside right upper")
    axis.set_xlabel(names[0])
    axis.set_ylabel(names[1])
    # The limits are set here, for those that Matplotlib widens while drawing come too late for the
    # layout.
    codes = codes[:, :2]
    low, high = codes.min(axis=0), codes.max(axis=0)
    reach = 0.55 * float((high - low).max()) or 1.0
    axis.set_xlim(*(0.5 * (low + high)[0] + [-reach, reach]))
    axis.set_ylim(*(0.5 * (low + high)[1] + [-reach, reach]))
    axis.set_aspect("equal")
    return figure
