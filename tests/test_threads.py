"""What runs in two threads at once gives what it gives alone."""

import random
import sys
import threading

import numpy as np
import pytest

import autoencoders
from autoencoders.training import state

DETECTOR = {
    "epochs": 1,
    "random_state": 1,
    "noise_levels": (1.0,),
    "model_params": {"hidden_units": (4,)},
}


@pytest.fixture(autouse=True)
def _switch_often():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def together(*functions):
    """What functions return that begin at once, each in a thread of its own."""
    results = {}
    begin = threading.Barrier(len(functions))

    def run(number, function):
        begin.wait()
        results[number] = function()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [results[number] for number in range(len(functions))]


def test_evaluation(digits):
    x = digits[1]
    model = autoencoders.get("vae_mlp", input_shape=(8, 8, 1), hidden_units=(16,))
    alone = model.evaluate(x, verbose=0)
    before = state.snapshot(model)
    for _ in range(10):
        assert together(*2 * [lambda: model.evaluate(x, verbose=0)]) == [alone, alone]
        np.testing.assert_array_equal(state.snapshot(model), before)


def test_a_detector_with_a_seed_is_the_same_beside_other_threads():
    """Which draw from Python's generator all the time, as `get` does."""
    rows = np.random.default_rng(0).normal(size=(60, 4)).astype("float32")

    def fitted():
        return autoencoders.AnomalyDetector(**DETECTOR).fit(rows).score_samples(rows)

    def build():
        return [autoencoders.get("ae_mlp", input_shape=(4,)).name for _ in range(10)]

    alone = fitted()
    for _ in range(3):
        np.testing.assert_array_equal(together(fitted, build, build)[0], alone)


def _sample():
    model = autoencoders.get("vae_mlp", weights="digits")
    return lambda: model.sample(3, seed=1)


def _fit_prior(**arguments):
    name = "vq_vae_mlp" if arguments else "vae_mlp"
    model = autoencoders.get(name, weights="digits")
    x = autoencoders.datasets.digits()[0][0][:200]

    def fit():
        model.fit_prior(x, seed=1, **arguments)
        return model.sample(2, seed=1)

    return fit


def _perturb():
    model = autoencoders.get("vae_mlp", weights="digits")
    row = autoencoders.datasets.digits()[0][0][:1]
    return lambda: model.perturb(row, samples=2, seed=1)


def _detector():
    rows = np.random.default_rng(0).normal(size=(60, 4)).astype("float32")
    return lambda: autoencoders.AnomalyDetector(**DETECTOR).fit(rows).score_samples(rows)


def _detector_of_another_model():
    rows = np.random.default_rng(0).normal(size=(60, 4)).astype("float32")
    detector = autoencoders.AnomalyDetector("vae_mlp", epochs=1, random_state=1)
    return lambda: detector.fit(rows).score_samples(rows)


def _series_detector():
    series = np.sin(np.arange(400.0))[:, None]
    return lambda: (
        autoencoders.SeriesAnomalyDetector(window=8, epochs=1, random_state=1)
        .fit(series)
        .score_samples(series)
    )


@pytest.mark.parametrize(
    "make", [_sample, _fit_prior, _perturb, _detector, _detector_of_another_model, _series_detector]
)
def test_what_is_given_a_seed_leaves_the_generators_of_the_process_alone(make):
    """It neither reads them nor moves them on."""
    function = make()
    results = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)
        before = random.getstate(), np.random.get_state()[1].tolist()
        results.append(function())
        assert random.getstate() == before[0]
        assert np.random.get_state()[1].tolist() == before[1]
    np.testing.assert_array_equal(*results)
