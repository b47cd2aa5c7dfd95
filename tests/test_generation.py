"""Measures of generated data against closed forms and brute force; the classifiers behind them."""

import json

import numpy as np
import pytest
from scipy.linalg import sqrtm

import autoencoders
from autoencoders import files, registry
from autoencoders.cli.features import features as train_features
from autoencoders.metrics import features, generation

RNG = np.random.default_rng(0)


def _with_moments(n, mean, covariance):
    """Rows with exactly these moments."""
    x = RNG.normal(size=(n, len(mean)))
    x -= x.mean(axis=0)
    root = np.linalg.cholesky(np.atleast_2d(np.cov(x.T)))
    return np.linalg.solve(root, x.T).T @ np.linalg.cholesky(covariance).T + mean


def test_the_frechet_distance_of_known_moments():
    a, b = ((m := RNG.normal(size=(4, 4))) @ m.T + 0.1 * np.eye(4) for _ in range(2))
    mean, other = RNG.normal(size=(2, 4))
    real, generated = _with_moments(50, mean, a), _with_moments(80, other, b)
    expected = ((mean - other) ** 2).sum() + np.trace(a + b - 2 * sqrtm(a @ b).real)
    assert generation.frechet_distance(real, generated) == pytest.approx(expected)
    assert generation.frechet_distance(generated, real) == pytest.approx(expected)
    # Where covariances commute: Σ (σ − σ')².
    real = _with_moments(30, np.zeros(3), np.diag([1.0, 4.0, 9.0]))
    generated = _with_moments(30, np.full(3, 2.0), np.diag([4.0, 4.0, 1.0]))
    assert generation.frechet_distance(real, generated) == pytest.approx(12 + 1 + 0 + 4)


def test_the_frechet_distance_is_stable_where_covariances_are_singular():
    x = RNG.normal(size=(20, 50)).astype("float32")  # fewer rows than features
    assert generation.frechet_distance(x, x) < 1e-9
    assert generation.frechet_distance(x, x + 0.5) == pytest.approx(50 * 0.25, rel=1e-5)
    assert generation.frechet_distance(x, 2 * x + 0.5) == pytest.approx(
        ((x.mean(axis=0) + 0.5) ** 2).sum() + np.cov(x.T).trace(), rel=1e-4
    )
    constant = np.ones((10, 50))  # features that never vary
    assert generation.frechet_distance(constant, constant) == 0.0


def _brute_force(real, generated, k):
    def distance(a, b):
        return np.sqrt(((a - b) ** 2).sum())

    def radius(rows, i):
        return sorted(distance(rows[i], rows[j]) for j in range(len(rows)) if j != i)[k - 1]

    own = [radius(real, i) for i in range(len(real))]
    others = [radius(generated, j) for j in range(len(generated))]
    d = np.array([[distance(a, b) for b in generated] for a in real])
    return {
        "precision": np.mean([any(d[:, j] <= own) for j in range(len(generated))]),
        "recall": np.mean([any(d[i] <= others) for i in range(len(real))]),
        "density": np.mean([sum(d[:, j] < own) for j in range(len(generated))]) / k,
        "coverage": np.mean([min(d[i]) < own[i] for i in range(len(real))]),
    }


@pytest.mark.parametrize("k", [1, 3, 5])
def test_neighbourhoods_against_brute_force(k, monkeypatch):
    real = RNG.normal(size=(40, 3))
    generated = 0.8 * RNG.normal(size=(30, 3)) + 0.5
    expected = _brute_force(real, generated, k)
    assert 0.1 < expected["coverage"] < 0.99
    for chunk_bytes in (2**25, 2000):
        monkeypatch.setattr(generation, "_CHUNK_BYTES", chunk_bytes)
        pair = generation.precision_recall(real, generated, k)
        assert pair == pytest.approx((expected["precision"], expected["recall"]))
        pair = generation.density_coverage(real, generated, k)
        assert pair == pytest.approx((expected["density"], expected["coverage"]))


def test_the_same_rows_and_rows_apart():
    x = RNG.normal(size=(200, 8)).astype("float32") + 100.0  # far from 0, where digits are lost
    assert generation.precision_recall(x, x) == (1.0, 1.0)
    assert generation.density_coverage(x, x) == (1.0, 1.0)
    assert generation.precision_recall(x, x + 50) == (0.0, 0.0)
    assert generation.density_coverage(x, x + 50) == (0.0, 0.0)


