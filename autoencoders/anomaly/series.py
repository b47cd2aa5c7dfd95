"""`SeriesAnomalyDetector`: decisions about the points of long series."""

import copy
import math

import keras
import numpy as np
from keras import ops
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from autoencoders.anomaly import rows, windows
from autoencoders.anomaly.base import Detector, all_or_nothing, counts, provenance, rate
from autoencoders.anomaly.ensemble import NOISE_LEVELS
from autoencoders.anomaly.scaling import Scaler
from autoencoders.anomaly.scores import TINY, log_slope
from autoencoders.serialization import PACKAGE
from autoencoders.training.backend import needs_tensorflow
from autoencoders.training.row_runner import RowRunner

# Errors are added up over this share of a window around each point: the error of a single point
# is often small by chance, and its logarithm then tells little.
_NEIGHBOURS = 1 / 8

# A channel that is reconstructed (nearly) exactly is expected to have this share of the mean error.
_LEAST_SHARE = 0.01

# The power of its observed share with which a window counts.
_DISTRUST = 2

# An error that is no number: none is worse.
_WORST = float(np.finfo("float32").max)

# Windows at once: few enough to stay in cache, and for a stream not to wait for.
_BATCH_BYTES = 2**20
_FEWEST, _MOST = 8, 128


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

    NaN marks missing values. Within a window each gets the last value observed before it (else the
    first one after it), and its error does not count; half of the training windows get more gaps,
    for the model to know what is filled. Windows that miss more than half of their values are
    skipped, in training, too. A point without any observed channel, or that no window covers,
    scores NaN and is predicted to be normal. A series shorter than a window ends with a gap: one of
    less than half a window scores NaN.

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
    """

    _makers = (*Detector._makers, "window")

    def __init__(
        self,
        model="denoising_mlp",
        *,
        window=64,
        stride=None,
        contamination="auto",
        fpr=0.01,
        scaler="standard",
        epochs=None,
        batch_size=None,
        noise_levels=NOISE_LEVELS,
        model_params=None,
        calibration_size=0.2,
        warm_start=False,
        verbose=0,
        random_state=None,
    ):
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

    @all_or_nothing
    @needs_tensorflow
    def fit(self, X, y=None):
        """Train on series that are (nearly all) normal, and find the score that tells anomalies.

        The training windows begin at every point; of more than 100,000 (or 512 MiB), as many are
        taken evenly.

        Args:
            X: A series, `(time,)` or `(time, channels)`, or a list of series.
            y: Ignored.

        Returns:
            The detector.

        Raises:
            ValueError: infinity, no numbers, channels without values, too few points for a window,
                or bad arguments.
        """
        self._check_arguments()
        going_on = self._going_on()
        series, _ = self._series(X, reset=not going_on)
        total = sum(map(len, series))
        held_back = self._held_back(total)
        ends = [len(x) - round(held_back / total * len(x)) for x in series]
        training = [x[:end] for x, end in zip(series, ends, strict=True)]
        scaled = self._training_windows(training)
        if going_on:
            self._warn_of_leaks(total, held_back)
            seed, scaler = self._seed, self._scaler
            model, steps = copy.deepcopy(self.model_), self.provenance_["training_steps"]
        else:
            seed, steps = self._draw_seed(), 0
            model = self._new_ensemble(scaled.shape[1:], seed)
            scaler = Scaler.fit(self.scaler, (part for x in training for part in rows.chunks(x)))
        scaled = scaler(scaled)
        # What is filled into gaps must not make the points beside them look anomalous.
        given, given_observed = windows.fill(windows.with_gaps(scaled, seed))
        filled, observed = windows.fill(scaled)
        steps += self._train(model, given, filled)
        score, runner, stride = PointScore(model), RowRunner(model), self._stride()
        some = slice(None, None, max(self.window // 4, 1))  # neighbours tell the same
        filled, observed = filled[some], observed[some]
        score.learn_base(runner.run("errors", score.errors, (filled, observed)), observed)
        given, observed = given[some], given_observed[some]
        score.learn_gaps(runner.run("errors", score.errors, (given, observed)), observed)
        ratios = [_ratios(x, scaler, score, runner, scaled.shape[1:], stride) for x in series]
        pairs = list(zip(ratios, ends, strict=True))
        score.learn(np.concatenate([ratio[:, :end] for ratio, end in pairs], axis=1))
        self.row_shape_, self.stride_ = scaled.shape[1:], stride
        self.model_, self._scaler, self._seed = model, scaler, seed
        self._use(score)
        self._remember(total, held_back)
        self.calibration_scores_ = None
        self.provenance_ = provenance(steps, sum(ends), seed)
        if self.contamination == "auto":
            own = _known([score.of(ratio[:, end:]) for ratio, end in pairs])
            self._decide_by(np.sort(own), self.fpr)
            self._warn_of_few(len(own), total, "points")
        else:
            own = _known([score.of(ratio) for ratio in ratios])
            self.offset_ = float(np.percentile(own, 100.0 * self.contamination))
        return self

    @all_or_nothing
    def calibrate(self, X_normal, *, fpr=None):
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
        fpr = rate("fpr", self.fpr if fpr is None else fpr)
        found = self.score_samples(X_normal)
        self._calibrate_with(_known(found if isinstance(found, list) else [found]), fpr, "points")
        return self

    # Judging --------------------------------------------------------------------------------------

    def score_samples(self, X):
        """The score of each point: high for normal points.

        Args:
            X: A series, with the channels that the detector was fitted on, or a list of series.

        Returns:
            `(time,)`, NaN where nothing can be told; or a list of such arrays.

        Raises:
            ValueError: infinity, no numbers, no points, or other channels.
            NotFittedError: there is no detector yet.
        """
        check_is_fitted(self)
        series, several = self._series(X, reset=False)
        shape, stride = self.row_shape_, self.stride_
        score, runner = self._score, self._runner
        found = [score.of(_ratios(x, self._scaler, score, runner, shape, stride)) for x in series]
        return found if several else found[0]

    def decision_function(self, X):
        """The score less `offset_`: negative for anomalies; shapes as of `score_samples`."""
        return _each(lambda found: found - self.offset_, self.score_samples(X))

    def predict(self, X):
        """1 for normal points, −1 for anomalies: integers `(time,)`, or a list of such arrays.

        Args:
            X: As in `score_samples`. Points that score NaN are 1. `fpr` is a rate per point: of
                10,000 normal points about 100 are flagged at 0.01, in runs.
        """
        return _each(lambda found: np.where(found < self.offset_, -1, 1), self.score_samples(X))

    def intervals(self, X, *, merge=None):
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
        merge = round(self.row_shape_[0] * _NEIGHBOURS) if merge is None else merge
        return _each(lambda scores: _runs(scores, self.offset_, merge), found)

    def explain(self, X):
        """What each channel adds to the scores: below 0 for what makes a point anomalous.

        Args:
            X: As in `score_samples`.

        Returns:
            `(time, channels)`, or a list of such arrays. A point's contributions add up to its
            score; they are NaN where that is NaN. A channel that is missing around it adds 0.

        Raises:
            ValueError, NotFittedError: as `score_samples` does.
        """
        check_is_fitted(self)
        series, several = self._series(X, reset=False)
        score, channels = self._score, self.row_shape_[1]
        found = []
        for x in series:
            shape = (2, score.levels, channels)
            points = _points(score.shares, self._runner, self.row_shape_, self.stride_, shape)
            parts = [score.contributions(part) for part in _pieces(x, self._scaler, points)]
            found.append(np.concatenate(parts))
        return found if several else found[0]

    def stream(self):
        """A new `Stream` for a series that comes in piece by piece.

        Raises:
            NotFittedError: there is no detector yet.
        """
        check_is_fitted(self)
        return Stream(self)

    # Saving ---------------------------------------------------------------------------------------

    def get_config(self):
        """The arguments of the constructor; of a fitted detector the networks, too."""
        config = super().get_config()
        if self.built:
            config["fitted"]["stride"] = self.stride_
        return config

    @classmethod
    def from_config(cls, config):
        """The inverse of `get_config`; the arrays come with the weights."""
        detector = super().from_config(config)
        if detector.built:
            detector.stride_ = config["fitted"]["stride"]
        return detector

    # Parts of fitting -----------------------------------------------------------------------------

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _check_arguments(self):
        if not isinstance(self.model, str):
            raise TypeError(
                f"`model` must be the name of a zoo model, which is trained at each noise level; "
                f"got {self.model!r}."
            )
        super()._check_arguments()
        if not counts(self.window, 2):
            raise ValueError(f"`window` must be an integer, 2 or more; got {self.window!r}.")
        if self.stride is not None and not (counts(self.stride, 1) and self.stride <= self.window):
            raise ValueError(
                f"`stride` must be an integer from 1 to the window's {self.window} points, or "
                f"windows leave points out; got {self.stride!r}."
            )

    def _stride(self):
        return max(self.window // 4, 1) if self.stride is None else int(self.stride)

    def _suited(self, row_shape):
        # Series have no range, whatever the model's card says of images.
        return super()._suited((math.prod(row_shape),))

    def _new_score(self, model):
        return PointScore(model)

    def _series(self, X, reset):
        """The series of X as arrays `(time, channels)`, and whether X is a list of series."""
        several = isinstance(X, (list, tuple)) and any(np.ndim(x) > 0 for x in X)
        series = []
        for x in X if several else [X]:
            series.append(self._checked(x, reset=reset and not series))
        return series, several

    def _checked(self, x, *, reset=False, least=1):
        """One series as an array `(time, channels)` of numbers and NaN."""
        if rows.is_pipeline(x):
            raise ValueError(
                "A series is an array or a data frame, not a pipeline: put it together, or map it "
                "from a file; and to score one that comes in piece by piece, use `stream()`."
            )
        if np.ndim(x) < 2:
            # A column by itself has no name to be known by.
            x = x.to_frame() if hasattr(x, "to_frame") else np.reshape(x, (-1, 1))
            x = check_array(x, dtype="numeric", ensure_all_finite=False, ensure_min_samples=least)
        elif np.ndim(x) > 2:
            raise ValueError(
                f"A series has shape (time,) or (time, channels), got {np.shape(x)}. Pass several "
                "series as a list."
            )
        if not reset and np.shape(x)[1] != self.n_features_in_:
            raise ValueError(
                f"A series has {np.shape(x)[1]} channels, but the detector was fitted on "
                f"{self.n_features_in_}: pass the same channels, in the same order."
            )
        x = validate_data(
            self,
            x,
            reset=reset,
            dtype="numeric",
            ensure_all_finite=False,
            ensure_min_samples=least,
        )
        seen = 0
        for part in rows.chunks(x):
            infinite = np.isinf(part).any(axis=1)
            if infinite.any():
                raise ValueError(
                    f"A series holds infinity at point {seen + int(infinite.argmax())}: make it "
                    "NaN if the value is missing, or clip it."
                )
            seen += len(part)
        return x

    def _training_windows(self, training):
        """Windows of the training series, with gaps."""
        channels = training[0].shape[1]
        seen = np.zeros(channels, bool)
        for x in training:
            for part in rows.chunks(x):
                seen |= ~np.isnan(part).all(axis=0)
        if not seen.all():
            raise ValueError(
                f"Channels {np.flatnonzero(~seen).tolist()} have no values to train on: leave "
                "them out."
            )
        found = windows.of_series(training, self.window)
        if len(found) == 0:
            points = max(map(len, training))
            raise ValueError(
                f"There is no window of {self.window} points to train on: the longest series for "
                f"training has {points}, and a window must have half of its values. Fit on longer "
                "series, or set a shorter `window`."
            )
        return found


class Stream:
    """Scores a series while it comes in: the scores that `score_samples` gives for all of it.

    The score of a point is final when the series has gone on for a window's length. Memory is
    bounded by the window and the longest piece. `SeriesAnomalyDetector.stream` makes one.

    >>> stream = detector.stream()
    >>> for piece in pieces:
    ...     scores = stream.update(piece)
    ...     anomalous = scores < detector.offset_  # as `predict` decides; False where NaN
    >>> rest = stream.finish()

    Args:
        detector: A fitted `SeriesAnomalyDetector`, which must not be fitted anew meanwhile.
    """

    def __init__(self, detector):
        self._detector = detector
        self._scaler, self._score = detector._scaler, detector._score
        self._points = _points(
            self._score.totals,
            detector._runner,
            detector.row_shape_,
            detector.stride_,
            (2, self._score.levels),
        )

    def update(self, X):
        """Go on with the series.

        Args:
            X: The next points, `(n,)` of one channel or `(n, channels)`.

        Returns:
            The scores that are final by now, in the order of the points: `(m,)`. After t points,
            t − window scores have been returned.

        Raises:
            ValueError: as `score_samples` does; or the series is finished.
        """
        if self._points is None:
            raise ValueError("The series is finished: begin another one with `detector.stream()`.")
        x = self._detector._checked(X, least=0)
        parts = [self._scores(self._points.update(self._scaler(part))) for part in rows.chunks(x)]
        return np.concatenate([np.empty(0), *parts])

    def finish(self):
        """End the series; the scores of its last points: `(m,)`."""
        points, self._points = self._points, None
        if points is None:
            raise ValueError("The series is finished already.")
        return self._scores(points.finish())

    def _scores(self, totals):
        errors, expected = totals
        return self._score.of(errors / expected)


class PointScore:
    """What makes a point anomalous: `scores.MultiScale` for points that several windows cover.

    Args:
        model: The trained `DenoisingEnsemble`.

    Attributes:
        statistics: Arrays by name, all that was learnt: `base`, `(levels, channels)`; `gaps`,
            `(levels, 2)`; and `spread`, `(levels,)`.
    """

    def __init__(self, model):
        self.model = model
        self.levels = len(model.members)
        self.statistics = {}

    def errors(self, x, observed):
        """The squared errors of windows, 0 where values are missing.

        Args:
            x, observed: Tensors `(batch, steps, channels)`, the second 0 where values are missing.

        Returns:
            `(batch, levels, steps, channels)`, at double precision.
        """
        errors = ops.cast(self.model.squared_errors(x), "float64")
        errors = ops.nan_to_num(errors, nan=_WORST, posinf=_WORST)
        return errors * ops.cast(observed, "float64")[:, None]

    def learn_base(self, errors, observed):
        """Learn the mean error of each channel from windows to train on, and their `errors`."""
        counts = observed.sum(axis=(0, 1))
        sums = errors.sum(axis=(0, 2))
        least = _LEAST_SHARE * sums.sum(axis=1, keepdims=True) / max(counts.sum(), 1)
        base = np.maximum(sums / np.maximum(counts, 1), least) + TINY
        self.statistics = {"base": base, "gaps": np.zeros((len(base), 2))}

    def learn_gaps(self, errors, observed):
        """Learn how much larger errors are in windows with gaps, and beside those, from `errors`.

        By least squares: E / B − 1 at a step from what is missing in the window and around.
        """
        expected = np.einsum("lc,nsc->nsl", self.statistics["base"], observed)
        there = observed.any(axis=2)
        ratios = np.swapaxes(errors.sum(axis=3), 1, 2)[there] / expected[there]
        missing = np.asarray(self._missing(ops.cast(observed, "float64")))[there]
        found = np.linalg.lstsq(missing, ratios - 1.0, rcond=None)[0]
        self.statistics["gaps"] = np.maximum(found.T, 0.0)

    def _missing(self, observed):
        """What is missing of a window and around each step, as shares: `(batch, steps, 2)`."""
        steps = observed.shape[1]
        missing = 1.0 - ops.mean(observed, axis=2)
        reach = max(round(steps * _NEIGHBOURS), 1)
        around = _around(missing, reach) / (2 * reach + 1)
        whole = ops.mean(missing, axis=1, keepdims=True) * ops.ones_like(missing)
        return ops.stack([whole, around], axis=2)

    def shares(self, x, observed):
        """What windows tell of their points: the errors E around each, and those to expect, B.

        A missing value is taken to have the error to expect: few values beside a gap prove little.

        Args:
            x, observed: As in `errors`.

        Returns:
            `(batch, 2, levels, channels, steps)`, at double precision.
        """
        observed = ops.cast(observed, "float64")
        more = 1.0 + ops.einsum("lk,nsk->nls", self.statistics["gaps"], self._missing(observed))
        # What is filled in misleads: the more of it, the less a window has to say.
        votes = ops.mean(observed, axis=(1, 2), keepdims=True) ** _DISTRUST
        expected = more[..., None] * self.statistics["base"][:, None]
        known = observed[:, None]
        errors = self.errors(x, observed) + known * TINY + (1.0 - known) * expected
        pair = ops.stack([errors, expected], axis=1) * votes[:, None, None]
        return _around(ops.swapaxes(pair, 3, 4), round(x.shape[1] * _NEIGHBOURS / 2))

    def totals(self, x, observed):
        """The same of all channels together: `(batch, 2, levels, steps)`."""
        return ops.sum(self.shares(x, observed), axis=3)

    def learn(self, ratios):
        """Learn the spread of log E / B of points `(levels, n)`.

        Raises:
            ValueError: no point has an error.
        """
        ratios = ratios[:, ~np.isnan(ratios[0])]
        if ratios.shape[1] == 0:
            raise ValueError(
                "No point to train on is covered by a window that has half of its values: fit on "
                "series with fewer gaps, or set a shorter `window` or `stride`."
            )
        spread = np.log(ratios).std(axis=1)
        # Points that are all alike have no spread to measure others by.
        self.statistics["spread"] = np.where(spread > 1e-6, spread, 1.0)

    def of(self, ratios):
        """The scores of points with these E / B, `(levels, n)`: `(n,)`, high for normal points."""
        total = np.zeros(ratios.shape[1])
        for ratio, spread in zip(ratios, self.statistics["spread"], strict=True):
            total += np.log(ratio) / spread  # in one order for any number of points
        return -total

    def contributions(self, shares):
        """What each channel adds to the score, of points `(2, levels, channels, n)`.

        The share of a channel of errors e and b is (e − b) · log(E / B) / (E − B) / s, over levels.

        Returns:
            `(n, channels)`.
        """
        errors, expected = shares
        base = expected.sum(axis=1, keepdims=True)
        slope = ops.convert_to_numpy(log_slope(errors.sum(axis=1, keepdims=True), base))
        spread = self.statistics["spread"][:, None, None]
        return -np.sum((errors - expected) * slope / spread, axis=0).T


def _around(values, reach):
    """Sums over the neighbours on the last axis, at most `reach` steps away."""
    steps = values.shape[-1]
    padded = ops.pad(values, [(0, 0)] * (len(values.shape) - 1) + [(reach, reach)])
    return sum(padded[..., start : start + steps] for start in range(2 * reach + 1))


def _points(function, runner, row_shape, stride, shape):
    """`function` of `PointScore`, of shape `(*shape, steps)`, for the points of one series."""
    batch_size = int(np.clip(_BATCH_BYTES // (4 * np.prod(row_shape)), _FEWEST, _MOST))

    def of_windows(x, observed):
        return runner.run(function.__name__, function, (x, observed), batch_size=batch_size)

    return windows.PointSums(of_windows, shape, row_shape[0], stride, row_shape[1])


def _pieces(x, scaler, points):
    """A series through `points`, piece by piece."""
    for part in rows.chunks(x):
        yield points.update(scaler(part))
    yield points.finish()


def _ratios(x, scaler, score, runner, row_shape, stride):
    """E / B of the points of a series: `(levels, time)`."""
    points = _points(score.totals, runner, row_shape, stride, (2, score.levels))
    pieces = _pieces(x, scaler, points)
    return np.concatenate([error / expected for error, expected in pieces], axis=1)


def _each(function, found):
    return [function(one) for one in found] if isinstance(found, list) else function(found)


def _known(found):
    """The scores of several series that are numbers."""
    found = np.concatenate(found)
    return found[~np.isnan(found)]


def _runs(scores, offset, merge):
    flagged = np.flatnonzero(scores < offset)
    if len(flagged) == 0:
        return []
    runs = np.split(flagged, np.flatnonzero(np.diff(flagged) - 1 > merge) + 1)
    spans = [(int(run[0]), int(run[-1]) + 1) for run in runs]
    return [(start, end, float(np.nanmin(scores[start:end]))) for start, end in spans]
