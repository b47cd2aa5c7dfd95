"""Disentanglement scores: perfect, entangled and random codes, closed forms, invariances."""

import keras
import numpy as np
import pytest
from scipy import integrate, stats
from sklearn.base import BaseEstimator
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.metrics import mutual_info_score
from sklearn.tree import DecisionTreeClassifier

import autoencoders
from autoencoders import datasets, metrics
from autoencoders.metrics.disentanglement import classifiers

SIZES = (3, 4, 5)
# As by default, but for less of it.
BOOSTING = GradientBoostingClassifier(n_estimators=10, learning_rate=0.5, random_state=0)


class Grid:
    """A source of factors whose images are the factors themselves."""

    factor_sizes = SIZES

    def sample(self, n, rng):
        return np.random.default_rng(rng).integers(self.factor_sizes, size=(n, len(SIZES)))

    def images(self, factors):
        return factors.astype("float32")


def _grid(repeats=20):
    """All combinations, equally often: the factors are exactly independent."""
    return np.tile(np.indices(SIZES).reshape(3, -1).T, (repeats, 1))


def _spread(factors):
    """Perfect codes: permuted, rescaled, shifted, one turned round, beside one that is constant."""
    scaled = factors[:, [2, 0, 1]] * np.array([100.0, -3.0, 0.5]) + np.array([7.0, 0.0, -50.0])
    return np.concatenate([scaled, np.full((len(factors), 1), 3.0)], axis=1)


ROTATION = np.linalg.qr(np.array([[1.0, 1.0, 1.0], [1.0, -1.0, 0.2], [1.0, 0.3, -1.0]]))[0]


def _entangled(factors):
    return (factors - factors.mean(axis=0)) / factors.std(axis=0) @ ROTATION


def _array_scores(codes, factors):
    return {
        "mig": metrics.mig(codes, factors),
        "sap": metrics.sap(codes, factors),
        "modularity": metrics.modularity(codes, factors),
        **metrics.dci(codes, factors, estimator=BOOSTING),
    }


# FactorVAE ----------------------------------------------------------------------------------------


def _factor_vae(encode, **options):
    few = {"votes": 500, "evaluation_votes": 500, "variance_rows": 2000, **options}
    return metrics.factor_vae_score(encode, Grid(), **few)


def test_factor_vae_of_perfect_entangled_and_random_codes():
    assert _factor_vae(lambda x: x) == 1.0
    assert _factor_vae(_spread) == 1.0
    rng = np.random.default_rng(0)
    chance = _factor_vae(lambda x: rng.normal(size=(len(x), 6)))
    assert chance == pytest.approx(1 / 3, abs=0.08)  # 0.02 is a standard deviation
    assert chance < _factor_vae(lambda x: (x - 2) @ ROTATION) < 0.9
    assert _factor_vae(lambda x: x, seed=1, batch_size=5) == _factor_vae(
        lambda x: x, seed=1, batch_size=5
    )


def test_factor_vae_of_one_dimension_is_the_share_of_the_likeliest_factor():
    """There is one dimension to vote for, so the classifier names one factor always."""
    assert _factor_vae(lambda x: x[:, :1], evaluation_votes=5000) == pytest.approx(1 / 3, abs=0.03)


def test_factor_vae_leaves_out_what_has_collapsed():
    rng = np.random.default_rng(0)

    def encode(x):
        # Noise that is tiny and of heavy tails: its variance over a batch is often the least.
        noise = 1e-3 * rng.standard_t(1.5, size=(len(x), 1)).clip(-50, 50)
        return np.concatenate([x, noise], axis=1)

    assert _factor_vae(encode, batch_size=8, collapsed=0.5) == _factor_vae(
        lambda x: x, batch_size=8, collapsed=0.5
    )
    assert _factor_vae(encode, batch_size=8, collapsed=0.0) < 1.0
    assert _factor_vae(lambda x: np.ones((len(x), 2))) == 0.0
    assert _factor_vae(lambda x: 1e-3 * x) == 0.0
    assert _factor_vae(lambda x: 1e-3 * x, collapsed=0.0) == 1.0

    def rounded(x):  # a constant, but for its last bit, that tells the first factor
        bit = np.where(x[:, :1] > 0, np.float32(3), np.nextafter(np.float32(3), np.float32(4)))
        return np.concatenate([bit, x[:, 1:]], axis=1)

    assert _factor_vae(rounded, collapsed=0.0) == _factor_vae(lambda x: x[:, 1:])