def test_an_outlier_makes_no_other_row_precise():
    rng = np.random.default_rng(1)
    real = rng.normal(size=(500, 8))
    apart = rng.normal(size=(500, 8)) + 6.0
    outlier = np.full((1, 8), 1e7)
    for generated in (apart, np.concatenate([apart, outlier])):
        assert generation.precision_recall(real, generated).precision == 0.0
        assert generation.density_coverage(real, generated) == (0.0, 0.0)
    # Nor do real ones lose their neighbourhoods.
    others = rng.normal(size=(500, 8))
    without = generation.density_coverage(real, others)
    with_one = generation.density_coverage(real, np.concatenate([others, outlier]))
    assert with_one.coverage == without.coverage
    assert with_one.density == pytest.approx(without.density * 500 / 501)
    same = np.concatenate([real, outlier])
    assert generation.density_coverage(same, same).coverage == 1.0


def test_nothing_covers_duplicates():
    x = RNG.normal(size=(30, 3))
    x[:6] = x[0]
    assert generation.density_coverage(x, x, k=5).coverage == pytest.approx(24 / 30)


def test_what_the_measures_are_for():
    real = np.concatenate([RNG.normal(size=(300, 2)), RNG.normal(size=(300, 2)) + 20])
    both = np.concatenate([RNG.normal(size=(300, 2)), RNG.normal(size=(300, 2)) + 20])
    one = RNG.normal(size=(600, 2))  # a mode is missing
    assert min(generation.precision_recall(real, both)) > 0.9
    good = generation.density_coverage(real, both)
    assert good.density == pytest.approx(1.0, abs=0.1)
    assert good.coverage > 0.9
    precision, recall = generation.precision_recall(real, one)
    assert precision > 0.9
    assert 0.4 < recall < 0.52
    assert generation.density_coverage(real, one).coverage < 0.52
    # An outlier's neighbourhood is large: it makes false rows precise, but not dense.
    outliers = np.concatenate([RNG.normal(size=(300, 2)), [[20.0, 20.0]]])
    false = RNG.normal(size=(300, 2)) + 12
    assert generation.precision_recall(outliers, false).precision > 0.9
    assert generation.density_coverage(outliers, false).density < 0.25


def test_better_images_have_better_figures(digits):
    x_train, x_test = digits
    model = autoencoders.get("vae_mlp", weights="digits")
    others = generation.evaluate(x_test, x_train[-360:])
    samples = generation.evaluate(x_test, model)
    noise = generation.evaluate(x_test, RNG.uniform(size=x_test.shape).astype("float32"))
    assert list(others) == ["precision", "recall", "density", "coverage", "frechet_distance"]
    for name in ("recall", "coverage"):
        assert others[name] > samples[name] > noise[name]
    assert others["frechet_distance"] < samples["frechet_distance"] < noise["frechet_distance"]
    drawn = model.sample(len(x_test), seed=0)
    assert samples == generation.evaluate(x_test, drawn)
    assert samples == generation.evaluate(x_test, drawn, "digits")
    pixels = generation.evaluate(x_test, drawn, lambda x: x)
    rows = (part.reshape(len(part), -1) for part in (x_test, drawn))
    assert pixels["frechet_distance"] == pytest.approx(generation.frechet_distance(*rows))


def test_features_are_those_of_the_penultimate_layer(digits):
    x = digits[1][:5]
    found = features.extract(x)
    model = features.load(features.folder() / "digits.json")
    kernel, bias = model.get_layer("classes").get_weights()
    np.testing.assert_allclose(
        found @ kernel + bias, model.predict(x, verbose=0), rtol=1e-4, atol=1e-4
    )
    assert found.shape == (5, 64)


@pytest.mark.parametrize("name", ["digits", "mnist"])
def test_cards_of_the_classifiers(name, request):
    card = features.cards()[name]
    file = features.folder() / card["file"]
    assert files.sha256(file) == card["sha256"]
    assert file.stat().st_size == card["size"] <= 500_000
    assert {"dataset", "recipe", "parameters", "classes"} <= set(card)
    request.getfixturevalue(name)  # skips where the data is not at hand
    _, (x, y) = autoencoders.datasets.load(name)
    predicted = features.load(features.folder() / f"{name}.json").predict(x, 500, verbose=0)
    error = (predicted.argmax(axis=1) != y).mean()
    assert error == pytest.approx(card["figures"]["test_error"], abs=2 / len(x))
    assert error < {"digits": 0.07, "mnist": 0.015}[name]


def test_a_folder_of_classifiers_holds_nothing_else():
    files = {path.name for path in features.folder().iterdir()}
    names = features.cards()
    assert files == {f"{name}.{ending}" for name in names for ending in ("json", "npz")}
    assert not set(names) & set(registry.cards())


