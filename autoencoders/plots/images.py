"""Pictures made of images."""

import numpy as np
from scipy.stats import norm

from autoencoders.plots.picture import Picture


def reconstructions(model, x, *, titles=None):
    """Images in the upper row, their reconstructions in the lower.

    Args:
        model: An `Autoencoder` over images.
        x: Array `(n, height, width, channels)`; n up to about 20 reads well. Grey levels run from
            0 to 1, or over the range of x where that is wider. With labels `(x, labels)`, for a
            model that needs them.
        titles: One per image.
    """
    _require_images(model)
    reconstructed = model.predict(x, verbose=0)
    x = x[0] if isinstance(x, tuple) else x
    pairs = (x, reconstructed)
    low, high = min(0.0, float(x.min())), max(1.0, float(x.max()))
    figure = Picture(len(x), 2.4 if titles is not None else 2.2)
    axes = figure.subplots(2, len(x), squeeze=False)
    for row, images, label in zip(axes, pairs, ("input", "reconstruction"), strict=True):
        for axis, image in zip(row, images, strict=True):
            show_image(axis, (image - low) / (high - low))
        row[0].set_ylabel(label)
    for axis, title in zip(axes[0], titles if titles is not None else (), strict=False):
        axis.set_title(str(title), fontsize=9)
    return figure


def manifold(model, *, steps=15, low=0.05, high=0.95):
    """The plane of a two-dimensional latent space, decoded on a grid.

    The grid runs through the quantiles of the standard normal prior, so that each cell stands
    for as much probability as any other.

    Args:
        model: An `Autoencoder` over images with `latent_dim=2`.
        steps: Points along each axis.
        low, high: First and last quantile.

    Raises:
        ValueError: the latent space is not two-dimensional.
    """
    _require_images(model)
    if model.latent_shape != (2,):
        raise ValueError(
            f"A manifold is drawn over 2 latent dimensions; {model.name!r} has codes of shape "
            f"{model.latent_shape}."
        )
    points = norm.ppf(np.linspace(low, high, steps)).astype("float32")
    # Rows from the top: the second latent dimension grows upwards, as in a scatter plot.
    codes = np.array([(a, b) for b in points[::-1] for a in points])
    canvas, (height, width) = _tiled(model.decode(codes), steps)
    figure = Picture(7, 7)
    axis = figure.subplots()
    show_image(axis, canvas)
    ticks = [f"{p + 0.0:.1f}".replace("-0.0", "0.0") for p in points]
    axis.set_xticks((np.arange(steps) + 0.5) * width, ticks, fontsize=7)
    axis.set_yticks((np.arange(steps) + 0.5) * height, ticks[::-1], fontsize=7)
    axis.set_xlabel("$z_1$")
    axis.set_ylabel("$z_2$")
    return figure


def samples(model, *, columns=10, rows=5, seed=None):
    """New images: draws from a generative model's prior, decoded.

    Args:
        model: A generative `Autoencoder` over images.
        columns, rows: Size of the grid.
        seed: Integer, to get the same draws again.
    """
    _require_images(model)
    canvas, _ = _tiled(model.sample(columns * rows, seed=seed), columns)
    figure = Picture(0.7 * columns, 0.7 * rows)
    show_image(figure.subplots(), canvas)
    return figure


def interpolation(model, starts, ends, *, steps=9):
    """Straight lines through latent space, decoded: a row from each start to its end.

    Args:
        model: An `Autoencoder` over images.
        starts, ends: Arrays `(n, height, width, channels)`.
        steps: Images in a row, ends included.
    """
    _require_images(model)
    lines = [model.interpolate(a, b, steps) for a, b in zip(starts, ends, strict=True)]
    canvas, _ = _tiled(np.concatenate(lines), steps)
    figure = Picture(0.7 * steps, 0.7 * len(lines))
    show_image(figure.subplots(), canvas)
    return figure


def perturbation(model, x, *, dimensions=None, shifts=(-3, -2, -1, 0, 1, 2, 3)):
    """What each latent dimension does to one image: a row for each, decoded from shifted means.

    Args:
        model: An `Autoencoder` over images.
        x: One image `(height, width, channels)`.
        dimensions: Latent dimensions to show; the first ten unless given.
        shifts: What is added to the code in that dimension, from left to right.

    Raises:
        ValueError: codes that are no vectors.
    """
    _require_images(model)
    if len(model.latent_shape) != 1:
        raise ValueError(f"{model.name!r} has codes of shape {model.latent_shape}, no vectors.")
    dimensions = range(min(10, *model.latent_shape)) if dimensions is None else dimensions
    code = model.encode(x[np.newaxis])[0]
    directions = np.eye(len(code), dtype=code.dtype)
    codes = np.array([code + shift * directions[d] for d in dimensions for shift in shifts])
    canvas, (height, width) = _tiled(model.decode(codes.astype(code.dtype)), len(shifts))
    figure = Picture(0.7 * len(shifts) + 0.6, 0.7 * len(dimensions) + 0.4)
    axis = figure.subplots()
    show_image(axis, canvas)
    axis.set_xticks(
        (np.arange(len(shifts)) + 0.5) * width, [f"{s:+g}" if s else "0" for s in shifts]
    )
    labels = [f"$z_{{{d + 1}}}$" for d in dimensions]
    axis.set_yticks((np.arange(len(labels)) + 0.5) * height, labels)
    return figure


def _require_images(model):
    if len(model.row_shape) != 3:
        raise ValueError(
            f"This is a picture of images (height, width, channels); the rows of {model.name!r} "
            f"have shape {model.row_shape}."
        )


def _tiled(images, columns):
    """Images side by side, row after row, one pixel apart; and the size of a cell."""
    images = np.pad(images, ((0, 0), (0, 1), (0, 1), (0, 0)))
    rows = len(images) // columns
    height, width, channels = images.shape[1:]
    canvas = images.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    return canvas.reshape(rows * height, columns * width, channels), (height, width)


def show_image(axis, image):
    """Show an image with values in [0, 1], `(height, width, channels)`, without ticks."""
    image = np.clip(image, 0.0, 1.0)
    axis.imshow(image.squeeze(-1) if image.shape[-1] == 1 else image, cmap="gray_r", vmin=0, vmax=1)
    axis.set_xticks([])
    axis.set_yticks([])
