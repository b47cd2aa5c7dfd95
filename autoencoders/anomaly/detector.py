"""`AnomalyDetector`: decisions about rows of tables, images and series."""

import copy
import math
import tempfile
import warnings

import keras
import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from autoencoders import registry, zoo
from autoencoders.anomaly import calibration, rows, scores
from autoencoders.anomaly.base import (
    LOWEST,
    Detector,
    all_or_nothing,
    even_batches,
    provenance,
    rate,
    seeded,
)
from autoencoders.anomaly.ensemble import NOISE_LEVELS
from autoencoders.anomaly.scaling import Scaler
from autoencoders.autoencoder import Autoencoder
from autoencoders.serialization import PACKAGE
from autoencoders.training.backend import needs_tensorflow
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
    """

    _makers = (*Detector._makers, "score")

    def __init__(
        self,
        model="denoising_mlp",
        *,
        score="auto",
        contamination="auto",
        fpr=0.05,
        scaler="auto",
        epochs=None,
        batch_size=None,
        noise_levels=NOISE_LEVELS,
        model_params=None,
        calibration_size=0.1,
        warm_start=False,
        verbose=0,
        random_state=None,
    ):
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
    def score(self):
        """The method that scikit-learn knows by this name; `get_params` gives the argument."""
        return self._mean_score

    @score.setter
    def score(self, value):
        self.__dict__["score"] = value

    def get_params(self, deep=True):
        """The arguments of the constructor, as in scikit-learn."""
        return {**super().get_params(deep), "score": self.__dict__["score"]}

    # Fitting --------------------------------------------------------------------------------------

    @all_or_nothing
    @needs_tensorflow
    def fit(self, X, y=None):
        """Train on rows that are (nearly all) normal, and find the score that tells anomalies.

        Args:
            X: Array or data frame `(n, ...)`; it may be mapped from a file. Or a `tf.data.Dataset`
                of batches, which is copied to a temporary file.
            y: Ignored.

        Returns:
            The detector.

        Raises:
            ValueError: rows that are no finite numbers, fewer than two, or bad arguments.
        """
        self._check_arguments()
        going_on = self._going_on()
        with tempfile.TemporaryDirectory() as folder:
            if rows.is_pipeline(X):
                X = rows.spool(rows.batches(X), folder)
            X = self._array(X, reset=not going_on, ensure_min_samples=2)
            count, held_back = len(X), self._held_back(len(X))
            if going_on:
                self._warn_of_leaks(count, held_back)
                name, seed, scaler = self._score_name, self._seed, self._scaler
                model, steps = copy.deepcopy(self.model_), self.provenance_["training_steps"]
            else:
                name, seed, scaler, steps = self._wanted_score(), self._draw_seed(), None, 0
                model = self._new_model(X, name, seed)
            order = np.random.default_rng(seed).permutation(count)
            calibrating, training = np.sort(order[:held_back]), _in_order(order[held_back:])
            if scaler is None:
                parts = rows.chunks(X, training)
                scaler = Scaler.fit(self._scaler_name(model), parts, model.mask_value)
            scaled = (scaler(part) for part in rows.chunks(X, training))
            scaled = rows.spool(scaled, folder) if rows.is_mapped(X) else np.concatenate([*scaled])
            steps += self._train(model, scaled)
            score, runner = scores.get(name, model), RowRunner(model)
            score.learn(lambda name, function: _in_chunks(runner, name, function, scaled))
            self.row_shape_, self._score_name = X.shape[1:], name
            self.model_, self._scaler, self._seed = model, scaler, seed
            self._use(score)
            self._remember(count, held_back)
            self.calibration_scores_ = None
            self.provenance_ = provenance(steps, len(training), seed)
            if self.contamination == "auto":
                self._decide_by(np.sort(self._scores(rows.chunks(X, calibrating))), self.fpr)
                self._warn_of_few(held_back, count, "rows")
            else:
                own = -np.concatenate([*_in_chunks(runner, "score", score.of, scaled)])
                self.offset_ = float(np.percentile(own, 100.0 * self.contamination))
        return self

    @all_or_nothing
    def calibrate(self, X_normal, *, fpr=None):
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
        fpr = rate("fpr", self.fpr if fpr is None else fpr)
        if not self.built:
            self._adopt(X_normal)
        self._calibrate_with(self.score_samples(X_normal), fpr, "rows")
        return self

    # Judging --------------------------------------------------------------------------------------

    def score_samples(self, X):
        """The score of each row: high for normal rows. It depends on that row alone.

        Args:
            X: Array or data frame `(n, ...)` of rows as in `fit`, in memory or mapped from a file;
                or a `tf.data.Dataset` of batches. Memory is bounded.

        Returns:
            `(n,)`.

        Raises:
            ValueError: NaN, infinity, another width, or no numbers.
            NotFittedError: there is no detector yet.
        """
        check_is_fitted(self)
        return self._scores(self._chunks(X))

    def _mean_score(self, X, y=None):
        """The mean of `score_samples`, as scikit-learn's density models have it."""
        return float(self.score_samples(X).mean())

    def decision_function(self, X):
        """The score less `offset_`: negative for anomalies; `(n,)`."""
        return self.score_samples(X) - self.offset_

    def predict(self, X, *, fdr=None):
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
        found = calibration.discoveries(p, rate("fdr", fdr))
        lowest = 1.0 / (len(self.calibration_scores_) + 1)
        if len(p) and not found.any() and p.min() <= lowest:
            count = int(np.sum(p <= lowest))
            needed = math.ceil(len(p) / (count * fdr)) - 1
            warnings.warn(
                f"{count} of {len(p)} rows score below all {len(self.calibration_scores_)} "
                f"calibration rows, but to flag so few at a false-discovery rate of {fdr:g} takes "
                f"{needed} calibration rows: nothing is flagged. `calibrate` with more of them.",
                stacklevel=2,
            )
        return np.where(found, -1, 1)

    def p_values(self, X):
        """The conformal p-value of each row: how probable a score as low is for a normal row.

        Args:
            X: As in `score_samples`.

        Returns:
            `(n,)`, multiples of 1 / (calibration rows + 1).

        Raises:
            ValueError: as `score_samples` does; or the detector was not calibrated.
        """
        check_is_fitted(self)
        if self.calibration_scores_ is None:
            raise ValueError(
                "p-values need calibration rows: fit with `contamination='auto'`, or call "
                "`calibrate` with normal rows."
            )
        return calibration.p_values(self.calibration_scores_, self.score_samples(X))

    def explain(self, X):
        """What each feature adds to the score: below 0 for what makes a row anomalous.

        Args:
            X: As in `score_samples`.

        Returns:
            `(n, *row_shape)`, for images a map of each. A row's contributions add up to its score.

        Raises:
            ValueError: as `score_samples` does; or the score is not a sum over features.
        """
        check_is_fitted(self)
        if not self._score.decomposes:
            raise ValueError(
                f"The score {self._score_name!r} is not a sum over features: it is of the latent "
                "code. 'multi_scale', 'reconstruction_error' and 'reconstruction_probability' are."
            )
        parts = [
            self._runner.run("contributions", self._score.contributions, self._scaler(part))
            for part in self._chunks(X)
        ]
        return -np.concatenate(parts) if parts else np.empty((0, *self.row_shape_))

    def _scores(self, parts):
        found = [self._runner.run("score", self._score.of, self._scaler(part)) for part in parts]
        if not found:
            raise ValueError("There are no rows to score.")
        return np.maximum(np.nan_to_num(-np.concatenate(found), nan=LOWEST), LOWEST)

    def _chunks(self, X):
        if not rows.is_pipeline(X):
            yield from rows.chunks(self._array(X, reset=False))
            return
        for part in rows.batches(X):
            self._check_row_shape(part)
            yield part

    # Parts of fitting -----------------------------------------------------------------------------

    def _check_arguments(self):
        if not isinstance(self.model, (str, Autoencoder)):
            raise TypeError(
                f"`model` must be the name of a zoo model or an `Autoencoder`, got {self.model!r}."
            )
        super()._check_arguments()
        scores.check(self._wanted_score())
        if not isinstance(self.model, str) and self.model_params:
            raise ValueError("`model_params` are for a zoo model's name; this model is built.")

    def _array(self, X, reset, **options):
        """X as scikit-learn checks it."""
        X = validate_data(self, X, reset=reset, allow_nd=True, dtype="numeric", **options)
        if not reset:
            self._check_row_shape(X)
        return X

    def _check_row_shape(self, X):
        if tuple(X.shape[1:]) != tuple(self.row_shape_):
            raise ValueError(
                f"Rows have shape {tuple(X.shape[1:])}, but the detector was fitted on rows of "
                f"shape {tuple(self.row_shape_)}."
            )

    def _new_model(self, X, name, seed):
        """The model to train: of the zoo, or a copy of the one that was given."""
        if not isinstance(self.model, str):
            if name == "multi_scale":
                raise ValueError(
                    "'multi_scale' trains networks of its own: pass the name of a zoo model, or "
                    "choose another `score` for this one."
                )
            model = self._checked_model(copy.deepcopy(self.model), X, name)
            if model.trained and not self.epochs and self.contamination == "auto":
                warnings.warn(
                    f"{model.name!r} was trained before, and `fit` trains it no more. If it was "
                    "trained on any of these rows, the decision is too strict: `calibrate` with "
                    "normal rows that it has not seen.",
                    stacklevel=5,
                )
            return model
        if name == "multi_scale":
            return self._new_ensemble(X.shape[1:], seed)
        with seeded(seed):
            model = zoo.get(self.model, **self._model_arguments(X.shape[1:]))
        return self._checked_model(model, X, name)

    def _checked_model(self, model, X, name):
        """The model, if it can have rows like X and this score."""
        model.ensure_built(X)
        if model.labels is not None:
            raise ValueError(f"{model.name!r} takes labels, which rows to be judged do not have.")
        model.expectation.spec("float32", X.shape, "X")
        scores.get(name, model)  # complains of what the model lacks
        if not model.compiled:
            model.compile("adam")
        return model

    def _new_score(self, model):
        return scores.get(self._score_name, model)

    def _wanted_score(self):
        """What `score` means for this model."""
        score = self._argument("score")
        if score != "auto":
            return tuple(score) if isinstance(score, list) else score
        named = isinstance(self.model, str)
        denoising = named and registry.card(self.model)["family"] == "denoising"
        return "multi_scale" if denoising else "reconstruction_error"

    def _scaler_name(self, model):
        if self.scaler != "auto":
            return self.scaler
        if not isinstance(self.model, str):
            return None
        return "minmax" if _bounded(model) else "standard"

    def _adopt(self, X):
        """Use a copy of the given `Autoencoder` as it is."""
        self._check_arguments()
        if isinstance(self.model, str):
            check_is_fitted(self)
        if rows.is_pipeline(X):
            raise ValueError("Calibrate a model that was not fitted here with an array of rows.")
        X = self._array(X, reset=True)
        name = self._wanted_score()
        model = self._checked_model(copy.deepcopy(self.model), X, name)
        score = scores.get(name, model)
        if score.needs_statistics or self.scaler not in (None, "auto"):
            raise ValueError(
                f"The score {name!r} or the scaler learns from training rows: call `fit` first, "
                "with `epochs=0` to leave the model as it is."
            )
        for part in rows.chunks(X):  # in the model's units and range
            model.expectation.array(part.astype("float32"), "X_normal", target=True)
        self.model_, self._score_name = model, name
        self._scaler, self._seed = Scaler.fit(None, ()), self._draw_seed()
        self.row_shape_ = X.shape[1:]
        self._remember(0, 0)
        self.calibration_scores_, self.offset_ = None, -math.inf
        self.provenance_ = provenance(0, 0, self._seed)
        self._use(score)

    # Saving ---------------------------------------------------------------------------------------

    def get_config(self):
        """The arguments of the constructor; of a fitted detector the networks, too."""
        config = super().get_config()
        if self.built:
            config["fitted"]["score"] = self._score_name
        return config

    @classmethod
    def from_config(cls, config):
        """The inverse of `get_config`; the arrays come with the weights."""
        detector = super().from_config(config)
        if detector.built:
            name = config["fitted"]["score"]
            detector._score_name = name if isinstance(name, str) else tuple(name)
        return detector


def _in_order(indices):
    """Indices from random order: those that fill batches in their own, behind them the rest."""
    _, count = even_batches(len(indices))
    return np.concatenate([np.sort(indices[:count]), np.sort(indices[count:])])


def _bounded(model):
    """Whether the model's reconstructions have a range."""
    model = getattr(model, "members", [model])[0]
    last = [layer for layer in getattr(model.decoder, "layers", ()) if hasattr(layer, "activation")]
    squashed = bool(last) and last[-1].activation is keras.activations.sigmoid
    return squashed or bool(np.isfinite([model.expectation.low, model.expectation.high]).any())


def _in_chunks(runner, name, function, scaled):
    for part in rows.chunks(scaled):
        yield runner.run(name, function, np.asarray(part))
