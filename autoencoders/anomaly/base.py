"""`Detector`: the course of fitting, calibration and saving, which all detectors share."""

import copy
import numbers
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, TypeGuard

import keras
import numpy as np
from keras.src.saving.keras_saveable import KerasSaveable
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_is_fitted, check_random_state

from autoencoders import files
from autoencoders.anomaly import calibration, training
from autoencoders.anomaly.fitted import Fitted, FittedAttributes, provenance
from autoencoders.anomaly.scaling import Scaler
from autoencoders.checks import no_nan
from autoencoders.training.backend import needs_tensorflow
from autoencoders.training.row_runner import RowRunner


class Detector(FittedAttributes, OutlierMixin, BaseEstimator, KerasSaveable):
    """Base class of the detectors: scikit-learn outlier detectors that Keras saves.

    `fit` is the same for all of them and asks a subclass five times: `read` for the rows,
    `divide` for those to train on and those to hold back, `new_model`, `new_score`, and `learn`
    for what the score has to know. A subclass further gives `load_score`, for files, and has the
    arguments of the constructor that are read here.

    Attributes:
        frozen_arguments: Names of arguments that the model is made with. They may not change where
            `warm_start` goes on with it.
        unit: What messages call a thing that has a score.
    """

    frozen_arguments: tuple[str, ...] = ("model", "noise_levels", "model_params", "scaler")
    unit: str = "rows"

    model: Any
    contamination: str | float
    fpr: float
    scaler: str | None
    epochs: int | None
    batch_size: int | None
    noise_levels: Any
    model_params: Mapping[str, Any] | None
    calibration_size: float
    warm_start: bool
    verbose: int
    random_state: Any

    # What a file says of a fitted detector, kept until its arrays are read, too.
    _unread: dict[str, Any] | None = None

    # Fitting --------------------------------------------------------------------------------------

    @needs_tensorflow
    def fit(self, X: Any, y: Any = None) -> Self:
        """Train, learn the score and decide; a fit that fails leaves the detector as it was."""
        self.check_arguments()
        earlier = self._earlier()
        columns = self if earlier else self.blank()
        with tempfile.TemporaryDirectory() as folder:
            rows = self.read(X, columns, folder)
            count = sum(map(len, rows))
            held_back = self._held_back(count)
            seed = earlier.seed if earlier else self.draw_seed()
            division = self.divide(rows, held_back, seed)
            if earlier:
                self._warn_of_leaks(earlier.split, (count, held_back))
                model, scaler = copy.deepcopy(earlier.model), earlier.scaler
                steps = earlier.provenance["training_steps"]
            else:
                model, steps = self.new_model(division, seed), 0
                scaler = Scaler.fit(self.scaler_name(model), division.chunks(), model.mask_value)
            examples = division.examples(scaler, seed, folder)
            steps += training.train(
                model,
                examples.inputs,
                examples.targets,
                epochs=self.epochs_to_train(),
                batch_size=self.batch_size,
                verbose=self.verbose,
            )
            fitted = Fitted(
                model=model,
                scaler=scaler,
                score=self.new_score(model, earlier),
                runner=RowRunner(model),
                row_shape=division.row_shape,
                **columns_of(columns),
                seed=seed,
                split=(count, held_back),
                made_with=self.made_with(),
                provenance=provenance(steps, division.count, seed),
            )
            own = self.learn(fitted, division, examples)
            self.take(self._decided(fitted, own, count))
        return self

    def read(self, X: Any, columns: "Detector", folder: str) -> list[np.ndarray]:
        """The arrays of rows in what `fit` was given, checked.

        Args:
            X: What `fit` was given.
            columns: The detector that holds the number and the names of the columns, as
                scikit-learn notes them. Where `warm_start` goes on, it is this detector, and X must
                have the columns it was fitted on; otherwise it is a blank one, which takes them
                from X.
            folder: A folder for temporary files, which lasts as long as `fit` does.
        """
        raise NotImplementedError

    def divide(self, rows: list[np.ndarray], held_back: int, seed: int) -> Any:
        """The rows to train on and those to hold back.

        Args:
            rows: What `read` gave.
            held_back: How many to hold back (about).
            seed: The integer by which rows are drawn, where they are held back by chance.

        Returns:
            An object with `row_shape`, the shape that the model sees; `count`, how many rows are
            trained on; `chunks()`, which yields them; and `examples(scaler, seed, folder)`, an
            object with the `inputs` and `targets` of training (None for the inputs themselves).
        """
        raise NotImplementedError

    def new_model(self, division: Any, seed: int) -> training.Model:
        """The model to train, compiled; `division` is what `divide` gave."""
        raise NotImplementedError

    def new_score(self, model: training.Model, earlier: Fitted | None) -> Any:
        """The score that this detector judges by, with nothing learnt.

        Args:
            model: The trained model.
            earlier: What `warm_start` goes on with.
        """
        raise NotImplementedError

    def learn(self, fitted: Fitted, division: Any, examples: Any) -> np.ndarray:
        """Let the score learn what it has to know.

        Args:
            fitted: All that there is but a decision; its score learns.
            division: What `divide` gave.
            examples: What the model was trained on.

        Returns:
            The scores to decide by, `(m,)`: those of what was held back where `contamination` is
            "auto", otherwise those of what was trained on.
        """
        raise NotImplementedError

    # Parts of fitting -----------------------------------------------------------------------------

    def check_arguments(self) -> None:
        """Raise a ValueError or TypeError that names an argument which cannot be."""
        if self.contamination != "auto" and not (
            _is_real(self.contamination) and 0.0 < self.contamination <= 0.5
        ):
            raise ValueError(
                f"`contamination` must be 'auto' or a number in (0, 0.5], got "
                f"{self.contamination!r}."
            )
        checked_rate("fpr", self.fpr)
        checked_rate("calibration_size", self.calibration_size)
        if self.epochs is not None and not is_integer(self.epochs, 0):
            raise ValueError(f"`epochs` must be an integer, 0 or more; got {self.epochs!r}.")
        if self.batch_size is not None and not is_integer(self.batch_size, 1):
            raise ValueError(f"`batch_size` must be a positive integer, got {self.batch_size!r}.")

    def scaler_name(self, model: training.Model) -> str | None:
        """The name of the scaler that suits the model."""
        return self.scaler

    def epochs_to_train(self) -> int | None:
        """Passes over the rows; None for as many as small networks need."""
        return self.epochs

    def argument(self, name: str) -> Any:
        """What the constructor was given, or what was set since."""
        return self.get_params(deep=False)[name]

    def made_with(self) -> dict[str, Any]:
        """The frozen arguments as they are now."""
        return {name: self.argument(name) for name in self.frozen_arguments}

    def blank(self) -> Self:
        """A detector that is not fitted, with the same arguments, not copied."""
        return type(self)(**self.get_params(deep=False))

    def draw_seed(self) -> int:
        """An integer by `random_state`."""
        if isinstance(self.random_state, numbers.Integral):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _held_back(self, count):
        """How many of the rows are for calibration."""
        if self.contamination != "auto":
            return 0
        wanted = max(round(self.calibration_size * count), calibration.rows_needed(self.fpr))
        return min(wanted, count // 2)

    def _earlier(self):
        """What `fit` goes on with, or None.

        Raises:
            ValueError: arguments that the model was made with have changed.
        """
        if not (self.warm_start and self.built):
            return None
        changed = [
            name
            for name, value in self.fitted_.made_with.items()
            if self.argument(name) is not value and not np.array_equal(self.argument(name), value)
        ]
        if changed:
            raise ValueError(
                f"`warm_start` goes on with the model that was fitted, but {changed} have changed "
                "since: put them back, or fit with `warm_start=False`."
            )
        return self.fitted_

    def _warn_of_leaks(self, before, now):
        """Warn if rows that the model was trained on may be held back now.

        The rows are divided by the seed and their number: with as many, the same ones are held
        back as before.
        """
        if self.contamination == "auto" and before != now:
            warnings.warn(
                f"The model was trained on {before[0] - before[1]} of "
                f"{before[0]} rows before; of these {now[0]}, other ones are held back. If any "
                "of them were trained on, the decision is too strict: `calibrate` with normal rows "
                "that were not.",
                stacklevel=training.CALLER_OF_FIT,
            )

    def _decided(self, fitted, own, count):
        """The same with a decision, by the scores of the rows that `learn` chose."""
        if _is_real(self.contamination):
            return replace(fitted, offset=float(np.percentile(own, 100.0 * self.contamination)))
        fitted = fitted.calibrated(own, self.fpr)
        needed, unit = calibration.rows_needed(self.fpr), self.unit
        if len(own) < needed:
            warnings.warn(
                f"Of {count} {unit} {len(own)} are held back for calibration, but a "
                f"false-positive rate of {self.fpr:g} needs {needed}: `predict` flags nothing. Fit "
                f"on {2 * needed} {unit} or more, raise `fpr`, `calibrate` with other normal "
                f"{unit}, or set `contamination` to a share of anomalies.",
                stacklevel=training.CALLER_OF_FIT,
            )
        return fitted

    def calibrate_by(self, fitted: Fitted, own: np.ndarray, fpr: float) -> Self:
        """Take what was fitted, deciding by the scores `(m,)` of normal rows.

        Raises:
            ValueError: too few scores for that rate, or most are not finite.
        """
        needed = calibration.rows_needed(fpr)
        if len(own) < needed:
            raise ValueError(
                f"A false-positive rate of {fpr:g} needs {needed} calibration {self.unit} or more; "
                f"got {len(own)}."
            )
        self.take(fitted.calibrated(own, fpr))
        return self

    # Saving ---------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
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
        with files.replacing(path) as new:
            keras.saving.save_model(self, new)

    def _obj_type(self):
        return "Operation"  # the kind that Keras expects least of

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor; and of a fitted detector the networks."""
        arguments = self.get_params(deep=False)
        if not isinstance(self.random_state, (int, np.integer, type(None))):
            # A file cannot hold a generator, but it can hold the number that it would draw next.
            generator = check_random_state(copy.deepcopy(self.random_state))
            arguments["random_state"] = int(generator.randint(2**31 - 1))
        plain = {k: v.item() if isinstance(v, np.generic) else v for k, v in arguments.items()}
        config = {"arguments": keras.saving.serialize_keras_object(plain)}
        if self.built:
            config["fitted"] = self.fitted_.get_config()
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The inverse of `get_config`; a detector is fitted once its arrays are read, too."""
        arguments = keras.saving.deserialize_keras_object(config["arguments"])
        detector = cls(**_with_tuples(arguments))
        fitted = config.get("fitted")
        if fitted:
            model = keras.saving.deserialize_keras_object(fitted["model"])
            detector._unread = {**fitted, "model": model}
        return detector

    def save_own_variables(self, store: Any) -> None:
        """Write the arrays that belong to no network."""
        if self.built:
            for name, array in self.fitted_.arrays().items():
                store[name] = array

    def load_own_variables(self, store: Any) -> None:
        """The inverse of `save_own_variables`; Keras then reads the network's weights."""
        arrays = {key: np.array(store[key]) for key in store.keys()}  # noqa: SIM118
        no_nan(arrays.values())
        config = self.__dict__.pop("_unread", None)
        if config is not None:
            score = self.load_score(config["model"], config)
            self.take(Fitted.load(config, arrays, score, self.made_with()))

    def load_score(self, model: training.Model, config: Mapping[str, Any]) -> Any:
        """The score of a file, for a model, by what `score.get_config()` had given."""
        raise NotImplementedError


def columns_of(detector: Detector) -> dict[str, Any]:
    """What scikit-learn has noted of the columns on a detector, as `Fitted` has it."""
    known = vars(detector)
    return {"features": known["n_features_in_"], "feature_names": known.get("feature_names_in_")}


def checked_rate(name: str, value: Any) -> float:
    """The number, which must be a rate."""
    if not _is_real(value) or not 0.0 < value < 1.0:
        raise ValueError(f"`{name}` must be between 0 and 1, got {value!r}.")
    return float(value)


def is_integer(value: Any, least: int) -> bool:
    """Whether it is an integer, `least` or more."""
    return isinstance(value, numbers.Integral) and int(value) >= least


def _is_real(value: object) -> TypeGuard[float]:
    return isinstance(value, numbers.Real)


def _with_tuples(value):
    """The value with its lists as tuples, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _with_tuples(part) for key, part in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value
