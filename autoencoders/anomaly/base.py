"""What the detectors share: arguments, models and their training, decisions and one file."""

import copy
import datetime
import math
import numbers
import os
import random
import warnings
from contextlib import contextmanager
from functools import wraps
from pathlib import Path

import keras
import numpy as np
from keras.src.saving.keras_saveable import KerasSaveable
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_is_fitted, check_random_state

import autoencoders
from autoencoders import registry, zoo
from autoencoders.anomaly import calibration
from autoencoders.anomaly.ensemble import DenoisingEnsemble
from autoencoders.anomaly.scaling import Scaler
from autoencoders.training.row_runner import RowRunner

# What small networks need on tables; a small table is gone through often enough to make as many.
_TRAINING_STEPS = 3000

# A row whose score is beyond all numbers: no row is less normal.
LOWEST = -float(np.finfo("float32").max)


class Detector(OutlierMixin, BaseEstimator, KerasSaveable):
    """Base class of the detectors: scikit-learn outlier detectors that Keras saves.

    A subclass has the constructor's arguments that are read here, gives `_new_score(model)`, and
    in `fit` sets the attributes that `get_config` and `save_own_variables` write.
    """

    # Arguments that the model is made with, so that none may change where training goes on.
    _makers = ("model", "noise_levels", "model_params", "scaler")

    # Saving ---------------------------------------------------------------------------------------

    def save(self, path):
        """Write all of it to one `.keras` file, which `autoencoders.load` reads in safe mode.

        It holds the network with its optimizer's state, the scaler, the calibration and the
        provenance. A file of that name is replaced once the new one is complete.

        Raises:
            ValueError: the name does not end in `.keras`.
            NotFittedError: there is nothing to save yet.
        """
        check_is_fitted(self)
        path = Path(path)
        if path.suffix != ".keras":
            raise ValueError(f"Save a detector to a `.keras` file; got {str(path)!r}.")
        partial = path.with_name(f"{path.stem}.partial.keras")
        try:
            keras.saving.save_model(self, partial)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)

    @property
    def built(self):
        """Whether it is fitted; Keras asks before it saves."""
        return "model_" in self.__dict__

    def __sklearn_is_fitted__(self):
        return self.built

    def _obj_type(self):
        return "Operation"  # of Keras's kinds the barest

    def get_config(self):
        """The arguments of the constructor; of a fitted detector the networks, too."""
        arguments = self.get_params(deep=False)
        if not isinstance(self.random_state, (int, np.integer, type(None))):
            # A generator has no place in a file: what it would draw next has.
            generator = check_random_state(copy.deepcopy(self.random_state))
            arguments["random_state"] = int(generator.randint(2**31 - 1))
        config = {"arguments": _serialized(arguments)}
        if self.built:
            config["fitted"] = {
                "model": keras.saving.serialize_keras_object(self.model_),
                "row_shape": list(self.row_shape_),
                "features": self.n_features_in_,
                "feature_names": [*getattr(self, "feature_names_in_", [])] or None,
                "seed": self._seed,
                "split": self._split,
                "provenance": self.provenance_,
            }
        return config

    @classmethod
    def from_config(cls, config):
        """The inverse of `get_config`; the arrays come with the weights."""
        arguments = keras.saving.deserialize_keras_object(config["arguments"])
        detector = cls(**_with_tuples(arguments))
        fitted = config.get("fitted")
        if fitted:
            detector.model_ = keras.saving.deserialize_keras_object(fitted["model"])
            detector.row_shape_ = tuple(fitted["row_shape"])
            detector.n_features_in_ = fitted["features"]
            if fitted["feature_names"]:
                detector.feature_names_in_ = np.array(fitted["feature_names"], dtype=object)
            detector.calibration_scores_ = None
            detector._seed = fitted["seed"]
            detector._split = fitted["split"]
            detector._made_with = {name: detector._argument(name) for name in cls._makers}
            detector.provenance_ = fitted["provenance"]
        return detector

    def save_own_variables(self, store):
        """Write the arrays that are no network's."""
        if not self.built:
            return
        store["center"], store["scale"] = self._scaler.center, self._scaler.scale
        store["offset"] = np.float64(self.offset_)
        if self.calibration_scores_ is not None:
            store["calibration_scores"] = self.calibration_scores_
        for name, value in self._score.statistics.items():
            store[f"score_{name}"] = np.asarray(value)

    def load_own_variables(self, store):
        """The inverse of `save_own_variables`."""
        values = {key: np.array(store[key]) for key in store.keys()}  # noqa: SIM118
        if not self.built:
            return
        self._scaler = Scaler(values["center"], values["scale"], self.model_.mask_value)
        self.offset_ = float(values["offset"])
        self.calibration_scores_ = values.get("calibration_scores")
        score = self._new_score(self.model_)
        score.statistics = {
            name.removeprefix("score_"): value
            for name, value in values.items()
            if name.startswith("score_")
        }
        self._use(score)

    # Parts of fitting -----------------------------------------------------------------------------

    def _check_arguments(self):
        if self.contamination != "auto" and not (
            isinstance(self.contamination, numbers.Real) and 0.0 < self.contamination <= 0.5
        ):
            raise ValueError(
                f"`contamination` must be 'auto' or a number in (0, 0.5], got "
                f"{self.contamination!r}."
            )
        rate("fpr", self.fpr)
        rate("calibration_size", self.calibration_size)
        if self.epochs is not None and not counts(self.epochs, 0):
            raise ValueError(f"`epochs` must be an integer, 0 or more; got {self.epochs!r}.")
        if self.batch_size is not None and not counts(self.batch_size, 1):
            raise ValueError(f"`batch_size` must be a positive integer, got {self.batch_size!r}.")

    def _draw_seed(self):
        if isinstance(self.random_state, numbers.Integral):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _new_ensemble(self, row_shape, seed):
        """Denoising autoencoders of the zoo for rows of this shape, to be trained."""
        with seeded(seed):
            arguments = self._model_arguments(row_shape)
            model = DenoisingEnsemble.of(self.model, self._noise_levels(), **arguments)
            model.compile(**zoo.compile_arguments(registry.card(self.model)["recipe"]))
        return model

    def _model_arguments(self, row_shape):
        arguments = {"input_shape": tuple(row_shape), **self._suited(row_shape)}
        return arguments | (self.model_params or {})

    def _noise_levels(self):
        levels = tuple(float(level) for level in np.atleast_1d(self.noise_levels))
        if len(set(levels)) < len(levels) or not levels or not all(v > 0 for v in levels):
            raise ValueError(
                f"`noise_levels` must be different positive numbers, got {self.noise_levels!r}."
            )
        return levels

    def _suited(self, row_shape):
        """Arguments that suit the rows better than the card's, which are for images.

        The code is narrower than the rows, for a model that else learns to copy, and wide enough
        for a variational one; and tables have no range.
        """
        card, table = registry.card(self.model), len(row_shape) == 1
        half = min(math.ceil(math.prod(row_shape) / 2), 32)
        arguments = {}
        if "latent_dim" in card["kwargs"]:
            if card["family"] == "undercomplete":
                arguments["latent_dim"] = min(card["kwargs"]["latent_dim"], half)
            elif card["family"] == "variational" and table:
                arguments["latent_dim"] = half
        if table and card["kwargs"].get("likelihood") == "bernoulli":
            arguments["likelihood"] = "gaussian"
        return arguments

    def _held_back(self, count):
        """How many of the rows are for calibration."""
        if self.contamination != "auto":
            return 0
        wanted = max(round(self.calibration_size * count), calibration.rows_needed(self.fpr))
        return min(wanted, count // 2)

    def _train(self, model, scaled, target=None):
        """Train, to reconstruct the rows themselves or a target, and return the steps."""
        batch_size, count = self.batch_size, len(scaled)
        if batch_size is None:
            batch_size, count = even_batches(count)
        whole = math.ceil(count / batch_size)
        epochs, steps = self.epochs, whole
        if epochs is None:
            trained = not isinstance(self.model, str) and self.model.trained
            # One epoch of many passes: on small tables most of the time would go between epochs.
            epochs, steps = 0 if trained else 1, max(whole, _TRAINING_STEPS)
        if epochs:
            before = model.epochs_trained
            model.fit(
                scaled[:count],  # the others are there by chance
                None if target is None else target[:count],
                batch_size=batch_size,
                epochs=before + epochs,
                initial_epoch=before,
                steps_per_epoch=None if steps == whole else steps,
                verbose=self.verbose,
            )
        return epochs * steps

    def _going_on(self):
        """Whether `fit` goes on with the model that is there.

        Raises:
            ValueError: arguments that made that model have changed.
        """
        if not (self.warm_start and self.built):
            return False
        changed = [
            name
            for name, value in self._made_with.items()
            if self._argument(name) is not value and not np.array_equal(self._argument(name), value)
        ]
        if changed:
            raise ValueError(
                f"`warm_start` goes on with the model that was fitted, but {changed} have changed "
                "since: put them back, or fit with `warm_start=False`."
            )
        return True

    def _argument(self, name):
        return self.get_params(deep=False)[name]

    def _remember(self, count, held_back):
        """Note what made the model, and which rows were held back from it."""
        self._made_with = {name: self._argument(name) for name in self._makers}
        self._split = [count, held_back]

    def _warn_of_leaks(self, count, held_back):
        """Rows are divided by number and seed: among others, trained ones may be held back."""
        if self.contamination == "auto" and self._split != [count, held_back]:
            warnings.warn(
                f"The model was trained on {self._split[0] - self._split[1]} of "
                f"{self._split[0]} rows before; of these {count}, other ones are held back. If any "
                "of them were trained on, the decision is too strict: `calibrate` with normal rows "
                "that were not.",
                stacklevel=4,
            )

    def _use(self, score):
        self._score = score
        self._runner = RowRunner(self.model_)

    def _decide_by(self, own, fpr):
        if 2 * np.sum(own <= LOWEST) > len(own):
            raise ValueError(
                "The model gives no finite errors: its weights or its training have diverged. "
                "Scale the rows, or train it with a smaller learning rate."
            )
        self.calibration_scores_ = own
        self.offset_ = calibration.threshold(own, fpr)
        self.provenance_ = {**self.provenance_, "calibrated_on": len(own), "fpr": fpr}

    def _calibrate_with(self, own, fpr, what):
        """Decide by the scores of normal rows."""
        own = np.sort(own)
        needed = calibration.rows_needed(fpr)
        if len(own) < needed:
            raise ValueError(
                f"A false-positive rate of {fpr:g} needs {needed} calibration {what} or more; got "
                f"{len(own)}."
            )
        self._decide_by(own, fpr)

    def _warn_of_few(self, held_back, count, what):
        needed = calibration.rows_needed(self.fpr)
        if held_back < needed:
            warnings.warn(
                f"Of {count} {what} {held_back} are held back for calibration, but a "
                f"false-positive rate of {self.fpr:g} needs {needed}: `predict` flags nothing. Fit "
                f"on {2 * needed} {what} or more, raise `fpr`, `calibrate` with other normal "
                f"{what}, or set `contamination` to a share of anomalies.",
                stacklevel=3,
            )


def even_batches(count):
    """A batch size near 128 and the number of rows, nearly all, that fill such batches.

    A pass whose last batch is smaller takes two programs in place of one.
    """
    batches = max(round(count / 128), 1)
    size = count // batches
    return size, batches * size


def all_or_nothing(method):
    """A method of a detector that leaves it as it was if it fails, or is interrupted."""

    @wraps(method)
    def careful(detector, *args, **kwargs):
        before = dict(detector.__dict__)
        try:
            return method(detector, *args, **kwargs)
        except BaseException:
            detector.__dict__.clear()
            detector.__dict__.update(before)
            raise

    return careful


@contextmanager
def seeded(seed):
    """Keras draws the seeds of layers from Python's generator, which is put back after."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


def rate(name, value):
    """The number, which must be a rate."""
    if not isinstance(value, numbers.Real) or not 0.0 < value < 1.0:
        raise ValueError(f"`{name}` must be between 0 and 1, got {value!r}.")
    return float(value)


def counts(value, least):
    """Whether it is an integer, `least` or more."""
    return isinstance(value, numbers.Integral) and value >= least


def _serialized(arguments):
    plain = {k: v.item() if isinstance(v, np.generic) else v for k, v in arguments.items()}
    return keras.saving.serialize_keras_object(plain)


def _with_tuples(value):
    """The value with its lists as tuples, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _with_tuples(part) for key, part in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


def provenance(steps, trained_on, seed):
    """What a detector was made with: training steps in all, rows (or points) trained on, seed."""
    return {
        "autoencoders": autoencoders.__version__,
        "keras": keras.__version__,
        "trained_on": trained_on,
        "training_steps": steps,
        "seed": seed,
        "fitted": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
