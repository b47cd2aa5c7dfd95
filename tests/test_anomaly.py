"""`AnomalyDetector`: scores against their formulas, decisions, saving, and what goes wrong."""

import json
import os
import random
import subprocess
import sys
import tracemalloc
import zipfile
from contextlib import contextmanager
from dataclasses import FrozenInstanceError
from functools import cache

import keras
import numpy as np
import pandas
import polars
import pytest
import tensorflow as tf
from scipy.sparse import csr_matrix
from scipy.spatial.distance import mahalanobis
from sklearn.base import clone
from sklearn.covariance import LedoitWolf
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score

import autoencoders
from autoencoders import AnomalyDetector, losses
from autoencoders.anomaly.ensemble import DenoisingEnsemble
from autoencoders.anomaly.training import even_batches

# TensorFlow says so of the functions that read data, which never are programs of ours.
pytestmark = pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental_run_func")

RNG = np.random.default_rng(0)
TINY = {"latent_dim": 4, "hidden_units": ()}  # where it does not matter what the network learns
SMALL = {"latent_dim": 4, "hidden_units": (16,)}
WIDER = {"latent_dim": 16, "hidden_units": (64,)}


def table(rows, seed, columns=6):
    """Rows on a plane, with a little noise."""
    rng = np.random.default_rng(seed)
    plane = np.random.default_rng(99).normal(size=(2, columns))
    return rng.normal(size=(rows, 2)) @ plane * 10 + rng.normal(size=(rows, columns)) + 100


def detector(model="denoising_mlp", **options):
    options = {"epochs": 2, "noise_levels": (0.25, 1.0), "random_state": 0, **options}
    if isinstance(model, str):
        options.setdefault("model_params", TINY)
    return AnomalyDetector(model, **options)


def vae(**options):
    params = {**TINY, "likelihood": "gaussian"}
    return detector("vae_mlp", model_params=params, **options)


def assert_said_here(warned, message):
    """A warning names the line that fits a detector, not one of the package."""
    assert {each.filename for each in warned if message in str(each.message)} == {__file__}


@contextmanager
def step_by_step():
    """Training without a program: a few steps take less time than making one.

    Tests of training itself train with programs.
    """
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


@pytest.fixture
def few_steps():
    with step_by_step():
        yield


@cache
def ready(make, score):
    """A detector for tests that leave it as it is, fitted on `table(200, 1)`."""
    with step_by_step():
        return make(score=score).fit(table(200, 1))


@pytest.fixture(scope="module")
def fitted():
    return detector(model_params=SMALL).fit(table(400, 1))


@pytest.fixture
def lent(fitted):
    """The same detector, to be calibrated anew: afterwards it is as it was."""
    before = dict(fitted.__dict__)
    yield fitted
    fitted.__dict__.clear()
    fitted.__dict__.update(before)


@pytest.fixture(scope="module")
def well_fitted():
    return detector(epochs=150, model_params=WIDER).fit(table(400, 1))


# Scores -------------------------------------------------------------------------------------------


def test_multi_scale_score_is_its_formula(fitted):
    x, train = table(50, 2), table(400, 1)
    rows = np.sort(np.random.default_rng(0).permutation(400)[40:])  # 40 are held back
    mean, std = train[rows].mean(axis=0), train[rows].std(axis=0)
    scaled, scaled_train = ((part - mean) / std for part in (x, train[rows]))
    noise = np.random.default_rng(0)
    expected = 0.0
    for member, level in zip(fitted.model_.members, (0.25, 1.0), strict=True):
        draw = level * noise.standard_normal(6)

        def errors(rows, member=member, draw=draw):
            noisy = [np.asarray(member(rows + shift)) for shift in (0, draw, -draw)]
            return np.mean([(rows - output) ** 2 for output in noisy], axis=(0, 2))

        own = errors(scaled_train)
        expected = expected - np.log(errors(scaled) / own.mean()) / np.log(own).std()
    np.testing.assert_allclose(fitted.score_samples(x), expected, rtol=1e-3, atol=1e-3)


def test_anomalies_score_lower(well_fitted):
    off_plane = table(100, 3) + RNG.normal(size=(100, 6)) * 6
    scores = well_fitted.score_samples(np.concatenate([table(100, 2), off_plane]))
    assert roc_auc_score(np.repeat([1, 0], 100), scores) > 0.95


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (detector, ["multi_scale", "reconstruction_error"]),
        (
            vae,
            ["reconstruction_probability", ("reconstruction_error", "reconstruction_probability")],
        ),
    ],
)
def test_contributions_add_up_to_the_score(make, names):
    x = np.concatenate([table(30, 2), 100 + 1e4 * RNG.normal(size=(5, 6))])
    for name in names:
        found = ready(make, name)
        scores = found.score_samples(x)
        contributions = found.explain(x)
        assert contributions.shape == x.shape
        assert (np.abs(contributions.sum(axis=1) - scores) <= 1e-5 * (1 + np.abs(scores))).all()