def test_what_factor_vae_does_not_take():
    with pytest.raises(ValueError, match="ndarray does not tell its factors"):
        metrics.factor_vae_score(lambda x: x, np.zeros((3, 2)))
    with pytest.raises(ValueError, match="`encode` gave NaN"):
        _factor_vae(lambda x: x * np.nan)
    for wrong in ({"votes": 0}, {"evaluation_votes": 2.5}, {"batch_size": 1}, {"seed": None}):
        with pytest.raises(ValueError, match=f"`{next(iter(wrong))}` must be a"):
            _factor_vae(lambda x: x, **wrong)
    constant = Grid()
    constant.factor_sizes = (3, 1, 2)
    with pytest.raises(ValueError, match="one value cannot be told"):
        metrics.factor_vae_score(lambda x: x, constant)


# Mutual information -------------------------------------------------------------------------------


def test_binned_information_is_that_of_the_joint_counts():
    """The code is a noisy channel of one factor, with a known table of counts."""
    table = np.array([[50, 10, 0], [10, 30, 20], [0, 5, 75]])
    value, code = (np.repeat(index.reshape(-1), table.reshape(-1)) for index in np.indices((3, 3)))
    other = np.arange(200) % 2
    factors = np.stack([value, other], axis=1)
    codes = np.stack([10.0 * code, value - 0.5, np.zeros(200)], axis=1)
    information = metrics.mutual_information(codes, factors)
    joint = table / 200
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
    by_hand = np.sum(joint[joint > 0] * np.log((joint / independent)[joint > 0]))
    assert information[0, 0] == pytest.approx(by_hand, rel=1e-9)
    entropy = stats.entropy(table.sum(axis=1))
    assert information[1, 0] == pytest.approx(entropy, rel=1e-9)
    assert information[0, 1] == pytest.approx(mutual_info_score(code, other), rel=1e-9)
    assert (information[2] == 0).all()
    gaps = [(entropy - by_hand) / entropy, abs(information[0, 1] - information[1, 1]) / np.log(2)]
    assert metrics.mig(codes, factors) == pytest.approx(np.mean(gaps), rel=1e-9)


def test_bins_are_of_equal_width():
    codes = np.array([[0.0], [0.9], [1.1], [10.0]])
    factors = np.array([[0], [1], [2], [3]])
    # In ten bins of width 1 the first two codes are together.
    expected = np.log(4) - 0.5 * np.log(2)
    assert metrics.mutual_information(codes, factors, bins=10)[0, 0] == pytest.approx(expected)


