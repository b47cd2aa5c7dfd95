"""Carrying out a card's recipe: train a model, write its weights, measure them, judge them.

What `autoencoders train`, `reproduce` and `verify` have in common, so that a figure on a card, its
reproduction and its verification are one computation.
"""

import hashlib
import json
import math
import time
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

import autoencoders
from autoencoders import datasets, registry, weights, zoo

# The figures that a second training is held against; the others are parts of these.
_COMPARED = ("loss", "reconstruction_loss", "squared_error")

# What a recipe may say. `schedule` is "cosine", for learning rates that fall to 0 in the end;
# `labels` is how many rows keep theirs, where a model learns from some; `pretraining` is for
# `pretrain`.
_COUNTS = ("batch_size", "epochs", "steps_per_epoch", "labels")
_ENTRIES = {*_COUNTS, "seed", "optimizer", "phase_optimizers", "schedule", "pretraining"}

# How far half precision may move them, and another machine's arithmetic all figures.
_HALF_PRECISION = 1e-3
SAME_WEIGHTS = 1e-3

# Sprites that PCA learns from, and those that a model is measured on.
_BASELINE_SPRITES = 20_000
_TEST_SPRITES = 10_000

# A save takes as long as several epochs of a small model.
_SECONDS_BETWEEN_CHECKPOINTS = 2


class Run(NamedTuple):
    """A model to be trained: its name, the builder's arguments, and the recipe."""

    name: str
    arguments: dict
    recipe: dict

    @property
    def dataset(self):
        """The name of the data set, which is the weights' tag as well."""
        return self.recipe["dataset"]


class Data(NamedTuple):
    """What a run trains on and is measured on: rows `(n, ...)` and integer labels `(n,)`.

    Of sprites `x` is the part for training, whose images are drawn batch by batch.
    """

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def load(name, dataset, arguments=None, /, **changes):
    """The run of a model on a data set, and its data.

    Args:
        name: The model's name.
        dataset: The data set's.
        arguments: Arguments of the builder in place of those that the bundled weights for that
            data set were trained with, or else of the card's.
        changes: Entries of the recipe, likewise; None takes one away.

    Raises:
        ValueError: unknown names, entries that are no recipe's, or an `input_shape` among the
            arguments.
        RuntimeError: the data set is not at hand.
    """
    card = registry.card(name)
    arguments = arguments or {}
    if "input_shape" in arguments:
        raise ValueError("`input_shape` cannot be set: the data set determines it.")
    (x, y), (x_test, y_test) = _sprites() if dataset == "sprites" else datasets.load(dataset)
    if len(card["kwargs"]["input_shape"]) == 2 and x.shape[3:] == (1,):
        x, x_test = x[..., 0], x_test[..., 0]  # a grey image's rows as time
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
    return Run(name, arguments, recipe), Data(x, y, x_test, y_test)


def train(run, data, path, say=print):
    """Train a model by its recipe, or go on with a training that was interrupted.

    Args:
        run, data: As from `load`.
        path: The file that the result is meant for. What was trained so far lies beside it, in
            `checkpoint(run, path)`, until the caller deletes it.
        say: Function that is told, in a line, where the training stands.

    Returns:
        The trained model, compiled.
    """
    import keras

    recipe, partial = run.recipe, checkpoint(run, path)
    steps = recipe.get("steps_per_epoch")
    path.parent.mkdir(parents=True, exist_ok=True)
    if partial.is_file():
        try:
            model = autoencoders.load(partial)
        except (ValueError, OSError, KeyError) as error:
            raise ValueError(
                f"{partial} cannot be read; delete it to start anew. {error}"
            ) from error
        if model.epochs_trained > recipe["epochs"]:
            raise ValueError(
                f"{partial} has had {model.epochs_trained} epochs already, more than the "
                f"{recipe['epochs']} asked for; delete it to start anew."
            )
        if model.epochs_trained:
            say(f"Going on after epoch {model.epochs_trained}, from {partial}")
    else:
        keras.utils.set_random_seed(recipe["seed"])
        model = autoencoders.get(run.name, compile=False, **run.arguments)
        per_epoch = steps or math.ceil(len(data.x) / recipe["batch_size"])
        model.compile(**zoo.compile_arguments(recipe, per_epoch * recipe["epochs"]))
    if "pretraining" in recipe and not hasattr(model, "pretrain"):
        raise ValueError(f"{run.name} is no stacked model: its recipe has no `pretraining`.")
    if "labels" in recipe and not model.labels:
        raise ValueError(f"{run.name} takes no labels: its recipe has no `labels`.")
    if "pretraining" in recipe and not model.epochs_trained:
        pretraining = zoo.pretraining_arguments(recipe)
        model.pretrain(data.x, **pretraining, on_layer_end=lambda layers: _write(model, partial))
        say("Fine-tuning all layers")
    rows = {"x": data.x, "batch_size": recipe["batch_size"], "steps_per_epoch": steps}
    if not isinstance(data.x, np.ndarray):
        rows = {"x": data.x.batches(recipe["batch_size"], steps=steps, seed=recipe["seed"])}
    model.fit(
        **rows,
        y=_training_labels(run, data.y) if model.labels else None,
        epochs=recipe["epochs"],
        initial_epoch=model.epochs_trained,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=_checkpoints(model, run, partial))],
    )
    return model