def test_the_feature_that_is_off_explains_the_score(well_fitted):
    x = table(100, 2)
    off = RNG.integers(0, 6, 100)
    x[np.arange(100), off] += 15.0
    assert np.mean(well_fitted.explain(x).argmin(axis=1) == off) > 0.8


def test_images_are_explained_by_maps(few_steps):
    images = RNG.uniform(size=(60, 8, 8, 1))
    found = detector("ae_conv", model_params={"filters": (4,), "latent_dim": 3}).fit(images)
    maps = found.explain(images[:5])
    assert maps.shape == (5, 8, 8, 1)
    np.testing.assert_allclose(maps.sum(axis=(1, 2, 3)), found.score_samples(images[:5]), rtol=1e-5)
    noisy = detector("ae_conv", score="multi_scale", model_params={"filters": (4,)}).fit(images)
    np.testing.assert_allclose(
        noisy.explain(images).sum(axis=(1, 2, 3)), noisy.score_samples(images), rtol=1e-5, atol=1e-5
    )


def test_reconstruction_error_is_the_models():
    found = ready(detector, "reconstruction_error")
    x = table(20, 2)
    scaled = ((x - found.fitted_.scaler.center) / found.fitted_.scaler.scale).astype("float32")
    np.testing.assert_allclose(
        found.score_samples(x), -found.model_.reconstruction_error(scaled), rtol=1e-5
    )


