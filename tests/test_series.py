"""Anomalies in long series: points against arithmetic by hand, streams against the whole."""

import json
import subprocess
import sys
import types
import zipfile

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score

import autoencoders
from autoencoders.anomaly import SeriesAnomalyDetector
from autoencoders.anomaly.series import PointScore, windows

SMALL = {"hidden_units": (16,), "latent_dim": 4}
LEVELS = (0.25, 1.0)
QUICK = {
    "window": 16,
    "epochs": 1,
    "model_params": SMALL,
    "noise_levels": LEVELS,
    "random_state": 0,
    "fpr": 0.05,
}


def waves(points, channels=1, seed=0):
    """Noisy waves of period 20, shifted by channel."""
    time = np.arange(points)[:, None] - 3 * np.arange(channels)
    noise = np.random.default_rng(seed).normal(size=time.shape)
    return 5 + 2 * np.sin(2 * np.pi * time / 20) + 0.2 * noise


def gappy(points, channels=2, seed=0):
    """Waves with missing values: here and there, in one channel for long, in all for longer."""
    x = waves(points, channels, seed)
    x[np.random.default_rng(seed + 1).random(x.shape) < 0.05] = np.nan
    x[40:52, 0] = np.nan
    x[70:110] = np.nan
    return x


@pytest.fixture(scope="module")
def detector():
    return SeriesAnomalyDetector(**{**QUICK, "epochs": 30}).fit(waves(1500)[:, 0])


@pytest.fixture(scope="module")
def gap_detector():
    return SeriesAnomalyDetector(**QUICK, stride=5).fit([gappy(400), gappy(300, seed=5)])


# What it finds ------------------------------------------------------------------------------------


def test_planted_anomalies_are_found_and_told_apart(detector):
    x = waves(1200, seed=9)[:, 0]
    x[300] += 3.0
    x[600:630] += 2.0
    x[900:940] = 5 + 2 * np.sin(2 * np.pi * np.arange(40) / 10)
    anomalous = np.zeros(len(x), bool)
    for start, end in ((300, 301), (600, 630), (900, 940)):
        anomalous[start:end] = True
    found = detector.intervals(x)
    for start, end in ((300, 301), (600, 630), (900, 940)):
        (hit,) = [each for each in found if each[0] < end and start < each[1]]
        assert start - 16 <= hit[0]
        assert hit[1] <= end + 16
        assert hit[2] == detector.score_samples(x)[hit[0] : hit[1]].min() < detector.offset_
    assert roc_auc_score(~anomalous, detector.score_samples(x)) > 0.95


def test_the_false_positive_rate_of_noise_is_about_the_one_asked_for():
    noise = np.random.default_rng(3).normal(size=(9000, 1))
    detector = SeriesAnomalyDetector(**QUICK).fit(noise[:6000])
    assert len(detector.calibration_scores_) == 1200
    assert np.mean(detector.predict(noise[6000:]) == -1) == pytest.approx(0.05, abs=0.03)
    detector.calibrate(noise[6000:], fpr=0.2)
    flagged = detector.predict(noise[6000:]) == -1
    assert flagged.mean() == pytest.approx(0.2, abs=1e-3)
    np.testing.assert_array_equal(flagged, detector.decision_function(noise[6000:]) < 0)


def test_a_number_for_the_contamination_flags_that_share_of_the_training_points():
    detector = SeriesAnomalyDetector(**QUICK, contamination=0.1).fit(waves(300))
    assert (detector.predict(waves(300)) == -1).sum() == 30
    assert detector.calibration_scores_ is None


# Scores by hand -----------------------------------------------------------------------------------


def _window_errors(detector, window):
    """Squared errors of one window by loops and pandas: levels, steps, channels."""
    filled = pd.DataFrame(window).ffill().bfill().fillna(0.0).to_numpy("float32")
    errors = []
    noise = np.random.default_rng(0)
    for member, level in zip(detector.model_.members, LEVELS, strict=True):
        draw = level * noise.standard_normal(filled.shape).astype("float32")
        inputs = np.stack([filled, filled + draw, filled - draw])
        squares = (filled - np.asarray(member(inputs))).astype("float64") ** 2
        errors.append(np.where(np.isnan(window), np.nan, squares.mean(axis=0)))
    return np.array(errors)


