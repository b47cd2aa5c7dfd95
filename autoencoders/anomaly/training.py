"""How the models of detectors are made, and what they are trained on."""

import copy
import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike

from autoencoders import registry, zoo
from autoencoders.anomaly import scores
from autoencoders.anomaly.chunks import chunks, is_mapped, spool
from autoencoders.anomaly.ensemble import DenoisingEnsemble
from autoencoders.anomaly.scaling import Scaler
from autoencoders.autoencoder import Autoencoder
from autoencoders.networks import endings
from autoencoders.seeds import default_seeds

# From `warnings.warn` in a hook of `Detector.fit`, through both classes' `fit` and the check of the
# backend, to the line that fits a detector.
CALLER_OF_FIT = 5

# What detectors train.
Model = Autoencoder | DenoisingEnsemble

# Small networks need about so many steps on a table. A small table is gone through again and again
# until there are as many.
_STEPS = 3000


def new_ensemble(
    name: str, noise_levels: ArrayLike, arguments: Mapping[str, Any], seed: int
) -> DenoisingEnsemble:
    """Denoising autoencoders of the zoo, compiled by the model's recipe and not trained yet.

    Args:
        name: The model's name.
        noise_levels: Standard deviations of the noise.
        arguments: Arguments of the model's builder.
        seed: The integer that decides the weights and all that training draws.

    Raises:
        ValueError: levels that are not different positive numbers, or a model that cannot be
            trained so.
    """
    with default_seeds(seed):
        model = DenoisingEnsemble.of(name, _checked_levels(noise_levels), **arguments)
        model.compile(**zoo.compile_arguments(registry.card(name)["recipe"]))
    return model


def model_arguments(
    name: str, row_shape: tuple[int, ...], params: Mapping[str, Any] | None, *, table: bool
) -> dict[str, Any]:
    """Arguments of a model's builder for rows of this shape; `params` override what suits them.

    The card's own arguments are for images. The code is narrower than the rows where a model would
    otherwise learn to copy them, and wide enough for a variational one; and a table's columns have
    no range, which is what a Bernoulli likelihood wants.

    Args:
        name: The model's name.
        row_shape: Shape of a row.
        params: What the user has set.
        table: Whether the rows have no range, as those of tables and series.

    Raises:
        ValueError: `params` name weights: a file that somebody else has made could have them
            fetched.
    """
    if "weights" in (params or {}):
        raise ValueError(
            "`model_params` are arguments of the model's builder, and `weights` is none. Give the "
            f"detector the model itself: `get({name!r}, weights=...)`."
        )
    card = registry.card(name)
    half = min(math.ceil(math.prod(row_shape) / 2), 32)
    suited = {}
    if "latent_dim" in card["kwargs"]:
        if card["family"] == "undercomplete":
            suited["latent_dim"] = min(card["kwargs"]["latent_dim"], half)
        elif card["family"] == "variational" and table:
            suited["latent_dim"] = half
    if table and card["kwargs"].get("likelihood") == "bernoulli":
        suited["likelihood"] = "gaussian"
    return {"input_shape": tuple(row_shape), **suited, **(params or {})}


def checked_model(model: Autoencoder, X: np.ndarray, score: str | tuple[str, ...]) -> Autoencoder:
    """The model, built and compiled, if it can have rows like X and this score.

    Raises:
        ValueError: it takes labels or rows of another shape, or lacks what the score needs.
    """
    model.ensure_built(X)
    if model.labels is not None:
        raise ValueError(f"{model.name!r} takes labels, which rows to be judged do not have.")
    model.expectation.spec("float32", X.shape, "X")
    scores.get(score, model)
    if not model.compiled:
        model.compile("adam")
    return model


def copied_model(
    model: Autoencoder, X: np.ndarray, score: str | tuple[str, ...], *, warn: bool
) -> Autoencoder:
    """A copy of a model that a detector was given, to be trained.

    Args:
        model: The model.
        X: The rows to fit on.
        score: Name of the score, or several names.
        warn: Whether to warn if the model is trained already: where it is not trained further, and
            the decision goes by held-back rows, it may have been trained on these.

    Raises:
        ValueError: as of `checked_model`.
    """
    if score == "multi_scale":
        raise ValueError(
            "'multi_scale' trains networks of its own: pass the name of a zoo model, or "
            "choose another `score` for this one."
        )
    model = checked_model(copy.deepcopy(model), X, score)
    if model.trained and warn:
        warnings.warn(
            f"{model.name!r} was trained before, and `fit` trains it no more. If it was "
            "trained on any of these rows, the decision is too strict: `calibrate` with "
            "normal rows that it has not seen.",
            stacklevel=CALLER_OF_FIT + 1,
        )
    return model


def adopted(
    model: Autoencoder, X: np.ndarray, score: str | tuple[str, ...], scaler: str | None
) -> tuple[Autoencoder, scores.Score]:
    """A copy of a model that a detector was given, to be used as it is; and its score.

    Args:
        model: The model.
        X: Normal rows.
        score: Name of the score, or several names.
        scaler: The detector's argument.

    Raises:
        ValueError: the score or the scaler would have to learn; or as of `checked_model`.
    """
    model = checked_model(copy.deepcopy(model), X, score)
    own = scores.get(score, model)
    if own.needs_statistics or scaler not in (None, "auto"):
        raise ValueError(
            f"The score {score!r} or the scaler learns from training rows: call `fit` first, "
            "with `epochs=0` to leave the model as it is."
        )
    for part in chunks(X):  # in the model's units and range
        model.expectation.array(part.astype("float32"), "X_normal", target=True)
    return model, own