def test_reconstruction_probability_of_one_code_is_the_likelihood():
    model = autoencoders.get("ae_mlp", input_shape=(6,), **SMALL)
    model = autoencoders.Autoencoder(model.encoder, model.decoder, likelihood=losses.Gaussian(0.5))
    model.build((None, 6))
    found = detector(model, score="reconstruction_probability", epochs=0).fit(table(100, 1))
    x = table(20, 2).astype("float32")
    error = ((x - model.predict(x, verbose=0)) ** 2).sum(axis=1)
    expected = 0.5 * error / 0.25 + 6 * np.log(0.5 * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(-found.score_samples(x), expected, rtol=1e-4)


def test_elbo_is_what_the_model_evaluates():
    found = vae(score="elbo", epochs=20, scaler=None).fit(table(300, 1) / 10 - 10)
    x = table(2000, 2) / 10 - 10
    logs = found.model_.evaluate(x.astype("float32"), batch_size=500, verbose=0, return_dict=True)
    loss = logs["loss"]
    assert np.mean(-found.score_samples(x)) == pytest.approx(loss, rel=0.02)
    # Each row's: its expected likelihood by quadrature-like averaging, and the KL in closed form.
    mean, log_variance = found.model_.posterior(x[:3].astype("float32"))
    kl = 0.5 * (np.exp(log_variance) + mean**2 - 1 - log_variance).sum(axis=1)
    probability = AnomalyDetector(found.model_, score="reconstruction_probability")
    probability.calibrate(table(300, 1) / 10 - 10)
    expected = kl - probability.score_samples(x[:3])
    np.testing.assert_allclose(-found.score_samples(x[:3]), expected, rtol=1e-5)


def test_mahalanobis_is_the_distance_of_codes(few_steps):
    found = detector("ae_mlp", score="mahalanobis", contamination=0.1, scaler=None, epochs=3)
    train, x = table(200, 1) / 10 - 10, table(20, 2) / 10 - 10
    found.fit(train)
    codes = found.model_.encode(train.astype("float32"))
    fit = LedoitWolf().fit(codes.astype("float64"))
    inverse = np.linalg.inv(fit.covariance_)
    expected = [
        mahalanobis(code, fit.location_, inverse) ** 2
        for code in found.model_.encode(x.astype("float32"))
    ]
    np.testing.assert_allclose(-found.score_samples(x), expected, rtol=1e-3)


def test_several_scores_are_added_over_their_deviations(few_steps):
    train, x = table(200, 1), table(20, 2)
    names = ("reconstruction_error", "mahalanobis")
    options = {"contamination": 0.1, "random_state": 0}
    single = [detector("ae_mlp", score=name, **options).fit(train) for name in names]
    both = detector("ae_mlp", score=names, **options).fit(train)
    expected = sum(d.score_samples(x) / d.score_samples(train).std() for d in single)
    np.testing.assert_allclose(both.score_samples(x), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["elbo", "mahalanobis", ("reconstruction_error", "mahalanobis")])
def test_scores_of_the_code_say_that_they_have_no_contributions(name):
    found = ready(vae, name)
    with pytest.raises(ValueError, match="not a sum over features"):
        found.explain(table(5, 2))


@pytest.mark.parametrize(
    "name", ["multi_scale", "elbo", "reconstruction_probability", "mahalanobis"]
)
def test_a_score_depends_on_its_row_alone_and_repeats(name):
    found = ready(detector if name == "multi_scale" else vae, name)
    x = table(1500, 2)
    scores = found.score_samples(x)
    np.testing.assert_array_equal(found.score_samples(x), scores)
    np.testing.assert_array_equal(found.score_samples(x[700:703]), scores[700:703])
    np.testing.assert_array_equal(found.score_samples(x[::-1])[::-1], scores)
    assert scores.dtype == "float64"


def test_scores_far_away_are_finite_and_low():
    far = np.full((1, 6), 1e300)
    for found in (ready(detector, "multi_scale"), ready(vae, "elbo")):
        score = found.score_samples(far)
        assert np.isfinite(score).all()
        assert score < found.score_samples(table(100, 2)).min()
        assert found.predict(far) == -1


def test_unsuitable_models_and_scores_are_refused(few_steps):
    x = table(50, 1)
    with pytest.raises(ValueError, match="Did you mean 'mahalanobis'"):
        detector(score="mahalanobi").fit(x)
    with pytest.raises(ValueError, match="has no likelihood"):
        detector("ae_mlp", score="reconstruction_probability").fit(x)
    with pytest.raises(ValueError, match="no posterior"):
        detector("dvae_mlp", score="elbo", model_params={}, scaler="minmax").fit(x)
    for score in ((), None, ("multi_scale", "mahalanobis")):
        with pytest.raises(ValueError, match="`score`"):
            detector(score=score).fit(x)
    with pytest.raises(ValueError, match="takes labels"):
        detector("cvae_mlp", model_params={"num_classes": 2}, scaler="minmax").fit(x)
    with pytest.raises(ValueError, match="several noise levels"):
        detector("aae_mlp", score="multi_scale", model_params={}).fit(x)
    with pytest.raises(ValueError, match="networks of its own"):
        detector(autoencoders.get("ae_mlp", input_shape=(6,)), score="multi_scale").fit(x)


# Decisions ----------------------------------------------------------------------------------------


def test_false_positive_rate_on_fresh_rows(lent):
    """Over 100 calibrations of one detector, each with rows of its own."""
    rates = []
    for seed in range(100):
        lent.calibrate(table(60, 1000 + seed), fpr=0.05)
        rates.append(np.mean(lent.predict(table(100, 5000 + seed)) == -1))
    error = np.std(rates) / 10
    assert abs(np.mean(rates) - 3 / 61) < 3 * error  # the rate that 60 rows allow


def test_p_values_decide(lent):
    x = np.concatenate([table(200, 2), table(20, 3) + RNG.normal(size=(20, 6)) * 50])
    lent.calibrate(table(500, 4))
    p = lent.p_values(x)
    np.testing.assert_allclose(p * 501, np.round(p * 501))
    np.testing.assert_array_equal(lent.predict(x) == -1, p <= 0.05)
    np.testing.assert_array_equal(lent.decision_function(x) < 0, p <= 0.05)
    found = lent.predict(x, fdr=0.1)
    assert set(found) == {-1, 1}
    assert (found[200:] == -1).mean() > 0.9


def test_contamination_is_the_share_of_training_rows(few_steps):
    x = table(200, 1)
    found = detector(contamination=0.1).fit(x)
    assert (found.predict(x) == -1).sum() == 20
    assert found.offset_ == pytest.approx(np.percentile(found.score_samples(x), 10))
    assert found.calibration_scores_ is None
    with pytest.raises(ValueError, match="need calibration rows"):
        found.predict(x, fdr=0.1)
    found.calibrate(table(100, 2), fpr=0.1)  # from now on it decides by normal rows
    assert len(found.p_values(x)) == 200


def test_too_few_rows_for_the_rate_flag_nothing(few_steps):
    x = table(40, 1)
    found = detector(fpr=0.01)
    with pytest.warns(UserWarning, match=r"20 are held back .* needs 99: .*198 rows") as warned:
        found.fit(x)
    assert_said_here(warned, "are held back")
    far = np.full((3, 6), 1e6)
    assert (found.predict(far) == 1).all()
    with pytest.warns(UserWarning, match="3 of 3 rows score below all 20 .* takes 99"):
        assert (found.predict(far, fdr=0.01) == 1).all()
    with pytest.raises(ValueError, match="needs 99 calibration rows or more; got 98"):
        found.calibrate(table(98, 2), fpr=0.01)
    assert (found.calibrate(table(99, 2), fpr=0.01).predict(far) == -1).all()


def test_enough_rows_are_held_back_where_there_are(few_steps):
    assert len(detector().fit(table(40, 1)).calibration_scores_) == 19  # what fpr=0.05 needs
    assert len(detector().fit(table(300, 1)).calibration_scores_) == 30
    assert len(detector(calibration_size=0.4).fit(table(200, 1)).calibration_scores_) == 80


def test_calibrating_on_rows_all_alike_flags_none_of_them(lent):
    same = np.repeat(table(1, 5), 50, axis=0)
    assert (lent.calibrate(same).predict(same) == 1).all()


# Models -------------------------------------------------------------------------------------------


def test_a_trained_model_is_calibrated_as_it_is():
    x = table(300, 1).astype("float32") / 10 - 10
    model = autoencoders.get("ae_mlp", input_shape=(6,), **SMALL)
    model.fit(x, batch_size=100, epochs=3, verbose=0)
    weights = model.get_weights()
    found = AnomalyDetector(model).calibrate(x[200:], fpr=0.05)
    errors = model.reconstruction_error(x)
    np.testing.assert_allclose(found.score_samples(x), -errors, rtol=1e-5)
    assert (found.predict(x[200:]) == -1).sum() == 4  # 5 of 101, less the row itself
    with pytest.warns(UserWarning, match="was trained before") as warned:
        AnomalyDetector(model).fit(x)  # no more
    assert_said_here(warned, "was trained before")
    fitted = AnomalyDetector(model, epochs=1).fit(x)  # a copy goes on
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    assert fitted.model_.epochs_trained == 4
    with pytest.raises(ValueError, match="learns from training rows"):
        AnomalyDetector(model, score="mahalanobis").calibrate(x)
    with pytest.raises(NotFittedError):
        AnomalyDetector().calibrate(x)
    with pytest.warns(UserWarning, match="was trained before"):
        again = AnomalyDetector(model, score="mahalanobis").fit(x)
    assert again.provenance_["training_steps"] == 0
    model.fit(x, batch_size=100, epochs=1, verbose=0)  # which changes no detector
    np.testing.assert_allclose(found.score_samples(x), -errors, rtol=1e-5)


def test_a_pretrained_model_counts_as_trained():
    model = autoencoders.get("ae_mlp", weights="digits")
    images = autoencoders.datasets.digits()[0][0][:200]
    for given in (model, clone(AnomalyDetector(model)).model):
        assert given.trained
        with pytest.warns(UserWarning, match="was trained before"):
            found = AnomalyDetector(given, score="mahalanobis").fit(images)
        np.testing.assert_array_equal(found.model_.get_weights()[0], model.get_weights()[0])
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        AnomalyDetector(autoencoders.get("vae_mlp", weights="digits")).calibrate(images * 255)


def test_rows_outside_the_range_of_a_likelihood_are_improbable(few_steps):
    x = RNG.uniform(size=(300, 6))
    params = {**TINY, "likelihood": "bernoulli"}
    for name in ("reconstruction_probability", "elbo"):
        found = detector("vae_mlp", score=name, model_params=params, epochs=5).fit(x)
        far = np.outer([1.5, 3.0, 10.0, 100.0], np.ones(6))
        scores = found.score_samples(far)
        assert (np.diff(scores) < 0).all()
        assert (found.predict(far) == -1).all()
        inside = found.score_samples(x)
        assert scores.max() < inside.min()


def test_units_far_from_zero_are_kept_without_a_scaler():
    x = (RNG.normal(size=(50, 6)) * 1e7 + 1.7e9).astype("float32")
    model = autoencoders.get("ae_mlp", input_shape=(6,), **SMALL)
    found = AnomalyDetector(model).calibrate(x)
    np.testing.assert_allclose(found.score_samples(x), -model.reconstruction_error(x), rtol=1e-4)


def test_a_score_is_the_one_that_was_fitted(few_steps, tmp_path):
    x = table(100, 1)
    found = vae(score="reconstruction_error").fit(x)
    scores = found.score_samples(x)
    found.set_params(score="mahalanobis").save(tmp_path / "d.keras")
    for each in (found, autoencoders.load(tmp_path / "d.keras")):
        np.testing.assert_array_equal(each.score_samples(x), scores)
        assert each.explain(x).shape == x.shape


def test_training_goes_on_with_what_was_fitted_and_on_the_same_rows(few_steps):
    x = table(300, 1)
    found = detector(warm_start=True).fit(x)
    with pytest.warns(UserWarning, match="other ones are held back") as warned:
        found.fit(table(310, 1))
    assert_said_here(warned, "other ones are held back")
    assert found.provenance_["training_steps"] == 2 * 2 + 2 * 2
    assert found.provenance_["calibrated_on"] == 31
    with pytest.raises(ValueError, match=r"'noise_levels'.* have changed"):
        found.set_params(noise_levels=(0.5,)).fit(x)
    array = detector(warm_start=True, noise_levels=np.array([0.5, 1.0])).fit(x).fit(x)
    assert array.model_.epochs_trained == 4


def test_an_interrupted_fit_leaves_the_detector_as_it_was(few_steps, monkeypatch):
    x = table(200, 1)
    found = detector(warm_start=True).fit(x)
    before, scores = dict(found.__dict__), found.score_samples(x)

    def interrupted(score, over_rows):
        raise KeyboardInterrupt

    monkeypatch.setattr("autoencoders.anomaly.scores.MultiScale.learn", interrupted)
    with pytest.raises(KeyboardInterrupt):
        found.fit(x)
    assert found.__dict__ == before
    np.testing.assert_array_equal(found.score_samples(x), scores)
    unfitted = AnomalyDetector(autoencoders.get("ae_mlp", input_shape=(6,), **SMALL))
    with pytest.raises(ValueError, match="needs 99"):
        unfitted.calibrate(x[:5], fpr=0.01)
    with pytest.raises(NotFittedError):
        unfitted.predict(x)


def test_what_was_fitted_is_one_value(lent):
    before, scores = lent.fitted_, lent.calibration_scores_
    lent.calibrate(table(60, 3), fpr=0.1)
    assert lent.fitted_ is not before
    assert before.calibration_scores is scores
    lent.offset_ = -np.inf
    assert (lent.predict(np.full((1, 6), 1e6)) == 1).all()
    with pytest.raises(FrozenInstanceError):
        before.offset = 0.0
    assert not hasattr(detector(), "offset_")
    with pytest.raises(NotFittedError):
        _ = detector().fitted_


def test_a_model_without_finite_errors_is_refused():
    model = autoencoders.get("ae_mlp", input_shape=(6,), **SMALL)
    model.set_weights([np.full_like(w, np.nan) for w in model.get_weights()])
    with pytest.raises(ValueError, match="no finite errors"):
        AnomalyDetector(model).calibrate(table(100, 1))


def test_held_back_rows_were_not_trained_on():
    """Half of the held-back rows are unlike the others: were they trained on, none were flagged."""
    x = table(300, 1)
    seed = 0
    held_back = np.sort(np.random.default_rng(seed).permutation(300)[:30])
    odd = x.copy()
    odd[held_back[::2]] += 300.0
    found = detector(epochs=20, model_params=SMALL).fit(odd)
    assert np.median(found.calibration_scores_[:15]) < np.median(found.calibration_scores_[15:]) - 5
    center = np.delete(odd, held_back, axis=0).mean(axis=0)
    np.testing.assert_allclose(found.fitted_.scaler.center, center)


@pytest.mark.parametrize("count", [1, 50, 127, 191, 192, 300, 997, 12345])
def test_batches_are_even_and_leave_few_rows_over(count):
    size, used = even_batches(count)
    assert used % size == 0
    assert count - used < max(1, count / 100)
    assert size <= 192
    assert size >= min(count, 85)


def test_an_untrained_model_is_trained():
    x = table(300, 1)
    model = autoencoders.get("ae_mlp", input_shape=(6,), **SMALL)
    found = AnomalyDetector(model, scaler="standard").fit(x)
    assert found.provenance_["training_steps"] == 3000
    assert found.score_samples(x).mean() > -0.2


def test_series_images_and_ranges(few_steps):
    series = RNG.normal(size=(60, 12, 2))
    params = {"units": (8,), "latent_dim": 3}
    assert detector("ae_lstm", model_params=params).fit(series).predict(series).shape == (60,)
    images = RNG.uniform(size=(60, 8, 8, 1)) * 255.0
    found = detector("vae_conv", model_params={"filters": (4,), "latent_dim": 2}).fit(images)
    assert found.fitted_.scaler.scale == pytest.approx(255.0, rel=0.01)  # to the likelihood's range
    for name in ("ae_mlp", "vae_mlp"):
        assert detector(name, model_params=None).fit(table(50, 1)).model_.latent_shape == (3,)


def test_padding_does_not_count(few_steps):
    series = RNG.normal(size=(60, 10, 2)).astype("float32")
    params = {"units": (6,), "latent_dim": 3, "mask_value": -1e3}
    for score in ("reconstruction_error", "multi_scale"):
        found = detector("ae_lstm", score=score, noise_levels=(0.5,), model_params=params).fit(
            np.where(np.arange(10)[:, None] < RNG.integers(5, 11, (60, 1, 1)), series, -1e3)
        )
        assert np.abs(found.fitted_.scaler.center).max() < 1
        padded = series.copy()
        padded[:, 6:] = -1e3
        contributions = found.explain(padded)
        if score == "reconstruction_error":
            assert (contributions[:, 6:] == 0).all()
            scaled = found.fitted_.scaler(padded)
            squares = (scaled - np.asarray(found.model_(scaled))) ** 2
            expected = -squares[:, :6].mean(axis=(1, 2))
            np.testing.assert_allclose(found.score_samples(padded), expected, rtol=1e-4)
        total = contributions.sum(axis=(1, 2))
        np.testing.assert_allclose(total, found.score_samples(padded), rtol=1e-5, atol=1e-5)


def test_ensemble_members_train_as_they_would_alone():
    """One optimizer over all members gives each the update that its own would give it."""
    x = table(64, 1).astype("float32") / 10 - 10
    ensemble = DenoisingEnsemble.of("denoising_mlp", (0.5, 2.0), input_shape=(6,), **SMALL)
    alone = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(ensemble.members[1])
    )
    alone.build((None, 6))
    alone.set_weights(ensemble.members[1].get_weights())
    state = ensemble.members[1].corruption.seed_generator.state
    alone.corruption.seed_generator.state.assign(state)
    for model in (ensemble, alone):
        model.compile("adam", run_eagerly=True)
        model.fit(x, batch_size=64, epochs=3, shuffle=False, verbose=0)
    for a, b in zip(
        ensemble.members[1].decoder.get_weights(), alone.decoder.get_weights(), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert {"noise_0.5_reconstruction_loss", "noise_2_reconstruction_loss"} < set(
        ensemble.evaluate(x, verbose=0, return_dict=True)
    )


def test_random_state_is_the_only_randomness():
    x = table(100, 1)
    random.seed(5)
    state, numpy_state = random.getstate(), np.random.get_state()[1].copy()
    first = detector().fit(x).score_samples(x)
    assert random.getstate() == state
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)
    keras.utils.set_random_seed(9)
    np.testing.assert_array_equal(detector().fit(x).score_samples(x), first)
    with step_by_step():
        other = detector(random_state=1).fit(x).score_samples(x)
        generators = [np.random.RandomState(3), np.random.RandomState(3)]
        one, two = (detector(random_state=g).fit(x).score_samples(x) for g in generators)
    assert not np.allclose(other, first)
    np.testing.assert_array_equal(one, two)


