"""`autoencoders draw`: pictures of what bundled weights do."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import numpy as np
import typer
from PIL import Image, PngImagePlugin
from rich.console import Console

import autoencoders
from autoencoders import datasets, files, recipes, registry, zoo
from autoencoders.cli.quiet import import_keras
from autoencoders.zoo import sources

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from autoencoders.autoencoder import Autoencoder

console: Console = Console()

# A picture's name, its figure and its title.
_Picture: TypeAlias = "tuple[str, Figure, str]"

# Rows of the test set in the first pictures, one of each class where there are as many classes.
_EXAMPLES = 10

# Series side by side.
_CURVES = 5

# Points that a scatter plot can hold, and rows whose codes make a prior: a PixelCNN's take longer.
_POINTS = 2000
_MIXTURE_ROWS = 4000
_PIXELCNN_ROWS = 2000


def draw(
    name: Annotated[str, typer.Argument(help="A model's name.")],
    tag: Annotated[
        str | None, typer.Option("--weights", help="Which of its weights; all unless given.")
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where the pictures go.")] = Path("drawn"),
) -> None:
    """Draw what bundled weights do with test rows: as many pictures as the model allows.

    Reconstructions, samples, interpolations, the codes, and the plane of two-dimensional codes, as
    `<name>.<tag>.<picture>.png`. A model without a prior gets one by `fit_prior` beforehand, and
    the picture says so. Each file notes the hash of the weights, as `weights`.
    """
    tags = [tag] if tag else zoo.list_weights(name)
    if not tags:
        raise ValueError(f"{name} has no bundled weights to draw.")
    keras = import_keras()
    folder.mkdir(parents=True, exist_ok=True)
    for each in tags:
        entry = sources.entry(name, each)
        keras.utils.set_random_seed(0)
        model = zoo.get(name, weights=each)
        run, data = recipes.load(name, each)
        for picture, figure, title in _pictures(model, data, entry, run.dataset):
            figure.suptitle(f"{name}, {each}: {title}", fontsize=9)
            figure.set_figheight(figure.get_figheight() + 0.15 * (1 + title.count("\n")))
            path = folder / f"{name}.{each}.{picture}.png"
            _save(figure, path, weights=entry["sha256"])
            console.print(f"wrote {path}", highlight=False, soft_wrap=True)


def _save(figure: Figure, path: Path, **notes: str) -> None:
    """Write a figure with as few colours as show it, a third of the size, and notes in the file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    image = Image.open(buffer).convert("RGB")
    grey = not np.ptp(np.asarray(image), axis=-1).any()
    texts = PngImagePlugin.PngInfo()
    for key, text in notes.items():
        texts.add_text(key, text)
    with files.replacing(path) as new:
        image.quantize(16 if grey else 128).save(new, "PNG", optimize=True, pnginfo=texts)


def _pictures(
    model: Autoencoder, data: recipes.Data, entry: registry.WeightsEntry, dataset: str
) -> Iterator[_Picture]:
    """Yield the pictures that the model allows."""
    # A model of series that reads images takes a line of pixels at each step.
    as_images = len(model.row_shape) == 2 and dataset in datasets.images.LOADERS
    curves = len(model.row_shape) == 2 and not as_images
    labelled = len(data.y_test) > 0  # sprites have factors instead
    chosen = _examples(data.y_test) if labelled else np.arange(_EXAMPLES)
    labels = data.y_test[chosen] if labelled else None
    yield _reconstructions(model, data.x_test[chosen], labels, entry, as_images, curves)

    spread = slice(None, None, math.ceil(len(data.x_test) / _POINTS))
    x, y = data.x_test[spread], data.y_test[spread] if labelled else None
    rows = (x, y) if model.needs_labels else x
    yield "latent", autoencoders.plots.latent(model, rows, y), f"the codes of {len(x):,} test rows"

    discrete = model.num_codes is not None
    if not discrete:  # between two vectors of a codebook there are no codes
        ends = data.x_test[chosen]
        if model.needs_labels:
            ends = [*zip(ends, data.y_test[chosen], strict=True)]
        half = len(chosen) // 2
        figure = autoencoders.plots.interpolation(
            model,
            ends[:half],
            ends[half : 2 * half],
            steps=_CURVES if curves else _EXAMPLES,
            as_images=as_images,
        )
        yield "interpolation", figure, "from one test row to another, through the codes between"

    plane = model.latent_shape == (2,) and _has_normal_prior(model) and not model.needs_labels
    if plane and len(model.row_shape) == 3:
        title = "the plane of codes, decoded at the quantiles of the prior"
        yield "manifold", autoencoders.plots.manifold(model), title

    yield _samples(model, data, as_images, curves, discrete)


def _has_normal_prior(model: Autoencoder) -> bool:
    from autoencoders import priors  # which imports Keras

    return isinstance(model.training_prior, priors.StandardNormal)


def _reconstructions(
    model: Autoencoder,
    x: np.ndarray,
    y: Any,
    entry: registry.WeightsEntry,
    as_images: bool,
    curves: bool,
) -> _Picture:
    noisy = None
    if model.corruption is not None:
        noisy = np.asarray(model.corruption(x, training=True))
    titles = [f"class {label}" for label in y] if curves else y
    figure = autoencoders.plots.reconstructions(
        model,
        (x, y) if model.needs_labels else x,
        noisy=noisy,
        titles=titles,
        as_images=as_images,
    )
    figures, bar = entry["figures"], recipes.Baseline(**entry["baseline"])
    title = (
        f"test rows. Squared error of a test row: {figures['squared_error']:#.3g}; "
        f"of {bar.described}: {bar.squared_error:#.3g}"
    )
    if "noise" in figures:
        title += f"\nOf a noisy row: {figures['noise']:#.3g}; "
        title += f"of what the model makes of it: {figures['denoised_squared_error']:#.3g}"
    return "reconstructions", figure, title


def _samples(
    model: Autoencoder, data: recipes.Data, as_images: bool, curves: bool, discrete: bool
) -> _Picture:
    title = "draws from the prior, decoded"
    if model.prior is None:
        x = data.x[: _PIXELCNN_ROWS if discrete else _MIXTURE_ROWS]
        model.fit_prior(x, **({"verbose": 0} if discrete else {}))
        kind = "PixelCNN" if discrete else "Gaussian mixture"
        title = f"draws from a {kind} fitted to the codes of\n{len(x):,} training rows, decoded"
    grid: dict[str, Any] = (
        {"labels": np.arange(model.labels.num_classes)} if model.labels else {"columns": 10}
    )
    if curves:
        grid = {"columns": _CURVES, "rows": 3}
    figure = autoencoders.plots.samples(model, seed=0, as_images=as_images, **grid)
    return "samples", figure, title


def _examples(y: np.ndarray) -> np.ndarray:
    """The first rows of each class, as many of each as there is room for, class after class."""
    classes = np.unique(y)[:_EXAMPLES]
    each = max(1, _EXAMPLES // len(classes))
    return np.concatenate([np.flatnonzero(y == label)[:each] for label in classes])
