"""Pictures made of rows: images side by side, or the curves of series."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from scipy.stats import norm

from autoencoders.plots.picture import Picture
from autoencoders.plots.series import small_multiples

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from autoencoders.autoencoder import Autoencoder

_CURVES_IN_A_ROW = 5


def reconstructions(
    model: Autoencoder,
    x: np.ndarray | tuple[np.ndarray, ArrayLike],
    *,
    noisy: np.ndarray | None = None,
    titles: Iterable[Any] | None = None,
    as_images: bool = False,
) -> Figure:
    """Images in the upper row, their reconstructions in the lower; series as curves, overlaid.

    Args:
        model: An `Autoencoder` over images or series.
        x: Array `(n, height, width, channels)`; n up to about 20 reads well. Grey levels run from
            0 to 1, or over the range of x where that is wider. Or `(n, steps, features)`, with a
            colour for each feature. With labels `(x, labels)`, for a model that needs them.
        noisy: Array like x, for the model to reconstruct in place of x, and shown between the two.
        titles: One per row of x.
        as_images: Whether series are drawn as grey images, `(height, width)`, that is, with a step
            in each line.

    Raises:
        ValueError: rows that are neither images nor series.
    """
    in_pixels = _in_pixels(model, as_images)
    x, *labels = x if isinstance(x, tuple) else (x,)
    given = x if noisy is None else noisy
    reconstructed = model.predict((given, *labels) if labels else given, verbose=0)
    shown = {"input": x, "noisy": noisy, "reconstruction": reconstructed}
    shown = {label: rows for label, rows in shown.items() if rows is not None}
    if not in_pixels:
        mask = model.padding_mask(x)
        if mask is not None:  # padding does not belong to a curve
            mask = np.asarray(mask)[..., np.newaxis]
            shown = {label: np.where(mask, rows, np.nan) for label, rows in shown.items()}
        return small_multiples(shown, min(len(x), _CURVES_IN_A_ROW), titles)
    low, high = min(0.0, float(x.min())), max(1.0, float(x.max()))
    figure = Picture(len(x), 1.1 * len(shown) + (0.2 if titles is not None else 0.0))
    axes = figure.subplots(len(shown), len(x), squeeze=False)
    for line, (label, rows) in zip(axes, shown.items(), strict=True):
        for axis, image in zip(line, _with_channels(rows), strict=True):
            show_image(axis, (image - low) / (high - low))
        line[0].set_ylabel(label, fontsize=9)
    for axis, title in zip(axes[0], titles if titles is not None else (), strict=False):
        axis.set_title(str(title), fontsize=9)
    return figure


def manifold(
    model: Autoencoder, *, steps: int = 15, low: float = 0.05, high: float = 0.95
) -> Figure:
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
    # The rows come from the top, so that the second latent dimension grows upwards, as in a scatter
    # plot.
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


def samples(
    model: Autoencoder,
    *,
    columns: int = 10,
    rows: int = 5,
    labels: Sequence[int] | np.ndarray | None = None,
    steps: int | None = None,
    as_images: bool = False,
    seed: int | None = None,
) -> Figure:
    """New data: draws from a model's prior, decoded.

    Args:
        model: An `Autoencoder` over images or series, generative or after `fit_prior`.
        columns, rows: Size of the grid.
        labels: For models of labelled rows, a class for each column, in place of `columns`.
        steps: The length of series, for a model that leaves it open.
        as_images: As in `reconstructions`.
        seed: Integer, to get the same draws again.

    Raises:
        ValueError: no prior, or rows that are neither images nor series.
    """
    _in_pixels(model, as_images)
    columns = columns if labels is None else len(labels)
    drawn = model.sample(
        columns * rows,
        labels=None if labels is None else np.tile(labels, rows),
        seed=seed,
        steps=steps,
    )
    return _grid(model, drawn, columns, as_images, titles=labels)


def interpolation(
    model: Autoencoder,
    starts: Iterable[Any],
    ends: Iterable[Any],
    *,
    steps: int = 9,
    as_images: bool = False,
) -> Figure:
    """Straight lines through latent space, decoded: a row from each start to its end.

    Args:
        model: An `Autoencoder` over images or series.
        starts, ends: Arrays `(n, *input_shape)`; for a model that needs labels, n pairs of a row
            and its label.
        steps: Points on a line, ends included.
        as_images: As in `reconstructions`.

    Raises:
        ValueError: rows that are neither images nor series.
    """
    _in_pixels(model, as_images)
    lines = [model.interpolate(a, b, steps) for a, b in zip(starts, ends, strict=True)]
    return _grid(model, np.concatenate(lines), steps, as_images)


def perturbation(
    model: Autoencoder,
    x: np.ndarray,
    *,
    dimensions: Sequence[int] | None = None,
    shifts: Sequence[float] = (-3, -2, -1, 0, 1, 2, 3),
) -> Figure:
    """What each latent dimension does to one image: a row for each, decoded from shifted means.

    Args:
        model: An `Autoencoder` over images.
        x: One image `(height, width, channels)`.
        dimensions: Latent dimensions to show; the first ten unless given.
        shifts: What is added to the code in that dimension, from left to right.

    Raises:
        ValueError: codes that are not vectors.
    """
    _require_images(model)
    if len(model.latent_shape) != 1:
        raise ValueError(f"{model.name!r} has codes of shape {model.latent_shape}, not vectors.")
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


def _in_pixels(model: Autoencoder, as_images: bool) -> bool:
    """Whether a model's rows are drawn as images; as curves otherwise."""
    if len(model.row_shape) == 2:
        return as_images
    if len(model.row_shape) == 3:
        return True
    raise ValueError(
        "This is a picture of images (height, width, channels) or series (steps, features); the "
        f"rows of {model.name!r} have shape {model.row_shape}."
    )