# Saving -------------------------------------------------------------------------------------------


KINDS = ("multi_scale", "sum", "given model")


@pytest.fixture(scope="module")
def reloaded(tmp_path_factory):
    """Detectors by kind; and in a folder for each its file, and what a fresh process made of it.

    One process for all of them, since it takes long to start.
    """
    folder = tmp_path_factory.mktemp("detectors")
    x = pandas.DataFrame(table(200, 1), columns=list("abcdef"))
    model = autoencoders.get("ae_mlp", input_shape=(6,), **SMALL)
    with step_by_step():
        found = {
            "multi_scale": detector().fit(x),
            "sum": detector("ae_mlp", score=("reconstruction_error", "mahalanobis")).fit(x),
            "given model": AnomalyDetector(model, epochs=1).fit(x),
        }
    for kind in KINDS:
        (folder / kind).mkdir()
        found[kind].save(folder / kind / "d.keras")
        assert [p.name for p in (folder / kind).iterdir()] == ["d.keras"]
    np.save(folder / "x.npy", x.to_numpy())
    code = (
        "import sys, warnings, numpy as np, autoencoders\n"
        "warnings.simplefilter('ignore'); x = np.load('x.npy')\n"
        "for kind in sys.argv[1:]:\n"
        "    d = autoencoders.load(kind + '/d.keras')\n"
        "    np.savez(kind + '/out.npz', s=d.score_samples(x), p=d.p_values(x), o=d.offset_)\n"
        "    names, score = list(d.feature_names_in_), d.get_params()['score']\n"
        "    print(type(d).__name__, d.provenance_, names, score)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *KINDS],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    said = dict(zip(KINDS, done.stdout.strip().splitlines(), strict=True))
    return x, found, folder, said


@pytest.mark.parametrize("kind", KINDS)
def test_one_file_gives_the_same_detector_in_a_fresh_process(kind, reloaded):
    x, detectors, folder, said = reloaded
    found, folder = detectors[kind], folder / kind
    with zipfile.ZipFile(folder / "d.keras") as archive:
        assert all(name.endswith((".json", ".h5")) for name in archive.namelist())
        json.loads(archive.read("config.json"))
    names = list("abcdef")
    score = found.get_params()["score"]
    assert said[kind] == f"AnomalyDetector {found.provenance_} {names} {score}"
    out = np.load(folder / "out.npz")
    np.testing.assert_array_equal(out["s"], found.score_samples(x))
    np.testing.assert_array_equal(out["p"], found.p_values(x))
    assert out["o"] == found.offset_
    again = keras.saving.load_model(folder / "d.keras")
    np.testing.assert_array_equal(again.score_samples(x), found.score_samples(x))
    if kind != "given model":
        assert again.get_params() == found.get_params()


def test_a_saved_detector_goes_on_training_as_if_it_had_not_stopped(few_steps, tmp_path):
    x = table(200, 1)
    whole = detector(epochs=4).fit(x)
    detector(epochs=1).fit(x).save(tmp_path / "d.keras")
    again = autoencoders.load(tmp_path / "d.keras").set_params(warm_start=True, epochs=3).fit(x)
    np.testing.assert_array_equal(again.score_samples(x), whole.score_samples(x))
    assert again.model_.epochs_trained == 4


def test_saving_needs_a_fitted_detector_and_a_keras_file(fitted, tmp_path):
    with pytest.raises(NotFittedError):
        detector().save(tmp_path / "d.keras")
    with pytest.raises(ValueError, match=r"`\.keras` file"):
        fitted.save(tmp_path / "d.pkl")
    (tmp_path / "bad.keras").write_bytes(b"no archive")
    with pytest.raises(ValueError, match="not a saved model"):
        autoencoders.load(tmp_path / "bad.keras")


# Input --------------------------------------------------------------------------------------------


def test_scikit_learns_own_checks_pass():
    # The smallest network, in steps without a program: the checks fit dozens of detectors, and no
    # two of them share a program.
    code = (
        "import warnings\n"
        "import autoencoders\n"
        "import tensorflow as tf\n"
        "from sklearn.utils.estimator_checks import check_estimator\n"
        "warnings.simplefilter('ignore')\n"
        "tf.config.run_functions_eagerly(True)\n"
        "small = {'hidden_units': (), 'latent_dim': 1}\n"
        "d = autoencoders.AnomalyDetector(epochs=1, noise_levels=(0.5,), model_params=small)\n"
        "found = check_estimator(d, on_fail=None, on_skip=None)\n"
        "for check in found:\n"
        "    if check['status'] != 'passed':\n"
        "        print(check['check_name'], check['status'], check['exception'])\n"
        "print(len(found))"
    )
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment
    )
    *complaints, count = done.stdout.strip().splitlines()
    assert complaints == []
    assert int(count) > 40


