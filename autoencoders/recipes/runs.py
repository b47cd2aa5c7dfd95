"""Runs: what a recipe trains, on which data; training it, with checkpoints to go on from."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast, runtime_checkable

import numpy as np

from autoencoders import datasets, registry, zoo

if TYPE_CHECKING:
    from autoencoders.autoencoder import Autoencoder
    from autoencoders.datasets.sprites import Subset

# What a recipe may say. `schedule` is "cosine", for learning rates that fall to 0 in the end;
# `labels` is how many rows keep theirs, where a model learns from some; `pretraining` holds the
# arguments of `pretrain`.
_COUNTS = ("batch_size", "epochs", "steps_per_epoch", "labels")
_ENTRIES = {*_COUNTS, "seed", "optimizer", "phase_optimizers", "schedule", "pretraining"}

# Sprites that a model is measured on.
_TEST_SPRITES = 10_000

# A save takes as long as several epochs of a small model.
_SECONDS_BETWEEN_CHECKPOINTS = 2


class Run(NamedTuple):
    """A model to be trained: its name, the builder's arguments, and the recipe."""

    name: str
    arguments: dict[str, Any]
    recipe: registry.Recipe

    @property
    def dataset(self) -> str:
        """The name of the data set, which is the weights' tag as well."""
        return self.recipe["dataset"]


class Data(NamedTuple):
    """What a run trains on and is measured on: rows `(n, ...)` and integer labels `(n,)`.

    For sprites, `x` is the part for training, whose images are drawn batch by batch.
    """

    x: np.ndarray | Subset
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def load(
    name: str, dataset: str, arguments: dict[str, Any] | None = None, /, **changes: Any
) -> tuple[Run, Data]:
    """The run of a model on a data set, and its data.

    Args:
        name: The model's name.
        dataset: The data set's.
        arguments: Arguments of the builder. They replace those that the bundled weights for that
            data set were trained with or, if there are none, those of the card.
        changes: Entries of the recipe, which replace others in the same way; None takes one away.

    Raises:
        ValueError: unknown names, entries that a recipe does not have, or an `input_shape` among
            the arguments.
        RuntimeError: the data set is not at hand.
    """
    card = registry.card(name)
    arguments = arguments or {}
    if "input_shape" in arguments:
        raise ValueError("`input_shape` cannot be set: the data set determines it.")
    parts: Any = _sprites() if dataset == "sprites" else datasets.load(dataset)
    (x, y), (x_test, y_test) = parts
    if len(card["kwargs"]["input_shape"]) == 2 and x.shape[3:] == (1,):
        x, x_test = x[..., 0], x_test[..., 0]  # the lines of a grey image are the steps
    earlier = card["weights"].get(dataset, {"arguments": {}, "recipe": card["recipe"]})
    arguments = {**card["kwargs"], **earlier["arguments"], **arguments}
    arguments["input_shape"] = list(x.shape[1:])
    for key, value in changes.items():
        if key not in _ENTRIES:
            raise ValueError(registry.unknown("entry of a recipe", key, _ENTRIES))
        if key in _COUNTS and value is not None and not (type(value) is int and value > 0):
            raise ValueError(f"`{key}` of a recipe must be a positive integer, got {value!r}.")
    recipe = {**earlier["recipe"], **changes, "dataset": dataset}
    recipe = {key: value for key, value in recipe.items() if value is not None}
    return Run(name, arguments, cast(registry.Recipe, recipe)), Data(x, y, x_test, y_test)


def train(run: Run, data: Data, path: Path, say: Callable[[str], object] = print) -> Autoencoder:
    """Train a model by its recipe, or go on with a training that was interrupted.

    Args:
        run, data: As from `load`.
        path: The file that the result is meant for. What was trained so far lies beside it, in
            `checkpoint(run, path)`, until the caller deletes it.
        say: Function that is told, in a line, where the training stands.

    Returns:
        The trained model, compiled.

    Raises:
        ValueError: a recipe that the model cannot follow, or a checkpoint that cannot be read or
            has had more epochs.
    """
    import keras

    recipe, partial = run.recipe, checkpoint(run, path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if partial.is_file():
        model = _resumed(run, partial, say)
    else:
        keras.utils.set_random_seed(recipe["seed"])
        model = zoo.get(run.name, compile=False, **run.arguments)
        steps = recipe.get("steps_per_epoch") or math.ceil(len(data.x) / recipe["batch_size"])
        model.compile(**zoo.compile_arguments(recipe, steps * recipe["epochs"]))
    if "labels" in recipe and not model.labels:
        raise ValueError(f"{run.name} takes no labels: its recipe has no `labels`.")
    if "pretraining" in recipe:
        _pretrain(model, run, data, partial, say)
    model.fit(
        **_rows(run, data),
        y=_training_labels(run, data.y) if model.labels else None,
        epochs=recipe["epochs"],
        initial_epoch=model.epochs_trained,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=_checkpoints(model, run, partial))],
    )
    return model