def _point_ratios(detector, x, stride, base, gaps):
    """E / B of each point: (time, levels)."""
    x = (x - detector.fitted_.scaler.center) / detector.fitted_.scaler.scale
    steps = detector.window
    begins = [*range(0, len(x) - steps + 1, stride)]
    if begins[-1] != len(x) - steps:
        begins.append(len(x) - steps)
    sums, covered = np.zeros((2, len(x), len(LEVELS))), np.zeros(len(x), bool)
    for begin in begins:
        window = x[begin : begin + steps]
        if np.isnan(window).mean() > 0.5:
            continue
        covered[begin : begin + steps] = True
        errors, missing = _window_errors(detector, window), np.isnan(window)
        near = [slice(max(step - 2, 0), step + 3) for step in range(steps)]
        around = np.array([missing[each].sum() / (2 * 5) for each in near])
        expected = 1 + gaps[:, :1] * missing.mean() + gaps[:, 1:] * around
        expected = expected[:, :, None] * base[:, None]
        errors = np.where(np.isnan(errors), expected, errors)
        vote = (1 - missing.mean()) ** 2
        for step in range(steps):
            near = slice(max(step - 1, 0), step + 2)  # an eighth of 16 steps, here and around
            sums[0, begin + step] += vote * errors[:, near].sum(axis=(1, 2))
            sums[1, begin + step] += vote * expected[:, near].sum(axis=(1, 2))
    known = covered & ~np.isnan(x).all(axis=1)
    with np.errstate(invalid="ignore"):
        return np.where(known[:, None], sums[0] / sums[1], np.nan)