@pytest.fixture(scope="module")
def scores_of_an_array():
    with step_by_step():
        return detector().fit(table(60, 1)).score_samples(table(60, 1))


@pytest.mark.parametrize("library", [pandas, polars])
def test_frames(few_steps, scores_of_an_array, library):
    frame = library.DataFrame({name: table(60, 1)[:, i] for i, name in enumerate("abcdef")})
    found = detector().fit(frame)
    assert list(found.feature_names_in_) == list("abcdef")
    np.testing.assert_array_equal(found.score_samples(frame), scores_of_an_array)
    with pytest.raises(ValueError, match="feature names"):
        found.predict(frame[list("bacdef")])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x: np.where(x == x[3, 2], np.nan, x), "contains NaN"),
        (lambda x: np.where(x == x[3, 2], np.inf, x), "infinity"),
        (lambda x: x[:, :5], "5 features"),
        (lambda x: x[:, :, None], "shape"),
        (lambda x: x.astype(str).astype(object) + "?", "could not convert string"),
        (lambda x: x[0], "Expected 2D array|Reshape"),
        (lambda x: csr_matrix(x), "Sparse data|sparse"),
        (lambda x: x[:0], "0 sample"),
    ],
)
def test_bad_rows_are_refused(fitted, spoil, message):
    x = table(20, 2)
    before = dict(fitted.__dict__)
    with pytest.raises((ValueError, TypeError), match=message):
        fitted.score_samples(spoil(x))
    if message == "5 features":
        with pytest.raises(ValueError, match="scaler"):
            clone(fitted).set_params(scaler="standrad").fit(spoil(x))
    elif message != "shape":
        with pytest.raises((ValueError, TypeError), match=message):
            fitted.fit(spoil(x))
    assert fitted.__dict__ == before  # a detector that was there is still there


