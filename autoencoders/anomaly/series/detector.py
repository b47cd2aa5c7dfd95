"""`SeriesAnomalyDetector`: decisions about the points of long series."""

from collections.abc import Mapping
from typing import Any, Self

import keras
import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import Tags

from autoencoders.anomaly import training
from autoencoders.anomaly.base import Detector, checked_rate, is_integer
from autoencoders.anomaly.ensemble import NOISE_LEVELS, DenoisingEnsemble
from autoencoders.anomaly.fitted import Fitted
from autoencoders.anomaly.series import points, reading
from autoencoders.anomaly.series.reading import Series
from autoencoders.anomaly.series.score import NEIGHBOURS, PointScore
from autoencoders.anomaly.series.stream import Stream
from autoencoders.anomaly.series.windows import EndsHeldBack, Examples
from autoencoders.serialization import PACKAGE

# An array of one series, or a list of them of several.
Arrays = np.ndarray | list[np.ndarray]


@keras.saving.register_keras_serializable(PACKAGE)
class SeriesAnomalyDetector(Detector):
    """Finds the points of long series that are unlike those of the series it was fitted on.

    Denoising autoencoders at several noise levels reconstruct windows of the series; the errors of
    a point, averaged over the windows that cover it, are judged on a logarithmic scale. A
    scikit-learn outlier detector whose samples are points in time.

    >>> detector = autoencoders.SeriesAnomalyDetector(window=48, random_state=0).fit(normal)
    >>> detector.score_samples(series)  # a score per point, low for anomalies
    >>> detector.intervals(series)  # [(start, end, score), ...]
    >>> stream = detector.stream()  # the same scores while the series comes in
    >>> detector.save("detector.keras")

    A series is an array or data frame, `(time,)` or `(time, channels)`. Wherever one is taken, a
    list of series may be given, recordings of different lengths; no window crosses their borders.
    (A list of numbers is one series.)

    NaN marks missing values. Within a window each gets the last value observed before it (or the
    first one after it, where there is none), and its error does not count; half of the training
    windows get more gaps, for the model to know what is filled. Windows that miss more than half of
    their values are skipped, in training, too. A point without any observed channel, or that no
    window covers, scores NaN and is predicted to be normal. A series shorter than a window ends
    with a gap: one of less than half a window scores NaN.

    The score of a point is −Σ over noise levels of log(E / B) / s. E is the sum of the squared
    errors of the reconstructions around the point (over an eighth of a window) in the windows that
    cover it. B is the sum of the errors to expect: the mean errors of the channels over the
    training windows, more in windows with gaps and beside those. A missing value counts as the
    error to expect, and a window by the square of the share of its values that is there. s is the
    standard deviation of log(E / B) over the training points.

    Args:
        model: Name of a zoo model that takes series of one length, `(window, channels)`; it is
            trained once for each noise level.
        window: Points in a window: one period, where there is one, and the series to fit on hold
            ten or more. (With few periods, windows that begin elsewhere in one are new to it.)
        stride: Points from one window to the next where series are scored, at most `window`; a
            quarter of a window unless given. Fewer score more smoothly and slowly.
        contamination: "auto" holds the end of each series back and calibrates the decision with
            it. A number in (0, 0.5]: the share of the training points that are taken for anomalies.
        fpr: With "auto": the rate at which `predict` flags normal points, in (0, 1). It is
            approximate: neighbouring points are not independent, so that the calibration points
            are worth fewer than they are; and later points may be unlike them, as seasons change.
        scaler: "standard", "robust" or "minmax", by channel; None for series in the model's units.
            Channels that never change are centred, and keep their units.
        epochs: Passes over the training windows. 0 trains no more; None makes 3,000 steps (one
            pass at least).
        batch_size: Windows in a training step; about 128 unless given.
        noise_levels: Standard deviations of the noise, in scaled units.
        model_params: Arguments of the model's builder, as in `autoencoders.get`.
        calibration_size: With "auto", the share of each series that is held back. More, up to
            half, where `fpr` needs more.
        warm_start: Whether `fit` goes on training the model that it has, with the scaler it has.
        verbose: Keras's verbosity while training: 1 shows a progress bar.
        random_state: Integer for the same detector each time; or as in scikit-learn.

    Attributes:
        model_: The trained `DenoisingEnsemble`.
        offset_: The score below which `predict` flags a point; −inf where none can be flagged.
        calibration_scores_: Sorted scores of the calibration points; None without.
        row_shape_: `(window, channels)`.
        stride_: Points from one window to the next.
        n_features_in_, feature_names_in_: The channels, as in scikit-learn.
        provenance_: What it was made with: versions, points, steps, seed, time.
        fitted_: All of this as one value (see `anomaly.fitted.Fitted`).
    """

    frozen_arguments = (*Detector.frozen_arguments, "window")
    unit = "points"

    def __init__(
        self,
        model: str = "denoising_mlp",
        *,
        window: int = 64,
        stride: int | None = None,
        contamination: str | float = "auto",
        fpr: float = 0.01,
        scaler: str | None = "standard",
        epochs: int | None = None,
        batch_size: int | None = None,
        noise_levels: ArrayLike = NOISE_LEVELS,
        model_params: Mapping[str, Any] | None = None,
        calibration_size: float = 0.2,
        warm_start: bool = False,
        verbose: int = 0,
        random_state: Any = None,
    ) -> None:
        self.model = model
        self.window = window
        self.stride = stride
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

    # Fitting --------------------------------------------------------------------------------------

    def fit(self, X: Series, y: Any = None) -> Self:
        """Train on series that are (nearly all) normal, and find the score that tells anomalies.

        The training windows begin at every point; of more than 100,000 (or 512 MiB), as many are
        taken evenly.

        Args:
            X: A series, `(time,)` or `(time, channels)`, or a list of series.
            y: Ignored.

        Returns:
            The detector.

        Raises:
            ValueError: infinity, values that are not numbers, channels without values, too few
                points for a window, or bad arguments.
        """
        return super().fit(X)

    def calibrate(self, X_normal: Series, *, fpr: float | None = None) -> Self:
        """Find the threshold anew, from normal series that the detector was not trained on.

        Args:
            X_normal: What `score_samples` takes: normal points alone.
            fpr: The rate at which `predict` is to flag normal points; `self.fpr` unless given.

        Returns:
            The detector.

        Raises:
            ValueError: too few points for that rate, or what `score_samples` refuses.
            NotFittedError: there is no detector yet.
        """
        fpr = checked_rate("fpr", self.fpr if fpr is None else fpr)
        found = self.score_samples(X_normal)
        own = _known(found if isinstance(found, list) else [found])
        return self.calibrate_by(self.fitted_, own, fpr)

    # Judging --------------------------------------------------------------------------------------

    def score_samples(self, X: Series) -> Arrays:
        """The score of each point: high for normal points.

        Args:
            X: A series, with the channels that the detector was fitted on, or a list of series.

        Returns:
            `(time,)`, NaN where nothing can be told; or a list of such arrays.

        Raises:
            ValueError: infinity, values that are not numbers, no points, or other channels.
            NotFittedError: there is no detector yet.
        """
        fitted = self.fitted_
        found = [fitted.score.of(points.ratios(fitted, x)) for x in reading.read(X, self)]
        return found if reading.is_several(X) else found[0]

    def decision_function(self, X: Series) -> Arrays:
        """The score less `offset_`: negative for anomalies; shapes as of `score_samples`."""
        return _each(lambda found: found - self.offset_, self.score_samples(X))

    def predict(self, X: Series) -> Arrays:
        """1 for normal points, −1 for anomalies: integers `(time,)`, or a list of such arrays.

        Args:
            X: As in `score_samples`. Points that score NaN are 1. `fpr` is a rate per point: of
                10,000 normal points about 100 are flagged at 0.01, in runs.
        """
        return _each(lambda found: np.where(found < self.offset_, -1, 1), self.score_samples(X))

    def intervals(self, X: Series, *, merge: int | None = None) -> list[Any]:
        """The anomalies as intervals of time.

        `fpr` is a rate per point, so that intervals of normal points come with every series that is
        long enough: for fewer, lower `fpr`, or sort them by score.

        Args:
            X: As in `score_samples`.
            merge: Anomalous points with at most this many others between them are of one interval;
                an eighth of a window unless given, as far as errors around points reach.

        Returns:
            A list of tuples `(start, end, score)`: the first point, the one after the last, and the
            lowest score between. For a list of series, a list of such lists.

        Raises:
            ValueError: as `score_samples` does.
        """
        found = self.score_samples(X)
        merge = round(self.row_shape_[0] * NEIGHBOURS) if merge is None else merge
        return _each(lambda scores: _runs(scores, self.offset_, merge), found)

    def explain(self, X: Series) -> Arrays:
        """What each channel adds to the scores: below 0 for what makes a point anomalous.

        Args:
            X: As in `score_samples`.

        Returns:
            `(time, channels)`, or a list of such arrays. A point's contributions add up to its
            score; they are NaN where that is NaN. A channel that is missing around it adds 0.

        Raises:
            ValueError, NotFittedError: as `score_samples` does.
        """
        fitted = self.fitted_
        found = [points.contributions(fitted, x) for x in reading.read(X, self)]
        return found if reading.is_several(X) else found[0]

    def stream(self) -> Stream:
        """A new `Stream` for a series that comes in piece by piece.

        Raises:
            NotFittedError: there is no detector yet.
        """
        return Stream(self)

    # Parts of fitting -----------------------------------------------------------------------------

    @property
    def stride_(self) -> int:
        """Points from one window to the next, where series are scored."""
        return self.fitted_.score.stride

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def check_arguments(self) -> None:
        """Raise a ValueError or TypeError that names an argument which cannot be."""
        if not isinstance(self.model, str):
            raise TypeError(
                f"`model` must be the name of a zoo model, which is trained at each noise level; "
                f"got {self.model!r}."
            )
        super().check_arguments()
        if not is_integer(self.window, 2):
            raise ValueError(f"`window` must be an integer, 2 or more; got {self.window!r}.")
        if self.stride is not None and not (
            is_integer(self.stride, 1) and self.stride <= self.window
        ):
            raise ValueError(
                f"`stride` must be an integer from 1 to the window's {self.window} points, or "
                f"windows leave points out; got {self.stride!r}."
            )

    def read(self, X: Series, columns: Detector, folder: str) -> list[np.ndarray]:
        """An array `(time, channels)` for each series."""
        return reading.read(X, columns, known=columns is self)

    def divide(self, rows: list[np.ndarray], held_back: int, seed: int) -> EndsHeldBack:
        """The end of each series is held back, the same share of all.

        Raises:
            ValueError: a channel has no values to train on.
        """
        share = held_back / sum(map(len, rows))
        division = EndsHeldBack(
            rows, [len(x) - round(share * len(x)) for x in rows], int(self.window)
        )
        seen = np.zeros(rows[0].shape[1], bool)
        for part in division.chunks():
            seen |= ~np.isnan(part).all(axis=0)
        if not seen.all():
            raise ValueError(
                f"Channels {np.flatnonzero(~seen).tolist()} have no values to train on: leave "
                "them out."
            )
        return division

    def new_model(self, division: EndsHeldBack, seed: int) -> DenoisingEnsemble:
        """Denoising autoencoders of windows."""
        arguments = training.model_arguments(
            self.model, division.row_shape, self.model_params, table=True
        )
        return training.new_ensemble(self.model, self.noise_levels, arguments, seed)

    def new_score(self, model: DenoisingEnsemble, earlier: Fitted | None) -> PointScore:
        """The score, with the stride that is set now."""
        stride = max(self.window // 4, 1) if self.stride is None else int(self.stride)
        return PointScore(model, stride)

    def load_score(self, model: DenoisingEnsemble, config: Mapping[str, Any]) -> PointScore:
        """The score, with a file's stride."""
        return PointScore(model, config["stride"])

    def learn(self, fitted: Fitted, division: EndsHeldBack, examples: Examples) -> np.ndarray:
        """Let the score learn the errors to expect from windows, and their spread from points."""
        score, run = fitted.score, fitted.runner.run
        some = examples.thinned(max(self.window // 4, 1))  # a window is much like its neighbours
        x, observed = some.targets, some.targets_observed
        score.learn_base(run("errors", score.errors, (x, observed)), observed)
        x, observed = some.inputs, some.inputs_observed
        score.learn_gaps(run("errors", score.errors, (x, observed)), observed)
        ratios = [points.ratios(fitted, x) for x in division.series]
        pairs = list(zip(ratios, division.ends, strict=True))
        score.learn(np.concatenate([ratio[:, :end] for ratio, end in pairs], axis=1))
        if self.contamination == "auto":
            return _known([score.of(ratio[:, end:]) for ratio, end in pairs])
        return _known([score.of(ratio) for ratio in ratios])


def _each(function, found):
    """A function of the scores of a series, for one series or for several."""
    return [function(one) for one in found] if isinstance(found, list) else function(found)


def _known(found):
    """The scores of several series that are numbers."""
    found = np.concatenate(found)
    return found[~np.isnan(found)]


def _runs(scores, offset, merge):
    """Intervals `(start, end, lowest score)` of the scores below the offset."""
    flagged = np.flatnonzero(scores < offset)
    if len(flagged) == 0:
        return []
    runs = np.split(flagged, np.flatnonzero(np.diff(flagged) - 1 > merge) + 1)
    spans = [(int(run[0]), int(run[-1]) + 1) for run in runs]
    return [(start, end, float(np.nanmin(scores[start:end]))) for start, end in spans]