def test_scores_equal_a_computation_by_hand(gap_detector):
    training = [(gappy(400), 320), (gappy(300, seed=5), 240)]
    scaler, gaps = gap_detector.fitted_.scaler, gap_detector.fitted_.score.statistics["gaps"]
    parts = [(x[:end] - scaler.center) / scaler.scale for x, end in training]
    errors = [_window_errors(gap_detector, w) for w in windows.of_series(parts, 16)[::4]]
    base = np.nanmean(errors, axis=(0, 2))
    learnt = [_point_ratios(gap_detector, x, 5, base, gaps)[:end] for x, end in training]
    spread = np.nanstd(np.log(np.concatenate(learnt)), axis=0)
    x = gappy(143, seed=7)
    expected = -np.sum(np.log(_point_ratios(gap_detector, x, 5, base, gaps)) / spread, axis=1)
    scores = gap_detector.score_samples(x)
    np.testing.assert_allclose(scores, expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(np.isnan(scores), np.isnan(expected))
    assert np.isnan(scores[75:105]).all()
    assert (gap_detector.predict(x)[75:105] == 1).all()


def test_what_gaps_add_to_errors_is_learnt():
    score = PointScore(types.SimpleNamespace(members=[None]), stride=4)
    observed = np.random.default_rng(0).random((50, 16, 2)) < 0.8
    observed[:25, 5:9] = False
    score.learn_base(np.ones((50, 1, 16, 2)) * observed[:, None], observed)
    np.testing.assert_allclose(score.statistics["base"], 1.0)
    missing = 1 - observed.mean(axis=2)
    around = np.stack([np.convolve(row, np.full(5, 1 / 5), "same") for row in missing])
    more = 1 + 2.0 * missing.mean(axis=1, keepdims=True) + 0.5 * around
    score.learn_gaps(more[:, None, :, None] * observed[:, None], observed)
    np.testing.assert_allclose(score.statistics["gaps"], [[2.0, 0.5]], rtol=1e-6)


def test_contributions_of_channels_add_up_to_the_scores(gap_detector):
    x = gappy(143, seed=7)
    x[120:124, 1] += 5.0
    shares, scores = gap_detector.explain(x), gap_detector.score_samples(x)
    assert shares.shape == x.shape
    np.testing.assert_allclose(shares.sum(axis=1), scores, rtol=1e-6)
    assert shares[121, 1] < shares[121, 0]
    np.testing.assert_array_equal(np.isnan(shares).all(axis=1), np.isnan(scores))
    np.testing.assert_allclose(shares[44:48, 0], 0.0, atol=1e-9)  # missing for long
    (several,) = gap_detector.explain([x])
    np.testing.assert_array_equal(several, shares)


def test_the_scaler_knows_the_training_points_alone(gap_detector):
    training = np.concatenate([gappy(400)[:320], gappy(300, seed=5)[:240]])
    np.testing.assert_allclose(gap_detector.fitted_.scaler.center, np.nanmean(training, axis=0))
    np.testing.assert_allclose(gap_detector.fitted_.scaler.scale, np.nanstd(training, axis=0))


def test_missing_values_are_filled_within_their_window():
    n = np.nan
    given = np.array([[[n, 1], [2, n], [n, n], [3, n]], [[n, 4], [n, n], [n, 5], [n, 6]]])
    filled, observed = windows.fill(given)
    assert filled.tolist() == [
        [[2, 1], [2, 1], [2, 1], [3, 1]],
        [[0, 4], [0, 4], [0, 5], [0, 6]],
    ]
    np.testing.assert_array_equal(observed, ~np.isnan(given))


def test_windows_do_not_cross_borders(gap_detector):
    recordings = [gappy(143, seed=7), gappy(60, seed=8), gappy(120, seed=9)]
    together = gap_detector.score_samples(recordings)
    for scores, recording in zip(together, recordings, strict=True):
        np.testing.assert_array_equal(scores, gap_detector.score_samples(recording))
    assert [len(each) for each in gap_detector.predict(recordings)] == [143, 60, 120]
    assert gap_detector.intervals(recordings)[2] == gap_detector.intervals(recordings[2])


def test_a_short_series_ends_with_a_gap(detector):
    x = waves(16)
    x[10:] = np.nan
    np.testing.assert_array_equal(detector.score_samples(x[:10]), detector.score_samples(x)[:10])
    assert np.isfinite(detector.score_samples(waves(8))).all()
    assert np.isnan(detector.score_samples(waves(7))).all()
    assert (detector.predict(waves(7)) == 1).all()


def test_intervals_merge_what_is_near(detector, monkeypatch):
    scores = np.zeros(60)
    scores[[3, 4, 8, 30, 31, 55]] = [-1.0, -2.0, -3.0, -4.0, -1.0, -1.0]
    scores[[5, 33]] = np.nan
    monkeypatch.setattr(detector, "score_samples", lambda X: scores)
    monkeypatch.setattr(detector, "offset_", -0.5)
    each = [(3, 5, -2.0), (8, 9, -3.0), (30, 32, -4.0), (55, 56, -1.0)]
    assert detector.intervals(None, merge=2) == each
    assert detector.intervals(None, merge=3) == [(3, 9, -3.0), *each[2:]]
    assert detector.intervals(None) == each  # 2 of 16
    assert detector.intervals(None, merge=60) == [(3, 56, -4.0)]


# Streams ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("points", [1, 8, 15, 16, 17, 21, 143, 2500])
@pytest.mark.parametrize("size", [1, 7, 5000])
def test_a_stream_gives_the_scores_of_the_whole(gap_detector, points, size):
    x = gappy(max(points, 120), seed=11)[:points]
    stream = gap_detector.stream()
    parts = [stream.update(x[start : start + size]) for start in range(0, points, size)]
    assert sum(map(len, parts)) == max(points - 16, 0)
    whole = np.concatenate([*parts, stream.finish()])
    np.testing.assert_array_equal(whole, gap_detector.score_samples(x))


def test_a_streams_scores_come_when_no_later_point_can_change_them(gap_detector):
    x = gappy(130, seed=12)
    stream = gap_detector.stream()
    early = np.concatenate([stream.update(x[:47]), stream.update(x[47:47])])
    for end in (47, 48, 90, 130):
        np.testing.assert_array_equal(gap_detector.score_samples(x[:end])[:31], early)


def test_a_stream_keeps_a_window_and_no_more(gap_detector):
    stream = gap_detector.stream()
    for start in range(0, 5000, 50):
        stream.update(waves(50, 2, seed=start))
    assert len(stream._points._rows) == 16
    assert stream._points._sums.shape == (2, len(LEVELS), 16)


def test_a_finished_stream_takes_no_more(detector):
    stream = detector.stream()
    assert stream.finish().shape == (0,)
    with pytest.raises(ValueError, match="begin another one"):
        stream.update([1.0])
    with pytest.raises(ValueError, match="finished already"):
        stream.finish()


# Training -----------------------------------------------------------------------------------------


def test_training_windows_begin_everywhere_and_are_thinned_evenly(monkeypatch):
    parts = [np.arange(100.0)[:, None], 1000 + np.arange(30.0)[:, None]]
    begins = windows.of_series(parts, 10)[:, 0, 0]
    np.testing.assert_array_equal(begins, [*range(91), *range(1000, 1021)])
    monkeypatch.setattr(windows, "_MOST", 28)
    begins = windows.of_series(parts, 10)[:, 0, 0]
    np.testing.assert_array_equal(begins, [*range(0, 91, 4), *range(1001, 1021, 4)])
    monkeypatch.setattr(windows, "_MOST_BYTES", 8 * 10 * 7)
    assert len(windows.of_series(parts, 10)) == 7


def test_training_windows_that_miss_more_than_half_are_skipped():
    x = np.arange(40.0)[:, None]
    x[10:22] = np.nan
    begins = {int(window[~np.isnan(window)][0]) for window in windows.of_series([x], 10)}
    assert {5, 22} <= begins
    lengths = [(~np.isnan(window)).sum() for window in windows.of_series([x], 10)]
    assert min(lengths) == 5
    assert len(lengths) == 31 - 11


def test_half_of_the_training_windows_get_one_more_gap():
    given = np.ones((4000, 10, 2), "float32")
    given[0, 3, 1] = np.nan
    found = windows.with_gaps(given, seed=0)
    assert np.isnan(found[0, 3, 1])
    assert np.isnan(given).sum() == 1
    missing = np.isnan(found[1:])
    gappy = missing[missing.any(axis=(1, 2))]
    assert len(gappy) / len(missing) == pytest.approx(0.5, abs=0.03)
    both = gappy.any(axis=1).all(axis=1)
    assert both.mean() == pytest.approx(0.5 + 0.5 * 0.5, abs=0.05)
    assert gappy[both].sum(axis=1).max() == 5
    lasting = gappy[~both].any(axis=2).all(axis=1)
    assert lasting.mean() == pytest.approx(0.5, abs=0.05)
    brief = np.concatenate([gappy[both], gappy[~both][~lasting]]).any(axis=2)
    for end in (0, -1):
        assert 0.3 < brief[:, end].mean() < 0.7
    for steps in brief[:100]:
        assert (np.diff(np.flatnonzero(steps)) == 1).all()


@pytest.fixture(scope="module")
def trained():
    """A detector that is trained for as long as is usual."""
    arguments = {"window": 20, "noise_levels": (0.1, 0.3), "random_state": 1}
    return SeriesAnomalyDetector(**arguments).fit(waves(2000))


def test_points_beside_gaps_are_not_anomalous_for_it(trained):
    for length, most in ((5, 0.05), (30, 0.05)):
        x, beside = waves(2000, seed=9), np.zeros(2000, bool)
        for start in range(100, 1900, 60):
            end = start + length
            x[start:end] = np.nan
            beside[start - 5 : start] = beside[end : end + 5] = True
        assert np.mean(trained.predict(x)[beside] == -1) < most


@pytest.mark.parametrize("points", [10, 12, 15, 19])
def test_short_series_are_not_anomalous_for_it(trained, points):
    x = waves(2000, seed=10)
    pieces = [x[start : start + points] for start in range(0, 1900, 23)]
    assert np.mean(np.concatenate(trained.predict(pieces)) == -1) < 0.05


def test_the_other_channels_are_judged_as_before_where_one_is_missing():
    def series(seed):
        x = waves(4000, 3, seed)
        x[:, 2] = np.random.default_rng(seed + 1).normal(size=4000)
        return x

    arguments = {"window": 20, "noise_levels": (0.1, 0.3), "random_state": 1}
    detector = SeriesAnomalyDetector(**arguments).fit(series(0))
    for channel in range(3):
        x = series(10)
        x[1000:2000, channel] = np.nan
        assert np.mean(detector.predict(x)[1000:2000] == -1) < 0.08
        if channel < 2:
            x[1500:1510, 2] *= 5
            assert np.mean(detector.predict(x)[1500:1510] == -1) > 0.8
            assert detector.explain(x)[1500:1510].sum(axis=0).argmin() == 2


def test_the_same_seed_gives_the_same_detector_and_warm_starts_go_on():
    x, new = waves(300, 2), waves(100, 2, seed=4)
    first = SeriesAnomalyDetector(**QUICK, warm_start=True).fit(x)
    scores = first.score_samples(new)
    again = clone(first)
    assert again.get_params() == first.get_params()
    np.testing.assert_array_equal(again.fit(x).score_samples(new), scores)
    center = first.fitted_.scaler.center
    first.fit(x + 1.0)
    assert first.model_.epochs_trained == 2
    np.testing.assert_array_equal(first.fitted_.scaler.center, center)
    with pytest.raises(ValueError, match=r"'window'.* have changed"):
        first.set_params(window=8).fit(x)


def test_constant_channels_keep_their_units():
    x = np.concatenate([waves(300), np.full((300, 1), 7.0)], axis=1)
    detector = SeriesAnomalyDetector(**QUICK).fit(x)
    assert detector.fitted_.scaler.scale[1] == 1.0
    changed = x.copy()
    changed[150:160, 1] = 12.0
    assert detector.score_samples(changed)[152] < detector.score_samples(x).min()


@pytest.mark.parametrize(
    "arguments",
    [
        {"scaler": None, "window": 17},
        {"scaler": "robust", "stride": 16},
        {"model": "ae_conv1d", "model_params": {"filters": (4,), "latent_dim": 4}},
        {"model": "vae_mlp", "model_params": {"hidden_units": (16,)}},
    ],
)
def test_models_and_scalers(arguments):
    arguments = {**QUICK, "noise_levels": (0.2,), **arguments}
    detector = SeriesAnomalyDetector(**arguments).fit(gappy(300))
    x = waves(50, 2)
    x[20:25] += 10.0
    assert 19 <= detector.score_samples(x).argmin() <= 25


# Files --------------------------------------------------------------------------------------------


def test_one_file_holds_all_of_it(gap_detector, tmp_path):
    x = gappy(143, seed=7)
    path = tmp_path / "detector.keras"
    gap_detector.save(path)
    np.save(tmp_path / "x.npy", x)
    with zipfile.ZipFile(path) as file:
        assert {name.rpartition(".")[2] for name in file.namelist()} <= {"json", "h5"}
    code = (
        "import autoencoders, json, numpy, sys; folder = sys.argv[1]\n"
        "detector = autoencoders.load(folder + '/detector.keras')\n"
        "x = numpy.load(folder + '/x.npy')\n"
        "numpy.save(folder + '/scores.npy', detector.score_samples(x))\n"
        "stream = detector.stream()\n"
        "numpy.save(folder + '/early.npy', stream.update(x[:100]))\n"
        "print(json.dumps([detector.intervals(x), detector.provenance_, detector.get_params()]))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    intervals, provenance, parameters = json.loads(done.stdout)
    scores = gap_detector.score_samples(x)
    np.testing.assert_array_equal(np.load(tmp_path / "scores.npy"), scores)
    np.testing.assert_array_equal(np.load(tmp_path / "early.npy"), scores[:84])
    assert [tuple(each) for each in intervals] == gap_detector.intervals(x)
    assert provenance == gap_detector.provenance_
    assert provenance["trained_on"] == 560
    assert provenance["calibrated_on"] == len(gap_detector.calibration_scores_)
    assert parameters == json.loads(json.dumps(gap_detector.get_params()))


def test_a_loaded_detector_goes_on_training(tmp_path):
    detector = SeriesAnomalyDetector(**QUICK, warm_start=True).fit(waves(300))
    detector.save(tmp_path / "d.keras")
    loaded = autoencoders.load(tmp_path / "d.keras")
    new = waves(100, seed=4)
    expected = detector.fit(waves(300)).score_samples(new)
    np.testing.assert_array_equal(loaded.fit(waves(300)).score_samples(new), expected)


# What is given ------------------------------------------------------------------------------------


def test_forms_of_one_series(detector):
    x = waves(60)
    expected = detector.score_samples(x)
    column = pd.Series(x[:, 0], name="load")
    for form in (x[:, 0], [*x[:, 0]], column, column.astype("Float64")):
        np.testing.assert_array_equal(detector.score_samples(form), expected)
    x[20] = np.nan
    missing = pd.Series(x[:, 0]).astype("Float64")
    assert missing.isna().sum() == 1
    np.testing.assert_array_equal(detector.score_samples(missing), detector.score_samples(x))


def test_columns_of_data_frames_are_known_by_name():
    frame = pd.DataFrame(waves(300, 2), columns=["load", "speed"])
    detector = SeriesAnomalyDetector(**QUICK).fit(frame)
    assert detector.feature_names_in_.tolist() == ["load", "speed"]
    with pytest.raises(ValueError, match="feature names"):
        detector.predict(frame[["speed", "load"]])
    with pytest.raises(ValueError, match=r"must be numeric, but has the columns \['load'\]"):
        detector.fit(frame.assign(load="on"))
    assert detector.feature_names_in_.tolist() == ["load", "speed"]


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([1.0, np.inf, 2.0], "infinity at point 1: make it NaN"),
        ([[0.0, 1.0]] * 3, r"2 channels, but the detector was fitted on 1"),
        (np.zeros((2, 20, 1)), "Pass several series as a list"),
        (["a", "b"], "Convert your data to numeric"),
        ([], "0 sample"),
        ([waves(20), []], "0 sample"),
    ],
)
def test_what_cannot_be_scored_is_refused(detector, x, message):
    x = np.array(x) if message.startswith("2 channels") else x
    with pytest.raises(ValueError, match=message):
        detector.score_samples(x)
    if not message.startswith("0"):
        with pytest.raises(ValueError, match=message):
            detector.stream().update(x)