def test_one_row():
    with pytest.raises(ValueError, match="minimum of 2"):
        detector().fit(table(1, 1))


def test_constant_columns_and_rows_all_alike():
    x = table(100, 1)
    x[:, 2] = 7.0
    found = detector(epochs=100, model_params=SMALL).fit(x)
    changed = x.copy()
    changed[:, 2] = 12.0
    assert np.isfinite(found.score_samples(x)).all()
    assert (found.predict(changed) == -1).mean() > 0.9
    with step_by_step():
        alike = detector().fit(np.ones((50, 4)))
    assert (alike.predict(np.ones((5, 4))) == 1).all()
    assert (alike.predict(np.full((5, 4), 9.0)) == -1).all()


@pytest.mark.parametrize(
    "options",
    [
        {"contamination": 0.6},
        {"contamination": "some"},
        {"fpr": 0.0},
        {"fpr": "low"},
        {"calibration_size": 1.0},
        {"epochs": -1},
        {"epochs": 1.5},
        {"batch_size": 0},
        {"noise_levels": (0.1, -1.0)},
        {"noise_levels": ()},
        {"scaler": "standrad"},
        {"model": "denoisin_mlp"},
    ],
)
def test_bad_arguments_are_named(options):
    ((name, _),) = options.items()
    with pytest.raises(ValueError, match="model" if name == "model" else name):
        detector(**options).fit(table(40, 1))