def test_a_damaged_file_is_not_read(tmp_path):
    for path in (features.folder()).glob("digits.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    damaged = bytearray((tmp_path / "digits.npz").read_bytes())
    damaged[1000] ^= 1
    (tmp_path / "digits.npz").write_bytes(damaged)
    with pytest.raises(ValueError, match="is corrupt"):
        features.extract(np.zeros((1, 8, 8, 1), "float32"), tmp_path / "digits.json")


def test_a_classifier_of_your_own(tmp_path, digits, capsys):
    card = tmp_path / "own.json"
    train_features("digits", save=card, epochs=2, batch_size=32)
    error = float(capsys.readouterr().out.partition("Error on the test set: ")[2].partition("%")[0])
    written = json.loads(card.read_text())
    assert written["figures"]["test_error"] == pytest.approx(error / 100, abs=1e-4)
    assert error < 50
    assert written["recipe"]["epochs"] == 2
    values = generation.evaluate(digits[1][:50], digits[1][:50], card)
    assert values["precision"] == values["coverage"] == 1.0
    with pytest.raises(ValueError, match="exists; delete it"):
        train_features("digits", save=card)
    data = tmp_path / "data.npz"
    data.write_bytes(b"data")
    with pytest.raises(ValueError, match=r"data\.npz exists; delete it"):
        train_features("digits", save=data.with_suffix(".json"))
    assert data.read_bytes() == b"data"
    card.write_text("{}")
    with pytest.raises(ValueError, match=r"own\.json is not a card .* no 'sha256'"):
        features.extract(digits[1][:5], card)
    with pytest.raises(ValueError, match="Say where the result goes"):
        train_features("digits")
    with pytest.raises(ValueError, match=r"takes the \.json file"):
        train_features("digits", save=tmp_path / "own.npz")


def test_bad_arguments(digits):
    x = digits[1][:20]
    with pytest.raises(ValueError, match=r"shape \(5,\), only: 'digits' \(8, 8, 1\)"):
        generation.evaluate(np.zeros((9, 5)), np.zeros((9, 5)))
    with pytest.raises(ValueError, match="Did you mean 'digits'"):
        generation.evaluate(x, x, "digit")
    with pytest.raises(ValueError, match="`generated` must be finite"):
        generation.evaluate(x, np.full_like(x, np.nan))
    with pytest.raises(ValueError, match=r"of the shape of `real`'s, \(8, 8, 1\); got \(9"):
        generation.evaluate(x, np.zeros((20, 9, 9, 1), "float32"))
    with pytest.raises(ValueError, match=r"must give finite features \(n, ...\) of `real`"):
        generation.evaluate(x, x, lambda x: x[0])
    for wrong in (255 * x, 2 * x - 1):
        with pytest.raises(ValueError, match=r"`real` must hold images in \[0, 1\].*`/ 255`"):
            generation.evaluate(wrong, x)
        with pytest.raises(ValueError, match=r"`generated` must hold images in \[0, 1\]"):
            generation.evaluate(x, wrong)
    generation.evaluate(255 * x, 255 * x, lambda x: x)  # a function knows its own range
    with pytest.raises(ValueError, match="`real` is a model"):
        generation.evaluate(autoencoders.get("vae_mlp", weights="digits"), x)
    with pytest.raises(ValueError, match="`seed` must be an integer, 0 or more"):
        generation.evaluate(x, x, seed=-1)
    with pytest.raises(ValueError, match="moments of the features overflow"):
        generation.frechet_distance(1e200 * np.eye(3), np.eye(3))
    with pytest.raises(ValueError, match="no prior to sample from"):
        generation.evaluate(x, autoencoders.get("ae_mlp", weights="digits"))
    rows = RNG.normal(size=(6, 3))
    for measure in (generation.precision_recall, generation.density_coverage):
        with pytest.raises(ValueError, match="`generated` must have 6 rows at least, got 5"):
            measure(rows, rows[:5])
        with pytest.raises(ValueError, match="`k` must be a positive integer"):
            measure(rows, rows, k=0)
    for measure in (generation.precision_recall, generation.frechet_distance):
        with pytest.raises(ValueError, match="as many features as `real`, 3; got 2"):
            measure(rows, rows[:, :2])
        with pytest.raises(ValueError, match="finite features"):
            measure(rows, np.where(rows == rows[0, 0], np.nan, rows))
        with pytest.raises(ValueError, match=r"`generation\.evaluate` takes images"):
            measure(x, x)