def test_pipelines_are_refused(detector):
    pipeline = tf.data.Dataset.from_tensor_slices(waves(60)).batch(10)
    for method in (detector.fit, detector.score_samples, detector.stream().update):
        with pytest.raises(ValueError, match=r"not a pipeline.*`stream\(\)`"):
            method(pipeline)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (waves(7), r"no window of 16 points .* longest series for training has 4.*longer series"),
        (np.full((200, 1), np.nan), r"Channels \[0\] have no values"),
        (np.where(np.arange(200)[:, None] % 8, np.nan, 1.0), "no window of 16 points"),
        ([waves(100), waves(100, 2)], "2 channels, but the detector was fitted on 1"),
        ([1.0, np.inf] * 30, "infinity at point 1"),
    ],
)
def test_what_cannot_be_fitted_is_refused(x, message):
    detector = SeriesAnomalyDetector(**QUICK)
    with pytest.raises(ValueError, match=message):
        detector.fit(x)
    with pytest.raises(NotFittedError):
        detector.score_samples(waves(20))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"window": 1}, "`window` must be an integer, 2 or more"),
        ({"stride": 17}, "`stride` must be an integer from 1 to the window's 16"),
        ({"fpr": 0.0}, "`fpr` must be between 0 and 1"),
        ({"contamination": 0.7}, "`contamination`"),
        ({"noise_levels": (0.1, 0.1)}, "`noise_levels`"),
        ({"scaler": "standart"}, "standard"),
        ({"model": "denoising_mpl"}, "denoising_mlp"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        SeriesAnomalyDetector(**{**QUICK, **arguments}).fit(waves(100))
    with pytest.raises(TypeError, match="the name of a zoo model"):
        SeriesAnomalyDetector(autoencoders.get("ae_mlp", input_shape=(16, 1))).fit(waves(100))


def test_too_few_calibration_points_flag_nothing():
    detector = SeriesAnomalyDetector(**{**QUICK, "fpr": 0.001})
    with pytest.warns(UserWarning, match=r"Of 300 points 150 .* needs 999.*flags nothing"):
        detector.fit(waves(300))
    assert (detector.predict(100 * waves(100)) == 1).all()
    assert detector.intervals(100 * waves(100)) == []
    with pytest.raises(ValueError, match="needs 999 calibration points or more; got 100"):
        detector.calibrate(waves(100))
