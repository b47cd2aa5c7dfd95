"""Pictures of the latent space."""

import numpy as np
from matplotlib.figure import Figure


def latent(model, x, labels=None):
    """The latent codes of rows, as a scatter plot of two dimensions.

    Codes of more than two dimensions are shown along their two leading principal components.

    Args:
        model: An `Autoencoder`.
        x: Array `(n, *input_shape)`.
        labels: Integer classes `(n,)`, for the colours.
    """
    codes = model.encode(x).reshape(len(x), -1)
    names = ("$z_1$", "$z_2$")
    if codes.shape[1] > 2:
        centred = codes - codes.mean(axis=0)
        codes = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
        names = ("first principal component of z", "second principal component of z")
    figure = Figure(figsize=(6.4, 6), layout="constrained")
    axis = figure.subplots()
    if labels is None:
        axis.scatter(*codes[:, :2].T, s=6, alpha=0.7)
    else:
        for label in np.unique(labels):
            chosen = codes[labels == label]
            colour = f"C{int(label) % 10}"
            axis.scatter(chosen[:, 0], chosen[:, 1], s=6, alpha=0.7, color=colour, label=str(label))
        axis.legend(markerscale=3, loc="upper right", framealpha=0.9)
    axis.set_xlabel(names[0])
    axis.set_ylabel(names[1])
    axis.set_aspect("equal", adjustable="datalim")
    return figure
