"""Figures: measuring a model on the test set, what it is held against, and how figures compare."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import numpy as np

from autoencoders import files, zoo

if TYPE_CHECKING:
    from autoencoders.autoencoder import Autoencoder
    from autoencoders.recipes.runs import Data

# The figures that a second training is held against; the others are parts of these.
_COMPARED = ("loss", "reconstruction_loss", "squared_error")

# How far another machine's arithmetic may move any figure.
SAME_WEIGHTS = 1e-3

# Sprites that PCA learns from.
_BASELINE_SPRITES = 20_000


def measure(name: str, source: files.AnyPath, data: Data) -> dict[str, float]:
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

    from autoencoders import metrics

    keras.utils.set_random_seed(0)
    whole = str(source).endswith(".keras")
    model = zoo.load(source) if whole else zoo.get(name, weights=source)
    labels = data.y_test if model.labels else None
    figures = model.evaluate(data.x_test, labels, batch_size=1000, verbose=0, return_dict=True)
    given = (data.x_test, data.y_test) if model.needs_labels else data.x_test
    figures["squared_error"] = metrics.squared_error(model, given)
    if model.corruption is not None:
        noisy = keras.ops.convert_to_numpy(model.corruption(data.x_test, training=True))
        pairs = {"noise": noisy, "denoised_squared_error": model.predict(noisy, verbose=0)}
        for key, rows in pairs.items():
            squares = np.square(rows - data.x_test, dtype="float64")
            figures[key] = squares.sum() / len(squares)
    if isinstance(model, Classifies):
        wrong = model.classify(data.x_test).argmax(axis=-1) != data.y_test
        figures["classification_error"] = wrong.mean()
    return {key: float(f"{value:.6g}") for key, value in figures.items()}


@runtime_checkable
class Classifies(Protocol):
    """A model that tells the classes of rows."""

    def classify(self, x: np.ndarray) -> np.ndarray:
        """Class probabilities, `(n, num_classes)`."""
        ...


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
    def described(self) -> str:
        """What the rule compares with, in words."""
        return {
            "linear": "PCA with as many components",
            "mean_row": "the mean training row",
            "pca": "PCA with as many components",
            "pca_at_equal_bits": "PCA with as many bits",
            "pca_given_labels": "PCA within the classes",
        }[self.rule]


def baseline(model: Autoencoder, name: str, data: Data) -> Baseline:
    """The bar over which a model has to be, to join the zoo with pretrained weights.

    Args:
        model: An `Autoencoder`.
        name: Its name in the zoo.
        data: As from `load`.
    """
    from autoencoders import metrics

    x = data.x if isinstance(data.x, np.ndarray) else data.x[:_BASELINE_SPRITES]
    x_test = data.x_test
    units = math.prod(model.latent_shape)
    if model.num_codes is not None:
        places = math.prod(model.latent_shape[:-1])
        rule, bits = "pca_at_equal_bits", places * math.log2(model.num_codes)
        error = metrics.pca_squared_error_at(bits, x, x_test)
    elif model.needs_labels:
        means = np.stack([x[data.y == label].mean(axis=0) for label in range(data.y.max() + 1)])
        parts = x - means[data.y], x_test - means[data.y_test]
        rule, error = "pca_given_labels", metrics.pca_squared_error(*parts, units)
    elif units < math.prod(x.shape[1:]):
        rule = "linear" if name == "ae_linear" else "pca"
        error = metrics.pca_squared_error(x, x_test, units)
    else:
        difference = x_test - x.mean(axis=0)
        rule, error = "mean_row", np.square(difference, dtype="float64").sum() / len(difference)
    return Baseline(rule, float(f"{error:.6g}"))


def passes(figures: dict[str, float], bar: Baseline) -> bool:
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


def deviations(figures: dict[str, float], expected: dict[str, float]) -> dict[str, float]:
    """How far figures are from those on a card, relatively: a dict, for those that are compared."""
    compared = [key for key in _COMPARED if key in expected]
    return {key: _deviation(figures[key], expected[key]) for key in compared}


def within(deviations: dict[str, float], tolerance: float) -> bool:
    """Whether all deviations are within a tolerance; one that is NaN is not."""
    return all(off <= tolerance for off in deviations.values())


def same(figures: dict[str, float], expected: dict[str, float]) -> bool:
    """Whether figures are those on a card, but for the arithmetic of another machine."""
    return set(figures) == set(expected) and all(
        math.isclose(figures[key], expected[key], rel_tol=SAME_WEIGHTS, abs_tol=SAME_WEIGHTS)
        for key in expected
    )


def same_bar(bar: Baseline, expected: Baseline) -> bool:
    """Whether two baselines are one, but for the arithmetic of another machine."""
    errors = (bar.squared_error, expected.squared_error)
    return bar.rule == expected.rule and math.isclose(*errors, rel_tol=SAME_WEIGHTS)


def _deviation(figure: float, expected: float) -> float:
    if figure == expected:
        return 0.0
    return abs(figure / expected - 1.0) if expected else math.inf