def checkpoint(run, path):
    """The file of an unfinished training, beside the one that it is meant for.

    Named by the settings, so that another run's state is never taken for this one's. More epochs
    of the same run go on from what there is, unless the learning rate follows their number.
    """
    recipe = run.recipe if "schedule" in run.recipe else {**run.recipe, "epochs": None}
    settings = json.dumps([run.name, run.arguments, recipe], sort_keys=True)
    digest = hashlib.sha256(settings.encode()).hexdigest()[:12]
    return path.with_name(f".{path.name}.{digest}.partial.keras")


def published(name, tag):
    """Where the bundled weights of a tag lie."""
    return registry.zoo_folder() / "weights" / f"{name}.{tag}.weights.h5"


def publish(model, run, data, tolerance=None):
    """Write a trained model's weights into the zoo, and their entry onto the card.

    Args:
        model: As from `train`.
        run, data: As from `load`.
        tolerance: The relative difference within which a second training is to meet the figures;
            as before unless given.

    Returns:
        The entry, as a dict.

    Raises:
        ValueError: the model is not good enough, by `passes`; nothing was changed.
    """
    path = published(run.name, run.dataset)
    card_file = registry.zoo_folder() / f"{run.name}.json"
    with replacing(path) as new_path, replacing(card_file) as new_card_file:
        entry = save_weights(model, new_path, run, data)
        bar = Baseline(**entry["baseline"])
        if not passes(entry["figures"], bar):
            raise ValueError(
                f"{run.name} on {run.dataset} stays out of the zoo: its figures {entry['figures']} "
                f"do not pass {bar}. Change the recipe or the arguments."
            )
        card = json.loads(card_file.read_text(encoding="utf-8"))
        earlier = card["weights"].get(run.dataset, {})
        tolerance = earlier.get("tolerance", 0.05) if tolerance is None else tolerance
        entry = {**entry, "file": path.name, "tolerance": tolerance}
        card["weights"] = dict(sorted({**card["weights"], run.dataset: entry}.items()))
        text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
        new_card_file.write_text(text, encoding="utf-8")
    return entry