def test_mapped_files_and_pipelines(fitted, tmp_path):
    x = table(3000, 2)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    pipeline = tf.data.Dataset.from_tensor_slices(x).batch(70)
    scores = fitted.score_samples(x)
    for rows in (mapped, pipeline, tf.data.Dataset.zip(pipeline, pipeline)):
        np.testing.assert_array_equal(fitted.score_samples(rows), scores)
    one_level = {"noise_levels": (0.5,)}
    expected = detector(**one_level).fit(x).score_samples(x[:100])
    for rows in (mapped, pipeline):
        found = detector(**one_level).fit(rows)
        np.testing.assert_array_equal(found.score_samples(x[:100]), expected)
    with pytest.raises(ValueError, match="never ends"):
        fitted.predict(pipeline.repeat())
    with pytest.raises(ValueError, match="Rows 70 to 139 of the pipeline hold NaN"):
        fitted.predict(
            tf.data.Dataset.from_tensor_slices(np.where(x == x[70], np.nan, x)).batch(70)
        )
    with pytest.raises(ValueError, match=r"shape \(5,\)"):
        fitted.predict(tf.data.Dataset.from_tensor_slices(x[:, :5]).batch(70))
    with pytest.raises(ValueError, match="must give batches of rows"):
        fitted.predict(tf.data.Dataset.from_tensor_slices(["a"]).batch(1))


def test_scoring_a_large_file_takes_little_memory(fitted, tmp_path):
    rows = 2_000_000
    mapped = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", "float32", (rows, 6))
    mapped[::1000] = table(rows // 1000, 3)
    tracemalloc.start()
    try:
        scores = fitted.score_samples(mapped)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(scores) == rows
    assert peak < 3 * scores.nbytes + 2**24  # 48 MB of rows, never held as doubles


def test_it_is_a_scikit_learn_estimator(fitted):
    copied = clone(fitted)
    assert copied.get_params() == fitted.get_params()
    assert "score='elbo'" in repr(copied.set_params(score="elbo"))
    assert copied.get_params()["score"] == "elbo"
    assert fitted.score(table(20, 2)) == pytest.approx(fitted.score_samples(table(20, 2)).mean())
    with pytest.raises(NotFittedError):
        copied.predict(table(5, 1))