@pytest.mark.parametrize("deviation", [0.2, 1.0, 4.0])
def test_posterior_information_is_the_integral(deviation):
    """One dimension whose posterior mean is the factor's value: q(z) is four normals' mixture."""
    value = np.arange(4000) % 4
    factors = np.stack([value, np.arange(4000) // 4 % 2], axis=1)
    places = np.array([-1.0, 0.0, 0.5, 3.0])
    codes = np.stack([places[value], np.zeros(4000)], axis=1)
    log_variances = np.full(codes.shape, 2 * np.log(deviation))
    information = metrics.mutual_information(
        codes, factors, log_variances=log_variances, samples=4000
    )

    def density(z):
        return stats.norm.pdf(z, places, deviation).mean()

    ends = -1 - 10 * deviation, 3 + 10 * deviation
    entropy, _ = integrate.quad(
        lambda z: -density(z) * np.log(density(z)), *ends, points=places, limit=200
    )
    expected = entropy - stats.norm.entropy(0, deviation)
    assert information[0, 0] == pytest.approx(expected, abs=0.03)
    np.testing.assert_allclose(information[0, 1], 0.0, atol=1e-9)
    np.testing.assert_allclose(information[1], 0.0, atol=1e-9)
    # The gap: all of it for one factor, and none of the other.
    gap = metrics.mig(codes, factors, log_variances=log_variances, samples=4000)
    assert gap == pytest.approx(information[0, 0] / np.log(4) / 2, abs=1e-9)


def test_posterior_information_of_rows_of_their_own_deviations():
    """Against densities that SciPy computes, row by row, at the same draws."""
    rng = np.random.default_rng(1)
    factors = np.arange(60)[:, np.newaxis] % 3
    means, log_variances = rng.normal(size=(2, 60, 2))
    draws = np.random.default_rng(5)
    rows = draws.permutation(60)[:40]
    z = means[rows] + np.exp(0.5 * log_variances[rows]) * draws.standard_normal((40, 2))
    expected = np.zeros((2, 1))
    for d in range(2):
        ratios = []
        for row, point in zip(rows, z[:, d], strict=True):
            each = stats.norm.pdf(point, means[:, d], np.exp(0.5 * log_variances[:, d]))
            same = factors[:, 0] == factors[row, 0]
            ratios.append(np.log(each[same].mean() / each.mean()))
        expected[d, 0] = np.mean(ratios)
    information = metrics.mutual_information(
        means, factors, log_variances=log_variances, samples=40, seed=5
    )
    np.testing.assert_allclose(information, expected, rtol=1e-9)


def test_mig_of_certain_posteriors_is_that_of_their_means():
    factors = _grid()
    codes = _spread(factors)
    log_variances = np.full(codes.shape, -12.0)
    assert metrics.mig(codes, factors, log_variances=log_variances) == pytest.approx(1.0, abs=0.01)
    assert metrics.mig(codes, factors) == pytest.approx(1.0, abs=1e-9)


# All of them on the same codes --------------------------------------------------------------------


def test_perfect_codes_have_the_largest_scores():
    factors = _grid()
    for codes in (factors.astype(float), _spread(factors)):
        scores = _array_scores(codes, factors)
        chance = np.mean([1 / size for size in SIZES])
        assert scores.pop("sap") == pytest.approx(1 - chance, abs=0.04)
        for name, score in scores.items():
            assert score == pytest.approx(1.0, abs=1e-6 if name != "modularity" else 0.26), name
    # A dimension that tells nothing counts as 0 among four.
    assert metrics.modularity(_spread(factors), factors) == pytest.approx(0.75)
    assert metrics.modularity(factors.astype(float), factors) == pytest.approx(1.0)
    assert metrics.sap(_spread(factors), factors, continuous=True) == pytest.approx(1.0)


def test_random_codes_have_scores_near_chance():
    factors = _grid(50)
    codes = np.random.default_rng(2).normal(size=(len(factors), 5))
    scores = _array_scores(codes, factors)
    assert scores["mig"] < 0.02
    assert scores["sap"] < 0.05
    assert scores["disentanglement"] < 0.05
    assert scores["completeness"] < 0.05
    chance = np.mean([1 / size for size in SIZES])
    assert scores["informativeness"] == pytest.approx(chance, abs=0.05)
    assert metrics.sap(codes, factors, continuous=True) < 0.01


def test_entangled_codes_have_smaller_scores():
    factors = _grid()
    perfect = _array_scores(factors.astype(float), factors)
    scores = _array_scores(_entangled(factors), factors)
    for name in ("mig", "sap", "modularity", "disentanglement", "completeness"):
        assert scores[name] < 0.7 * perfect[name], name
    assert scores["informativeness"] > 0.9  # the rotation loses nothing


def test_scores_do_not_depend_on_order_and_scale():
    rng = np.random.default_rng(3)
    factors = _grid(10)
    codes = factors @ np.array([[1.0, 0.3, 0.0], [0.0, 1.0, 0.5], [0.2, 0.0, 1.0]])
    codes += 0.3 * rng.normal(size=codes.shape)
    order, scales = [2, 0, 1], np.array([1e3, 2e-3, 7.0])
    others = codes[:, order] * scales + np.array([5.0, -1.0, 0.0])
    before, after = _array_scores(codes, factors), _array_scores(others, factors)
    for name, score in before.items():
        assert after[name] == pytest.approx(score, abs=0.02), name
    log_variances = rng.normal(-2.0, 0.3, size=codes.shape)
    moved = log_variances[:, order] + 2 * np.log(scales)
    options = {"samples": len(codes)}
    gap = metrics.mig(codes, factors, log_variances=log_variances, **options)
    assert metrics.mig(others, factors, log_variances=moved, **options) == pytest.approx(
        gap, abs=0.05
    )


# Single ones --------------------------------------------------------------------------------------


def test_sap_is_the_accuracy_of_the_best_threshold():
    """Two classes at ±1 with deviation 1: the best threshold is right with probability Φ(1)."""
    rng = np.random.default_rng(4)
    values = rng.random(12_000) < 0.3  # the accuracy is a mean over classes, whatever their shares
    codes = np.stack([2.0 * values - 1 + rng.normal(size=12_000), rng.normal(size=12_000)], axis=1)
    score = metrics.sap(codes, values[:, np.newaxis].astype(int))
    assert score == pytest.approx(stats.norm.cdf(1.0) - 0.5, abs=0.025)


def test_sap_of_continuous_factors_is_the_gap_of_squared_correlations():
    rng = np.random.default_rng(5)
    factors = np.stack([rng.integers(100, size=500), rng.integers(4, size=500)], axis=1)
    codes = factors @ rng.normal(size=(2, 3)) + rng.normal(size=(500, 3))
    squares = np.corrcoef(codes.T, factors.T)[:3, 3:] ** 2
    ordered = np.sort(squares, axis=0)
    assert metrics.sap(codes, factors, continuous=True) == pytest.approx(
        np.mean(ordered[-1] - ordered[-2])
    )
    discrete = [metrics.sap(codes, factors[:, [k]]) for k in range(2)]
    mixed = metrics.sap(codes, factors, continuous=[True, False])
    assert mixed == pytest.approx((ordered[-1, 0] - ordered[-2, 0] + discrete[1]) / 2)
    fractions = factors / [7.0, 1.0]
    squares = metrics.sap(codes, factors, continuous=True)
    assert metrics.sap(codes, fractions, continuous=True) == pytest.approx(squares)
    assert metrics.sap(codes, fractions, continuous=[True, False]) == pytest.approx(mixed)
    with pytest.raises(ValueError, match="not `continuous` must be integers"):
        metrics.sap(codes, fractions, continuous=[False, True])
    with pytest.raises(ValueError, match="one for each of 2 factors"):
        metrics.sap(codes, factors, continuous=[True] * 3)
    with pytest.raises(ValueError, match="`factors` must be finite"):
        metrics.sap(codes, np.where(fractions == 0, np.nan, fractions), continuous=True)
    # Rounding alone correlates with nothing.
    rounded = np.where(factors[:, :1] > 50, 3.0, np.nextafter(3.0, 4.0))
    assert metrics.sap(rounded, factors, continuous=True) == 0.0


class Importances(BaseEstimator):
    """A classifier whose importances are given by the number of classes."""

    def fit(self, x, y):
        self.feature_importances_ = {3: [0.5, 0.5, 0.0], 4: [0.0, 1.0, 0.0], 5: [0.0, 0.0, 0.0]}[
            len(np.unique(y))
        ]
        return self

    def predict(self, x):
        return np.zeros(len(x), int)


def test_dci_is_the_entropy_of_the_importances():
    factors = _grid()
    parts = metrics.dci(factors.astype(float), factors, estimator=Importances())
    # Dimension 0 is of one factor; dimension 1 of two, in the ratio 1 : 2; they weigh 0.5 and 1.5.
    of_two = 1 - stats.entropy([1 / 3, 2 / 3], base=3)
    assert parts["disentanglement"] == pytest.approx((0.5 * 1.0 + 1.5 * of_two) / 2.0)
    assert parts["completeness"] == pytest.approx((1.0 * (1 - np.log(2) / np.log(3)) + 1.0) / 2.0)
    shares = np.mean([1 / size for size in SIZES])
    assert parts["informativeness"] == pytest.approx(shares, abs=0.03)


def test_dci_seeds_a_classifier_without_a_seed():
    factors = np.random.default_rng(0).integers(3, size=(200, 2))
    codes = np.random.default_rng(1).normal(size=(200, 4))
    forest = RandomForestClassifier(5)
    first = metrics.dci(codes, factors, estimator=forest, seed=4)
    assert metrics.dci(codes, factors, estimator=forest, seed=4) == first
    seeded = RandomForestClassifier(5, random_state=4)
    assert metrics.dci(codes, factors, estimator=seeded, seed=4) == first
    seeded.set_params(random_state=5)
    assert metrics.dci(codes, factors, estimator=seeded, seed=4) != first
    assert forest.random_state is None


def test_dci_of_importances_that_are_even_is_not_below_0():
    for count in range(2, 40):
        assert 0.0 <= classifiers._concentration(np.full((3, count), 0.1)) < 1e-12


def test_dci_is_by_gradient_boosting():
    factors = _grid(3)[:, :2]
    codes = _entangled(_grid(3))
    boosting = GradientBoostingClassifier(random_state=4)
    assert metrics.dci(codes, factors, seed=4) == metrics.dci(
        codes, factors, estimator=boosting, seed=4
    )


def test_modularity_of_a_dimension_that_knows_two_factors():
    factors = np.tile(np.indices((2, 2, 2)).reshape(3, -1).T, (10, 1))
    codes = np.stack([factors[:, 0] + 2.0 * factors[:, 1], factors[:, 2]], axis=1)
    assert metrics.modularity(codes, factors) == pytest.approx((1 - 1 / 2 + 1) / 2)
    # 2 a + b = 0, 1, 2 with a, b binary: H(1/4, 1/2, 1/4) is shared by two factors alike.
    assert metrics.modularity(codes[:, :1], factors[:, :2]) == pytest.approx(0.0)


def test_what_cannot_be_scored():
    factors = _grid(1)
    codes = factors.astype(float)
    spoilt = codes.copy()
    spoilt[4, 1] = np.nan
    constant = factors.copy()
    constant[:, 2] = 3
    for score in (metrics.mig, metrics.sap, metrics.dci, metrics.modularity):
        with pytest.raises(ValueError, match=r"1 rows hold NaN or infinity, the first .* row 4"):
            score(spoilt, factors)
        with pytest.raises(ValueError, match="as many rows, got 60 and 59"):
            score(codes, factors[1:])
        with pytest.raises(ValueError, match="Factor 2 has the value 3 in all rows"):
            score(codes, constant)
        with pytest.raises(ValueError, match=r"`codes` must be numbers of shape \(n, d\)"):
            score(codes[:, 0], factors)
        with pytest.raises(ValueError, match=r"`factors` must be integers.*float64"):
            score(codes, codes)
    for score in (metrics.dci, metrics.modularity):
        with pytest.raises(ValueError, match="k at least 2"):
            score(codes, factors[:, :1])
    with pytest.raises(ValueError, match="2 or more dimensions"):
        metrics.dci(codes[:, :1], factors)
    for variances in (np.zeros((60, 2)), np.full((60, 3), np.nan)):
        with pytest.raises(ValueError, match="`log_variances` must be finite, of the codes' shape"):
            metrics.mig(codes, factors, log_variances=variances)
    for variance in (-2000.0, 2000.0):
        with pytest.raises(ValueError, match="`log_variances` must be logarithms"):
            metrics.mig(codes, factors, log_variances=np.full(codes.shape, variance))
    with pytest.raises(ValueError, match="`seed` must be an integer, 0 or more"):
        metrics.dci(codes, factors, seed=-1)
    with pytest.raises(ValueError, match="`bins` must be an integer, 2 or more"):
        metrics.mig(codes, factors, bins=1)
    with pytest.raises(ValueError, match="leaves one part without rows"):
        metrics.sap(codes, factors, test=0.0)


# Models -------------------------------------------------------------------------------------------

FEW = {
    **{"rows": 240, "votes": 30, "evaluation_votes": 20, "batch_size": 8},
    "estimator": DecisionTreeClassifier(max_depth=3, random_state=0),
}


@pytest.mark.parametrize("name", ["vae_mlp", "ae_mlp"])
def test_the_scores_of_a_model(name):
    sprites = datasets.sprites()
    keras.utils.set_random_seed(0)
    model = autoencoders.get(name, input_shape=(64, 64, 1), latent_dim=3, hidden_units=(8,))
    scores = metrics.disentanglement_scores(model, sprites, **FEW)
    names = {
        *("factor_vae", "mig", "sap", "modularity"),
        *("dci_disentanglement", "dci_completeness", "dci_informativeness"),
    }
    assert set(scores) == names | ({"mig_posterior"} if name == "vae_mlp" else set())
    assert all(0.0 <= score <= 1.0 for score in scores.values())
    assert metrics.disentanglement_scores(model, sprites, **FEW) == scores
    factors = sprites.sample(240, np.random.default_rng(0))
    images = sprites.images(factors)
    codes = model.encode(images)
    if name == "vae_mlp":
        posterior = metrics.mig(codes, factors, log_variances=model.posterior(images)[1])
        assert scores["mig_posterior"] == posterior
    assert scores["mig"] == metrics.mig(codes, factors)
    assert scores["sap"] == metrics.sap(codes, factors)
    with pytest.raises(ValueError, match="does not tell its factors"):
        metrics.disentanglement_scores(model, sprites.split()[1])
    with pytest.raises(ValueError, match="`model` must be an Autoencoder, got a Sprites"):
        metrics.disentanglement_scores(sprites, model)
    with pytest.raises(ValueError, match="`rows` must be a positive integer, got 0"):
        metrics.disentanglement_scores(model, sprites, rows=0)


@pytest.mark.parametrize(("name", "dimensions"), [("vae_mlp", 1), ("ae_mlp", 257)])
def test_codes_that_are_too_small_or_too_large_are_found_at_once(name, dimensions, monkeypatch):
    sprites = datasets.sprites()
    drawn = []
    images = sprites.images
    monkeypatch.setattr(sprites, "images", lambda f: drawn.append(len(f)) or images(f))
    sizes = {"input_shape": (64, 64, 1), "latent_dim": dimensions, "hidden_units": (4,)}
    with pytest.raises(ValueError, match=rf"2 to 256 dimensions; .* have {dimensions}\."):
        metrics.disentanglement_scores(autoencoders.get(name, **sizes), sprites)
    assert sum(drawn) <= 1024
