"""Features of small images: the penultimate layer of a classifier that comes with the package.

They take the place of the features of an Inception network in the literature, which was trained on
photographs. A classifier is two files in `zoo_configs/features/`: a card, `<name>.json`, and its
weights at half precision. `autoencoders features` makes them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import keras
import numpy as np
from numpy.typing import ArrayLike

from autoencoders import files, registry
from autoencoders.training.expectation import Expectation
from autoencoders.training.row_runner import RowRunner

# Images, or rows of any kind for a function of your own.
Rows: TypeAlias = np.ndarray | Sequence[Any]

# A classifier by name, the file of a card, or a function from rows to features `(n, ...)`.
Features: TypeAlias = str | os.PathLike[str] | Callable[[Any], ArrayLike]

# How far pixels may lie outside [0, 1], by rounding or resampling.
_OUTSIDE = 0.01


def folder() -> Path:
    """Where the package's own cards are."""
    return registry.zoo_folder() / "features"


def cards() -> dict[str, dict[str, Any]]:
    """The card of every classifier of the package, by the name of its data set."""
    return files.read_json_folder(folder())


def extract(x: Rows, features: Features | None = None, name: str = "x") -> np.ndarray:
    """The features of images.

    Args:
        x: Images `(n, height, width, channels)` in [0, 1].
        features: A classifier of the package by name ("mnist", "digits") or the file of a card of
            your own; or your own function from images to features `(n, ...)`, for data of any
            kind. Unless given, the classifier that the package has for images of this shape: all
            images of 28×28×1 get that of MNIST, those of Fashion-MNIST too.
        name: What the data is called in errors.

    Returns:
        NumPy array `(n, dim)`.

    Raises:
        ValueError: bad images, no such classifier or a card without its hash, or features that are
            not finite numbers.
    """
    if callable(features):
        found = np.asarray(features(x), "float64")
        if found.ndim < 2 or len(found) != len(x) or not np.isfinite(found).all():
            raise ValueError(
                f"`features` must give finite features (n, ...) of `{name}`, {len(x)} rows; got "
                f"shape {found.shape}."
            )
        return found.reshape(len(found), -1)
    if features is None:
        features = _fitting(np.shape(x)[1:])
    path = _card_file(features)
    card = files.read_json(path)
    if not isinstance(card, dict) or "sha256" not in card:
        raise ValueError(f"{path} is not a card of a classifier: it has no 'sha256'.")
    extractor, runner = _extractor(path, card["sha256"])
    x = Expectation(extractor.input_shape[1:]).array(x, name)
    if x.min() < -_OUTSIDE or x.max() > 1 + _OUTSIDE:
        raise ValueError(
            f"`{name}` must hold images in [0, 1], but reaches from {x.min():g} to {x.max():g}. "
            "Bytes need `/ 255`; what a decoder without bounds overshoots by can be clipped."
        )
    return runner.run("features", lambda x: extractor(x, training=False), x)


def train(
    x: np.ndarray,
    y: np.ndarray,
    *,
    filters: Sequence[int],
    units: int,
    dropout: float,
    learning_rate: float,
    batch_size: int,
    epochs: int,
    seed: int,
) -> keras.Model:
    """Train a classifier: two convolutions with pooling, and a layer of the features.

    Args:
        x: Images `(n, height, width, channels)` in [0, 1].
        y: Their classes, integers `(n,)` from 0.
        filters: How many each convolution has.
        units: Number of features.
        dropout: Share of the features that are left out while training.
        learning_rate: The one that Adam begins with; it falls to 0 along a cosine.
        batch_size: Images in a batch.
        epochs: How often each image is seen.
        seed: Of the initial weights and of the order of the images.

    Returns:
        Keras model from images to logits.
    """
    keras.utils.set_random_seed(seed)
    model = _classifier(x.shape[1:], int(y.max()) + 1, filters, units, dropout)
    steps = epochs * -(-len(x) // batch_size)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(learning_rate, steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,  # XLA has no fast convolutions on a CPU
    )
    model.fit(x, y, batch_size=batch_size, epochs=epochs)
    return model


def test_error(model: keras.Model, x: np.ndarray, y: np.ndarray) -> float:
    """The share of images that a classifier gets wrong, six digits."""
    logits = model.predict(x, batch_size=1000, verbose=0)
    return round(float((logits.argmax(axis=1) != y).mean()), 6)


def save(model: keras.Model, path: files.AnyPath, card: dict[str, Any]) -> None:
    """Write a classifier's weights at half precision, and its card beside them.

    Args:
        model: What `train` returned.
        path: File name of the card, ending in `.json`.
        card: What the card says beside `file`, `sha256`, `size` and `input_shape`.
    """
    path = Path(path)
    file = path.with_suffix(".npz")
    arrays = {f"{i:02}": value.astype("float16") for i, value in enumerate(model.get_weights())}
    with files.replacing(file) as new:
        np.savez(new, **arrays)
    card = {
        "file": file.name,
        "sha256": files.sha256(file),
        "size": file.stat().st_size,
        "input_shape": list(model.input_shape[1:]),
        "classes": model.output_shape[-1],
        **card,
    }
    files.write_json(path, card)


def load(path: files.AnyPath) -> keras.Model:
    """The classifier of a card, verified: Keras model from images to logits."""
    path = Path(path)
    card = files.read_json(path)
    file = path.with_name(card["file"])
    files.verify(file, card["sha256"])
    sizes = {key: card["recipe"][key] for key in ("filters", "units", "dropout")}
    model = _classifier(card["input_shape"], card["classes"], **sizes)
    with np.load(file, allow_pickle=False) as arrays:
        model.set_weights([arrays[key].astype("float32") for key in sorted(arrays)])
    return model


@cache
def _extractor(path: Path, sha256: str) -> tuple[keras.Model, RowRunner]:
    """The model from images to features, and what runs it."""
    model = load(path)
    model = keras.Model(model.inputs, model.get_layer("features").output, name="features")
    return model, RowRunner(model)


def _card_file(features: str | os.PathLike[str]) -> Path:
    if str(features).endswith(".json") and Path(features).is_file():
        return Path(features).resolve()
    known = cards()
    if features not in known:
        message = registry.unknown("features", features, known)
        raise ValueError(f"{message} A card's file, or a function of images, will do.")
    return folder() / f"{features}.json"


def _fitting(shape: tuple[int, ...]) -> str:
    known = {tuple(card["input_shape"]): name for name, card in cards().items()}
    if shape not in known:
        described = ", ".join(f"{name!r} {shape}" for shape, name in sorted(known.items()))
        raise ValueError(
            f"There is no classifier for rows of shape {shape}, only: {described}. Pass "
            "`features`, a function from rows to features (n, ...), or make one: `autoencoders "
            "features`."
        )
    return known[shape]


def _classifier(
    input_shape: Sequence[int], classes: int, filters: Sequence[int], units: int, dropout: float
) -> keras.Model:
    x = images = keras.Input(tuple(input_shape), dtype="float32")
    dtype = {"dtype": "float32"}
    order = {"data_format": "channels_last", **dtype}
    for count in filters:
        x = keras.layers.Conv2D(count, 3, padding="same", activation="relu", **order)(x)
        x = keras.layers.MaxPooling2D(**order)(x)
    x = keras.layers.Flatten(**order)(x)
    x = keras.layers.Dense(units, activation="relu", name="features", **dtype)(x)
    x = keras.layers.Dropout(dropout, **dtype)(x)
    return keras.Model(images, keras.layers.Dense(classes, name="classes", **dtype)(x))