def is_bounded(model: Model) -> bool:
    """Whether the model's reconstructions have a range."""
    if isinstance(model, DenoisingEnsemble):
        model = model.members[0]  # all have the same decoder
    end = endings.ending(model.decoder)
    squashed = end is not None and end.bounded
    return squashed or bool(np.isfinite([model.expectation.low, model.expectation.high]).any())


def epochs_to_train(model: str | Model, epochs: int | None) -> int | None:
    """How many epochs a detector trains what it was given; None for as many as small networks need.

    Args:
        model: The name of a model, or one of the user's.
        epochs: What the detector was told, or None.

    Raises:
        ValueError: nobody knows whether the user's model is trained.
    """
    if isinstance(model, str) or epochs is not None:
        return epochs
    if model.trained is None:
        raise ValueError(
            f"Whether {model.name!r} is trained cannot be known: its weights were set by hand, "
            "trained layer by layer, or loaded from a file that does not say. Pass `epochs=0` to "
            "use the model as it is, or the number of epochs to train it for."
        )
    return 0 if model.trained else None


def train(
    model: Model,
    inputs: np.ndarray,
    targets: np.ndarray | None,
    *,
    epochs: int | None,
    batch_size: int | None,
    verbose: int,
) -> int:
    """Train a model, to reconstruct the rows themselves or targets, and count the steps.

    Args:
        model: A compiled model.
        inputs: Rows, scaled.
        targets: What to make of them; None for themselves.
        epochs: Passes over the rows; None for 3,000 steps, or one pass where that is more.
        batch_size: Rows in a step; None for about 128.
        verbose: Keras's verbosity.

    Returns:
        How many steps were made.
    """
    count = len(inputs)
    if batch_size is None:
        # A few rows at the end fill no batch, and are not trained on.
        batch_size, count = even_batches(count)
    whole = math.ceil(count / batch_size)
    steps = whole
    if epochs is None:
        # One epoch of many passes: on small tables most of the time would go between epochs.
        epochs, steps = 1, max(whole, _STEPS)
    if epochs:
        before = model.epochs_trained
        history = model.fit(
            inputs[:count],
            None if targets is None else targets[:count],
            batch_size=batch_size,
            epochs=before + epochs,
            initial_epoch=before,
            steps_per_epoch=None if steps == whole else steps,
            verbose=verbose,
        )
        if history.diverged is not None and model.epochs_trained == before:
            raise ValueError(
                f"Training of {model.name!r} diverged in its first epoch, so that it has learnt "
                "nothing. Scale the rows, or train it with a smaller learning rate."
            )
    return epochs * steps


def even_batches(count: int) -> tuple[int, int]:
    """A batch size near 128 and the number of rows, nearly all, that fill such batches.

    A pass whose last batch is smaller takes two programs in place of one.
    """
    batches = max(round(count / 128), 1)
    size = count // batches
    return size, batches * size


class ScaledRows(NamedTuple):
    """What a model is trained on: rows, to be reconstructed themselves."""

    inputs: np.ndarray
    targets: None = None


@dataclass(frozen=True, eq=False)
class RandomDivision:
    """Rows to train on and rows to hold back, drawn by chance.

    Attributes:
        rows: All of them, `(n, *row_shape)`.
        training: Indices of those to train on, in the order in which they are trained on.
        held_back: Indices of the others.
    """

    rows: np.ndarray
    training: np.ndarray
    held_back: np.ndarray

    @classmethod
    def drawn(cls, rows: np.ndarray, held_back: int, seed: int) -> Self:
        """Hold so many rows back.

        The others are sorted, since a file is read fastest in order. But chance decides which of
        them come last and fill no batch.
        """
        order = np.random.default_rng(seed).permutation(len(rows))
        others = order[held_back:]
        _, count = even_batches(len(others))
        training = np.concatenate([np.sort(others[:count]), np.sort(others[count:])])
        return cls(rows, training, np.sort(order[:held_back]))

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of a row."""
        return self.rows.shape[1:]

    @property
    def count(self) -> int:
        """How many rows are trained on."""
        return len(self.training)

    def chunks(self) -> Iterator[np.ndarray]:
        """The rows to train on, some at a time."""
        return chunks(self.rows, self.training)

    def examples(self, scaler: Scaler, seed: int, folder: str) -> ScaledRows:
        """The rows to train on, scaled; in a file of `folder` where the rows lie in a file, too."""
        scaled = (scaler(part) for part in self.chunks())
        mapped = is_mapped(self.rows)
        return ScaledRows(spool(scaled, folder) if mapped else np.concatenate([*scaled]))


def _checked_levels(noise_levels: ArrayLike) -> tuple[float, ...]:
    levels = tuple(float(level) for level in np.atleast_1d(noise_levels))
    if len(set(levels)) < len(levels) or not levels or not all(v > 0 for v in levels):
        raise ValueError(
            f"`noise_levels` must be different positive numbers, got {noise_levels!r}."
        )
    return levels