def checkpoint(run: Run, path: Path) -> Path:
    """The file of an unfinished training, beside the one that it is meant for.

    Named by the settings, so that another run's state is never taken for this one's. More epochs
    of the same run go on from what there is, unless the learning rate follows their number.
    """
    recipe = run.recipe if "schedule" in run.recipe else {**run.recipe, "epochs": None}
    settings = json.dumps([run.name, run.arguments, recipe], sort_keys=True)
    digest = hashlib.sha256(settings.encode()).hexdigest()[:12]
    return path.with_name(f".{path.name}.{digest}.partial.keras")


def _sprites() -> tuple[tuple[Subset, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    train, test = datasets.sprites().split()
    none = np.empty(0, "int64")
    return (train, none), (test[:_TEST_SPRITES], none)


def _resumed(run: Run, partial: Path, say: Callable[[str], object]) -> Autoencoder:
    """The model of an unfinished training."""
    try:
        model = zoo.load(partial)
    except (ValueError, OSError, KeyError) as error:
        raise ValueError(f"{partial} cannot be read; delete it to start anew. {error}") from error
    if model.epochs_trained > run.recipe["epochs"]:
        raise ValueError(
            f"{partial} has had {model.epochs_trained} epochs already, more than the "
            f"{run.recipe['epochs']} asked for; delete it to start anew."
        )
    if model.epochs_trained:
        say(f"Going on after epoch {model.epochs_trained}, from {partial}")
    return model


@runtime_checkable
class Pretrains(Protocol):
    """A model whose layers are trained one by one before `fit`."""

    def pretrain(self, x: np.ndarray, **arguments: Any) -> Any:
        """Train the layers; `on_layer_end` among the arguments is called after each of them."""
        ...


def _pretrain(
    model: Autoencoder, run: Run, data: Data, partial: Path, say: Callable[[str], object]
) -> None:
    """Pre-train the layers of a stacked model that has not begun to train as a whole."""
    if not isinstance(model, Pretrains):
        raise ValueError(f"{run.name} is not a stacked model: its recipe has no `pretraining`.")
    if not model.epochs_trained:
        arguments = zoo.pretraining_arguments(run.recipe)
        model.pretrain(data.x, **arguments, on_layer_end=lambda layers: model.save(partial))
        say("Fine-tuning all layers")


def _rows(run: Run, data: Data) -> dict[str, Any]:
    """What `fit` takes: rows with their batch size, or the batches of rows that are drawn."""
    batch_size, steps = run.recipe["batch_size"], run.recipe.get("steps_per_epoch")
    if isinstance(data.x, np.ndarray):
        return {"x": data.x, "batch_size": batch_size, "steps_per_epoch": steps}
    return {"x": data.x.batches(batch_size, steps=steps, seed=run.recipe["seed"])}


def _checkpoints(model: Autoencoder, run: Run, partial: Path) -> Callable[[int, Any], None]:
    last_saved = None

    def on_epoch_end(epoch: int, logs: Any) -> None:
        nonlocal last_saved
        now = time.monotonic()
        recent = last_saved is not None and now - last_saved < _SECONDS_BETWEEN_CHECKPOINTS
        if recent and epoch + 1 < run.recipe["epochs"]:
            return
        model.save(partial)
        last_saved = time.monotonic()

    return on_epoch_end


def _training_labels(run: Run, y: np.ndarray) -> np.ndarray:
    """All labels, or as many as the recipe has, alike for each class; −1 stands for the others."""
    count = run.recipe.get("labels")
    if count is None:
        return y
    classes = np.unique(y)
    if count % len(classes) or count > len(y):
        raise ValueError(
            f"`labels` of a recipe must be a multiple of the {len(classes)} classes, and at most "
            f"{len(y)}, the number of rows; got {count}."
        )
    rows = np.random.default_rng(run.recipe["seed"]).permutation(len(y))
    kept = [rows[y[rows] == label][: count // len(classes)] for label in classes]
    labels = np.full_like(y, -1)
    for label, chosen in zip(classes, kept, strict=True):
        labels[chosen] = label
    return labels
