"""`AnomalyDetector`: decisions about rows of tables, images and series."""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Self

import keras
import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from autoencoders import zoo
from autoencoders.anomaly import calibration, reading, scores, training
from autoencoders.anomaly.base import Detector, checked_rate, columns_of
from autoencoders.anomaly.chunks import chunks
from autoencoders.anomaly.ensemble import NOISE_LEVELS
from autoencoders.anomaly.fitted import Fitted, provenance
from autoencoders.anomaly.reading import Rows
from autoencoders.anomaly.scaling import Scaler
from autoencoders.anomaly.training import Model, RandomDivision, ScaledRows
from autoencoders.autoencoder import Autoencoder
from autoencoders.seeds import default_seeds
from autoencoders.serialization import PACKAGE
from autoencoders.training.row_runner import RowRunner


@keras.saving.register_keras_serializable(PACKAGE)
class AnomalyDetector(Detector):
    """Finds rows unlike those it was fitted on, by what autoencoders make of them.

    A scikit-learn outlier detector over any model of the zoo, for tables `(n, features)`, images
    `(n, height, width, channels)` and series `(n, time, channels)`.

    >>> detector = autoencoders.AnomalyDetector(random_state=0).fit(normal_rows)
    >>> detector.predict(new_rows)  # 1: normal, -1: anomalous, at a false-positive rate of 5 %
    >>> detector.save("detector.keras")

    Args:
        model: Name of a zoo model, or an `Autoencoder`, which is left as it is: a copy is trained.
        score: What makes a row anomalous. "multi_scale": denoising autoencoders at several noise
            levels, their errors' logarithms standardised and added; "reconstruction_error";
            "reconstruction_probability"; "elbo"; "mahalanobis"; or a tuple of names, for the sum of
            such scores, each over its standard deviation (see `anomaly.scores`). "auto" is
            "multi_scale" for names of the denoising family, "reconstruction_error" for others.
        contamination: "auto" holds part of the rows back and calibrates the decision with them. A
            number in (0, 0.5]: the share of the training rows that are taken for anomalies.
        fpr: With "auto": the rate at which `predict` flags normal rows, in (0, 1).
        scaler: "standard", "robust" or "minmax", by column of tables and by channel of images and
            series; None for rows that are in the model's units. "auto" is "standard" ("minmax" for
            a model whose likelihood wants a range), and None for an `Autoencoder` that is given.
        epochs: Passes over the training rows. 0 trains no more; None makes 3,000 steps (one pass at
            least), or none for an `Autoencoder` that is trained already.
        batch_size: Rows in a training step. None is about 128: a size between 96 and 160 that
            leaves the fewest rows over, which are not trained on.
        noise_levels: The noise of "multi_scale": standard deviations, in scaled units.
        model_params: Arguments of the model's builder, as in `autoencoders.get`. On tables, a
            likelihood is Gaussian and the code of undercomplete and variational models half as wide
            as the rows, 32 at most, unless they say otherwise.
        calibration_size: With "auto", the share of the rows that is held back. More, up to half,
            where `fpr` needs more.
        warm_start: Whether `fit` goes on training the model that it has, with the scaler it has:
            on the same rows, so that those held back are still the same.
        verbose: Keras's verbosity while training: 1 shows a progress bar.
        random_state: Integer for the same detector each time; or as in scikit-learn.

    Attributes:
        model_: The trained model: an `Autoencoder`, or a `DenoisingEnsemble`.
        offset_: The score below which `predict` flags a row; −inf where no row can be flagged.
        calibration_scores_: Sorted scores of the calibration rows; None without.
        row_shape_: Shape of a row.
        n_features_in_, feature_names_in_: As in scikit-learn.
        provenance_: What it was made with: versions, rows, steps, seed, calibration, time.
        fitted_: All of this as one value (see `anomaly.fitted.Fitted`).
    """

    frozen_arguments = (*Detector.frozen_arguments, "score")

    def __init__(
        self,
        model: str | Autoencoder = "denoising_mlp",
        *,
        score: str | Sequence[str] = "auto",
        contamination: str | float = "auto",
        fpr: float = 0.05,
        scaler: str | None = "auto",
        epochs: int | None = None,
        batch_size: int | None = None,
        noise_levels: ArrayLike = NOISE_LEVELS,
        model_params: Mapping[str, Any] | None = None,
        calibration_size: float = 0.1,
        warm_start: bool = False,
        verbose: int = 0,
        random_state: Any = None,
    ) -> None:
        self.model = model
        self.score = score
        self.contamination = contamination
        self.fpr = fpr
        self.scaler = scaler
        self.epochs = epochs
        self.batch_size = batch_size
        self.noise_levels = noise_levels
        self.model_params = model_params
        self.calibration_size = calibration_size
        self.warm_start = warm_start
        self.verbose = verbose
        self.random_state = random_state

    @property
    def score(self) -> Any:
        """The method that scikit-learn knows by this name; `get_params` gives the argument."""
        return self._mean_score

    @score.setter
    def score(self, value: str | Sequence[str]) -> None:
        self.__dict__["score"] = value

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments of the constructor, as in scikit-learn."""
        return {**super().get_params(deep), "score": self.__dict__["score"]}

    # Fitting --------------------------------------------------------------------------------------

    def fit(self, X: Rows, y: Any = None) -> Self:
        """Train on rows that are (nearly all) normal, and find the score that tells anomalies.

        Args:
            X: Array or data frame `(n, ...)`; it may be mapped from a file. Or a `tf.data.Dataset`
                of batches, which is copied to a temporary file.
            y: Ignored.

        Returns:
            The detector.

        Raises:
            ValueError: rows that are not finite numbers, fewer than two, or bad arguments.
        """
        return super().fit(X)

    def calibrate(self, X_normal: Rows, *, fpr: float | None = None) -> Self:
        """Find the threshold anew, from normal rows that the detector was not trained on.

        A detector that was given an `Autoencoder` may be calibrated without `fit`: it then uses
        a copy of that model as it is, on rows in the model's units.

        Args:
            X_normal: What `score_samples` takes: normal rows alone.
            fpr: The rate at which `predict` is to flag normal rows; `self.fpr` unless given.

        Returns:
            The detector.

        Raises:
            ValueError: too few rows for that rate, or a detector that needs `fit` first.
        """
        fpr = checked_rate("fpr", self.fpr if fpr is None else fpr)
        if self.built:
            fitted, parts = self.fitted_, reading.checked_chunks(X_normal, self)
        else:
            fitted, parts = self._adopted(X_normal)
        return self.calibrate_by(fitted, _row_scores(fitted, parts), fpr)

    # Judging --------------------------------------------------------------------------------------

    def score_samples(self, X: Rows) -> np.ndarray:
        """The score of each row: high for normal rows. It depends on that row alone.

        Args:
            X: Array or data frame `(n, ...)` of rows as in `fit`, in memory or mapped from a file;
                or a `tf.data.Dataset` of batches. Memory is bounded.

        Returns:
            `(n,)`.

        Raises:
            ValueError: NaN, infinity, another width, or values that are not numbers.
            NotFittedError: there is no detector yet.
        """
        return _row_scores(self.fitted_, reading.checked_chunks(X, self))

    def _mean_score(self, X, y=None):
        """The mean of `score_samples`, as scikit-learn's density models have it."""
        return float(self.score_samples(X).mean())

    def decision_function(self, X: Rows) -> np.ndarray:
        """The score less `offset_`: negative for anomalies; `(n,)`."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Rows, *, fdr: float | None = None) -> np.ndarray:
        """1 for normal rows, −1 for anomalies: integers `(n,)`.

        Args:
            X: As in `score_samples`.
            fdr: Instead of the false-positive rate of each row, bound the expected share of false
                alarms among all the alarms of this batch (Benjamini & Hochberg). To find k
                anomalies among n rows, it takes n / (k · fdr) calibration rows.

        Raises:
            ValueError: as `score_samples` does; or `fdr` without calibration.
        """
        if fdr is None:
            return np.where(self.decision_function(X) < 0, -1, 1)
        p = self.p_values(X)
        found = calibration.discoveries(p, checked_rate("fdr", fdr))
        if len(p) and not found.any():
            _warn_of_few_compared(p, self.calibration_scores_, fdr)
        return np.where(found, -1, 1)

    def p_values(self, X: Rows) -> np.ndarray:
        """The conformal p-value of each row: how probable a score as low is for a normal row.

        Args:
            X: As in `score_samples`.

        Returns:
            `(n,)`, multiples of 1 / (calibration rows + 1).

        Raises:
            ValueError: as `score_samples` does; or the detector was not calibrated.
        """
        if self.calibration_scores_ is None:
            raise ValueError(
                "p-values need calibration rows: fit with `contamination='auto'`, or call "
                "`calibrate` with normal rows."
            )
        return calibration.p_values(self.calibration_scores_, self.score_samples(X))

    def explain(self, X: Rows) -> np.ndarray:
        """What each feature adds to the score: below 0 for what makes a row anomalous.

        Args:
            X: As in `score_samples`.

        Returns:
            `(n, *row_shape)`, for images a map of each. A row's contributions add up to its score.

        Raises:
            ValueError: as `score_samples` does; or the score is not a sum over features.
        """
        fitted = self.fitted_
        score = fitted.score
        if not score.decomposes:
            raise ValueError(
                f"The score {score.name!r} is not a sum over features: it is of the latent "
                "code. 'multi_scale', 'reconstruction_error' and 'reconstruction_probability' are."
            )
        parts = reading.checked_chunks(X, self)
        found = _run(fitted, "contributions", score.contributions, parts)
        return -np.concatenate(found) if found else np.empty((0, *fitted.row_shape))

    # Parts of fitting -----------------------------------------------------------------------------

    def check_arguments(self) -> None:
        """Raise a ValueError or TypeError that names an argument which cannot be."""
        if not isinstance(self.model, (str, Autoencoder)):
            raise TypeError(
                f"`model` must be the name of a zoo model or an `Autoencoder`, got {self.model!r}."
            )
        super().check_arguments()
        scores.check(self._wanted_score())
        if not isinstance(self.model, str) and self.model_params:
            raise ValueError("`model_params` are for a zoo model's name; this model is built.")

    def read(self, X: Rows, columns: Detector, folder: str) -> list[np.ndarray]:
        """One array, of all rows."""
        return [reading.read(X, columns, folder, known=columns is self)]

    def divide(self, rows: list[np.ndarray], held_back: int, seed: int) -> RandomDivision:
        """Rows drawn by chance are held back."""
        (x,) = rows
        return RandomDivision.drawn(x, held_back, seed)

    def new_model(self, division: RandomDivision, seed: int) -> Model:
        """The model to train: of the zoo, or a copy of the one that was given."""
        name = self._wanted_score()
        if not isinstance(self.model, str):
            fresh = bool(self.epochs) or self.contamination != "auto"
            return training.copied_model(self.model, division.rows, name, warn=not fresh)
        shape = division.row_shape
        arguments = training.model_arguments(
            self.model, shape, self.model_params, table=len(shape) == 1
        )
        if name == "multi_scale":
            return training.new_ensemble(self.model, self.noise_levels, arguments, seed)
        with default_seeds(seed):
            model = zoo.get(self.model, **arguments)
        return training.checked_model(model, division.rows, name)

    def epochs_to_train(self) -> int | None:
        """None for as many as small networks need; 0 for a given model that is trained already."""
        return training.epochs_to_train(self.model, self.epochs)

    def scaler_name(self, model: Model) -> str | None:
        """What `scaler` means for this model."""
        if self.scaler != "auto":
            return self.scaler
        if not isinstance(self.model, str):
            return None
        return "minmax" if training.is_bounded(model) else "standard"

    def new_score(self, model: Model, earlier: Fitted | None) -> scores.Score:
        """The score that `score` means; or the one that the model was fitted with."""
        return scores.get(earlier.score.name if earlier else self._wanted_score(), model)

    def load_score(self, model: Model, config: Mapping[str, Any]) -> scores.Score:
        """The score that a file names."""
        return scores.get(config["score"], model)

    def _wanted_score(self):
        return scores.wanted(self.argument("score"), self.model)

    def learn(self, fitted: Fitted, division: RandomDivision, examples: ScaledRows) -> np.ndarray:
        """Let the score learn from the rows that the model was trained on."""

        def over_rows(name, function):
            for part in chunks(examples.inputs):
                yield fitted.runner.run(name, function, np.asarray(part))

        fitted.score.learn(over_rows)
        if self.contamination == "auto":
            return _row_scores(fitted, chunks(division.rows, division.held_back))
        return -np.concatenate([*over_rows("score", fitted.score.of)])

    def _adopted(self, X):
        """What fitting would give for the given `Autoencoder` as it is; and the rows of X."""
        self.check_arguments()
        if isinstance(self.model, str):
            check_is_fitted(self)
        columns = self.blank()
        x = reading.read_array(X, columns)
        given = self.argument("model")
        model, score = training.adopted(given, x, self._wanted_score(), self.scaler)
        seed = self.draw_seed()
        fitted = Fitted(
            model=model,
            scaler=Scaler.fit(None, ()),
            score=score,
            runner=RowRunner(model),
            row_shape=x.shape[1:],
            **columns_of(columns),
            seed=seed,
            split=(0, 0),
            made_with=self.made_with(),
            provenance=provenance(0, 0, seed),
        )
        return fitted, chunks(x)


def _run(fitted, name, function, parts):
    """What a function of the score gives for rows that come in parts."""
    return [fitted.runner.run(name, function, fitted.scaler(part)) for part in parts]


def _row_scores(fitted, parts):
    """The scores of rows that come in parts: `(n,)`, finite."""
    found = _run(fitted, "score", fitted.score.of, parts)
    if not found:
        raise ValueError("There are no rows to score.")
    lowest = scores.LOWEST
    return np.maximum(np.nan_to_num(-np.concatenate(found), nan=lowest), lowest)


def _warn_of_few_compared(p, scores, fdr):
    """Warn if rows below all calibration rows are not flagged because these are too few."""
    compared = len(scores)
    lowest = 1.0 / (compared + 1)
    if p.min() <= lowest:
        count = int(np.sum(p <= lowest))
        needed = math.ceil(len(p) / (count * fdr)) - 1
        warnings.warn(
            f"{count} of {len(p)} rows score below all {compared} "
            f"calibration rows, but to flag so few at a false-discovery rate of {fdr:g} takes "
            f"{needed} calibration rows: nothing is flagged. `calibrate` with more of them.",
            stacklevel=3,
        )