@contextmanager
def replacing(path):
    """A path to write to, that takes the place of `path` once all is done, or never.

    Whenever it is interrupted, there is the old file or the new one.
    """
    new = path.with_name(f"new.{path.name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield new
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def save_weights(model, path, run, data):
    """Write a trained model's weights, and measure what was written.

    Half precision, unless that moves the figures.

    Args:
        model: As from `train`.
        path: File name ending in `.weights.h5`.
        run, data: As from `load`.

    Returns:
        What a card says of them, as a dict.
    """
    weights.save(model, path, run.name, run.arguments)
    exact = measure(run.name, path, data)
    written = weights.save(model, path, run.name, run.arguments, half=True)
    figures = measure(run.name, path, data)
    if not within(deviations(figures, exact), _HALF_PRECISION):
        written, figures = weights.save(model, path, run.name, run.arguments), exact
    return {
        "file": path.name,
        **written,
        "dataset": run.dataset,
        "parameters": model.count_params(),
        "arguments": run.arguments,
        "recipe": run.recipe,
        "figures": figures,
        "baseline": baseline(model, run.name, data)._asdict(),
    }


def measure(name, source, data):
    """A model's figures on the test set: its loss terms, and the squared error of a row.

    Args:
        name: The model's name.
        source: Its weights, as in `get`, or a saved model.
        data: As from `load`.

    Returns:
        A dict of six-digit floats. The same weights give the same figures: what is sampled is
        sampled from the same seed.
    """
    import keras

    keras.utils.set_random_seed(0)
    whole = str(source).endswith(".keras")
    model = autoencoders.load(source) if whole else autoencoders.get(name, weights=source)
    labels = data.y_test if model.labels else None
    figures = model.evaluate(data.x_test, labels, batch_size=1000, verbose=0, return_dict=True)
    given = (data.x_test, data.y_test) if model.needs_labels else data.x_test
    figures["squared_error"] = autoencoders.metrics.squared_error(model, given)
    if model.corruption is not None:
        noisy = keras.ops.convert_to_numpy(model.corruption(data.x_test, training=True))
        pairs = {"noise": noisy, "denoised_squared_error": model.predict(noisy, verbose=0)}
        for key, rows in pairs.items():
            squares = np.square(rows - data.x_test, dtype="float64")
            figures[key] = squares.sum() / len(squares)
    if hasattr(model, "classify"):
        wrong = model.classify(data.x_test).argmax(axis=-1) != data.y_test
        figures["classification_error"] = wrong.mean()
    return {key: float(f"{value:.6g}") for key, value in figures.items()}


class Baseline(NamedTuple):
    """What a model's squared error on the test set is held against, and by which rule.

    `rule` is "pca" (with as many components as the model has latent units), "pca_at_equal_bits"
    (for discrete codes), "pca_given_labels" (of what the mean row of each class leaves, where the
    decoder is told the class), "linear" (PCA again, to be met within 0.5 %) or "mean_row" (the
    error of the mean training row, for codes that are as wide as the rows).
    """

    rule: str
    squared_error: float

    @property
    def described(self):
        """What the rule compares with, in words."""
        return {
            "linear": "PCA with as many components",
            "mean_row": "the mean training row",
            "pca": "PCA with as many components",
            "pca_at_equal_bits": "PCA with as many bits",
            "pca_given_labels": "PCA within the classes",
        }[self.rule]


def baseline(model, name, data):
    """The bar over which a model has to be, to join the zoo with pretrained weights.

    Args:
        model: An `Autoencoder`.
        name: Its name in the zoo.
        data: As from `load`.
    """
    x = data.x if isinstance(data.x, np.ndarray) else data.x[:_BASELINE_SPRITES]
    x_test = data.x_test
    units = math.prod(model.latent_shape)
    if model.num_codes is not None:
        places = math.prod(model.latent_shape[:-1])
        rule, bits = "pca_at_equal_bits", places * math.log2(model.num_codes)
        error = autoencoders.metrics.pca_squared_error_at(bits, x, x_test)
    elif model.needs_labels:
        means = np.stack([x[data.y == label].mean(axis=0) for label in range(data.y.max() + 1)])
        parts = x - means[data.y], x_test - means[data.y_test]
        rule, error = "pca_given_labels", autoencoders.metrics.pca_squared_error(*parts, units)
    elif units < math.prod(x.shape[1:]):
        rule = "linear" if name == "ae_linear" else "pca"
        error = autoencoders.metrics.pca_squared_error(x, x_test, units)
    else:
        difference = x_test - x.mean(axis=0)
        rule, error = "mean_row", np.square(difference, dtype="float64").sum() / len(difference)
    return Baseline(rule, float(f"{error:.6g}"))


def passes(figures, bar):
    """Whether a model of these figures may join the zoo.

    Args:
        figures: As from `measure`.
        bar: A `Baseline`. A model that denoises codes as wide as the rows also has to bring noisy
            rows closer to the clean ones than they were.
    """
    error = figures["squared_error"]
    if bar.rule == "linear":
        return math.isclose(error, bar.squared_error, rel_tol=0.005)
    if bar.rule == "mean_row" and "noise" in figures:
        return error < bar.squared_error and figures["denoised_squared_error"] < figures["noise"]
    return error < bar.squared_error


def deviations(figures, expected):
    """How far figures are from those on a card, relatively: a dict, for those that are compared."""
    compared = [key for key in _COMPARED if key in expected]
    return {key: _deviation(figures[key], expected[key]) for key in compared}


def within(deviations, tolerance):
    """Whether all deviations are within a tolerance; one that is no number is not."""
    return all(off <= tolerance for off in deviations.values())


def same(figures, expected):
    """Whether figures are those on a card, but for the arithmetic of another machine."""
    return set(figures) == set(expected) and all(
        math.isclose(figures[key], expected[key], rel_tol=SAME_WEIGHTS, abs_tol=SAME_WEIGHTS)
        for key in expected
    )


def same_bar(bar, expected):
    """Whether two baselines are one, but for the arithmetic of another machine."""
    errors = (bar.squared_error, expected.squared_error)
    return bar.rule == expected.rule and math.isclose(*errors, rel_tol=SAME_WEIGHTS)


def _deviation(figure, expected):
    if figure == expected:
        return 0.0
    return abs(figure / expected - 1.0) if expected else math.inf


def _sprites():
    train, test = datasets.sprites().split()
    none = np.empty(0, "int64")
    return (train, none), (test[:_TEST_SPRITES], none)


def _checkpoints(model, run, partial):
    last_saved = None

    def on_epoch_end(epoch, logs):
        nonlocal last_saved
        now = time.monotonic()
        recent = last_saved is not None and now - last_saved < _SECONDS_BETWEEN_CHECKPOINTS
        if recent and epoch + 1 < run.recipe["epochs"]:
            return
        _write(model, partial)
        last_saved = time.monotonic()

    return on_epoch_end


def _write(model, partial):
    with replacing(partial) as new:
        model.save(new)


def _training_labels(run, y):
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
