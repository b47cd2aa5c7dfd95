"""`AnomalyDetector`: decisions about rows of tables, images and series."""

import copy
import math
import tempfile

import keras
import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from autoencoders import registry, zoo
from autoencoders.anomaly import calibration, rows, scores
from autoencoders.anomaly.base import LOWEST, Detector, provenance, rate, seeded
from autoencoders.anomaly.ensemble import NOISE_LEVELS
from autoencoders.anomaly.scaling import Scaler
from autoencoders.autoencoder import Autoencoder
from autoencoders.serialization import PACKAGE
from autoencoders.training.rows import RowRunner


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
            least), or none for an `Autoencoder` that its own `fit` has trained already.
        batch_size: Rows in a training step. None is about 128: a size between 96 and 160 that
            leaves the fewest rows over, which are not trained on.
        noise_levels: The noise of "multi_scale": standard deviations, in scaled units.
        model_params: Arguments of the model's builder, as in `autoencoders.get`.
        calibration_size: With "auto", the share of the rows that is held back. More, up to half,
            where `fpr` needs more.
        warm_start: Whether `fit` goes on training the model that it has, with the scaler it has.
        verbose: Keras's verbosity while training: 1 shows a progress bar.
        random_state: Integer for the same detector each time; or as in scikit-learn.

    Attributes:
        model_: The trained model: an `Autoencoder`, or a `DenoisingEnsemble`.
        offset_: The score below which `predict` flags a row; −inf where no row can be flagged.
        calibration_scores_: Sorted scores of the calibration rows; None without.
        row_shape_: Shape of a row.
        n_features_in_, feature_names_in_: As in scikit-learn.
        provenance_: What it was made with: versions, rows, steps, seed, time.
    """

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
        with tempfile.TemporaryDirectory() as folder:
            if rows.is_pipeline(X):
                X = rows.spool(rows.batches(X), folder)
            going_on = self.warm_start and self.built
            X = self._array(X, reset=not going_on, ensure_min_samples=2)
            seed = self._seed if going_on else self._draw_seed()
            model = self.model_ if going_on else self._new_model(X.shape[1:], seed)
            held_back = self._held_back(len(X))
            order = np.random.default_rng(seed).permutation(len(X))
            training, calibrating = np.sort(order[held_back:]), np.sort(order[:held_back])
            if going_on:
                scaler = self._scaler
            else:
                scaler = Scaler.fit(self._scaler_name(model), rows.chunks(X, training))
            scaled = (scaler(part) for part in rows.chunks(X, training))
            scaled = rows.spool(scaled, folder) if rows.is_mapped(X) else np.concatenate([*scaled])
            steps = self._train(model, scaled)
            score = scores.get(self._score_name(), model)
            runner = RowRunner(model)
            score.learn(lambda name, function: _in_chunks(runner, name, function, scaled))
            # All is well: what was there before may go.
            self.row_shape_ = X.shape[1:]
            self.model_, self._scaler, self._seed = model, scaler, seed
            self._use(score)
            self.calibration_scores_ = None
            if self.contamination == "auto":
                own = np.sort(self._scores(rows.chunks(X, calibrating)))
                self._decide_by(own, self.fpr)
                self._warn_of_few(len(own), len(X), "rows")
            else:
                own = -np.concatenate([*_in_chunks(runner, "score", score.of, scaled)])
                self.offset_ = float(np.percentile(own, 100.0 * self.contamination))
            self.provenance_ = provenance(
                steps, seed, training_rows=len(training), calibration_rows=held_back
            )
        return self

    def calibrate(self, X_normal, *, fpr=None):
        """Find the threshold anew, from normal rows that the detector was not trained on.

        A detector that was given an `Autoencoder` may be calibrated without `fit`: it then uses
        that model as it is, on rows in the model's units.

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
        found = calibration.discoveries(self.p_values(X), rate("fdr", fdr))
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
                f"The score {self._score_name()!r} is not a sum over features: it is of the latent "
                "code. 'multi_scale', 'reconstruction_error' and 'reconstruction_probability' are."
            )
        parts = [
            self._runner.run("contributions", self._score.contributions, self._scaler(part))
            for part in self._chunks(X)
        ]
        return -np.concatenate(parts)

    def _scores(self, parts):
        found = [self._runner.run("score", self._score.of, self._scaler(part)) for part in parts]
        return np.maximum(np.nan_to_num(-np.concatenate(found), nan=LOWEST), LOWEST)

    def _chunks(self, X):
        if not rows.is_pipeline(X):
            X = self._array(X, reset=False)
            self._check_row_shape(X)
            yield from rows.chunks(X)
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
        if not isinstance(self.model, str) and self.model_params:
            raise ValueError("`model_params` are for a zoo model's name; this model is built.")

    def _array(self, X, reset, **options):
        """X as scikit-learn checks it, without leaving traces where it is refused."""
        with self._no_traces():
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

    def _new_model(self, row_shape, seed):
        """The model to train: of the zoo, or a copy of the one that was given."""
        name = self._score_name()
        if not isinstance(self.model, str):
            if name == "multi_scale":
                raise ValueError(
                    "'multi_scale' trains networks of its own: pass the name of a zoo model, or "
                    "choose another `score` for this one."
                )
            return self._checked_model(copy.deepcopy(self.model))
        if name == "multi_scale":
            return self._new_ensemble(row_shape, seed)
        with seeded(seed):
            return self._checked_model(zoo.get(self.model, **self._model_arguments(row_shape)))

    def _checked_model(self, model):
        if model.labels is not None:
            raise ValueError(f"{model.name!r} takes labels, which rows to be judged do not have.")
        scores.get(self._score_name(), model)  # complains of what the model lacks
        if not model.compiled:
            model.compile("adam")
        return model

    def _new_score(self, model):
        return scores.get(self._score_name(), model)

    def _score_name(self):
        score = self.__dict__["score"]
        if score != "auto":
            return score if isinstance(score, str) else tuple(score)
        named = isinstance(self.model, str)
        denoising = named and registry.card(self.model)["family"] == "denoising"
        return "multi_scale" if denoising else "reconstruction_error"

    def _scaler_name(self, model):
        if self.scaler != "auto":
            return self.scaler
        if not isinstance(self.model, str):
            return None
        bounded = np.isfinite(model.expectation.low) or np.isfinite(model.expectation.high)
        return "minmax" if bounded else "standard"

    def _adopt(self, X):
        """Use the given `Autoencoder` as it is."""
        self._check_arguments()
        if isinstance(self.model, str):
            check_is_fitted(self, "model_")
        score = scores.get(self._score_name(), self._checked_model(self.model))
        if score.needs_statistics or self.scaler not in (None, "auto"):
            raise ValueError(
                f"The score {self._score_name()!r} or the scaler learns from training rows: call "
                "`fit` first, with `epochs=0` to leave the model as it is."
            )
        self.model_, self._scaler, self._seed = self.model, Scaler(0.0, 1.0), None
        self.row_shape_ = self.model.row_shape
        self.calibration_scores_, self.offset_ = None, -math.inf
        self.provenance_ = provenance(0, None, training_rows=0, calibration_rows=0)
        self._use(score)
        self._array(X, reset=True)


def _in_chunks(runner, name, function, scaled):
    for part in rows.chunks(scaled):
        yield runner.run(name, function, np.asarray(part))