def _with_channels(images: np.ndarray) -> np.ndarray:
    return images[..., np.newaxis] if images.ndim == 3 else images


def _grid(
    model: Autoencoder,
    rows: np.ndarray,
    columns: int,
    as_images: bool,
    titles: Iterable[Any] | None = None,
) -> Figure:
    """Rows line after line, with titles over the columns."""
    if not _in_pixels(model, as_images):
        return small_multiples({"": rows}, columns, titles)
    canvas, (_, width) = _tiled(_with_channels(rows), columns)
    lines = len(rows) // columns
    figure = Picture(0.7 * columns, 0.7 * lines + (0.3 if titles is not None else 0.0))
    axis = figure.subplots()
    show_image(axis, canvas)
    if titles is not None:
        axis.set_xticks((np.arange(columns) + 0.5) * width, [str(title) for title in titles])
        axis.tick_params(top=False, labeltop=True, bottom=False, labelbottom=False)
    return figure


def _require_images(model: Autoencoder) -> None:
    if len(model.row_shape) != 3:
        raise ValueError(
            f"This is a picture of images (height, width, channels); the rows of {model.name!r} "
            f"have shape {model.row_shape}."
        )


def _tiled(images: np.ndarray, columns: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Images side by side, row after row, one pixel apart; and the size of a cell."""
    images = np.pad(images, ((0, 0), (0, 1), (0, 1), (0, 0)))
    rows = len(images) // columns
    height, width, channels = images.shape[1:]
    canvas = images.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    return canvas.reshape(rows * height, columns * width, channels), (height, width)


def show_image(axis: Axes, image: np.ndarray) -> None:
    """Show an image with values in [0, 1], `(height, width, channels)`, without ticks."""
    image = np.clip(image, 0.0, 1.0)
    axis.imshow(image.squeeze(-1) if image.shape[-1] == 1 else image, cmap="gray_r", vmin=0, vmax=1)
    axis.set_xticks([])
    axis.set_yticks([])
