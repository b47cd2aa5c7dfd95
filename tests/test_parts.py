"""Likelihoods, divergences and layers against closed forms and sampling."""

import keras
import numpy as np
import pytest
import scipy.stats
from keras import ops

import autoencoders
from autoencoders import divergences, layers, losses, priors
from autoencoders.training import step

RNG = np.random.default_rng(0)


def _tensor(values):
    return ops.convert_to_tensor(values, "float32")


# Divergences --------------------------------------------------------------------------------------


def test_gaussian_kl_against_the_general_closed_form():
    """KL of multivariate normals through traces, determinants and inverses, in double precision."""
    mean = RNG.normal(size=(5, 3))
    log_variance = RNG.normal(size=(5, 3))
    expected = []
    for m, v in zip(mean, np.exp(log_variance), strict=True):
        covariance = np.diag(v)
        _, log_determinant = np.linalg.slogdet(covariance)
        expected.append(0.5 * (np.trace(covariance) + m @ m - len(m) - log_determinant))
    actual = divergences.gaussian_kl(_tensor(mean), _tensor(log_variance))
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_gaussian_kl_against_monte_carlo():
    mean, log_variance = np.array([0.7, -1.2]), np.array([-0.5, 0.8])
    deviation = np.exp(0.5 * log_variance)
    z = mean + deviation * RNG.normal(size=(400_000, 2))
    ratio = scipy.stats.norm.logpdf(z, mean, deviation) - scipy.stats.norm.logpdf(z)
    ratio = ratio.sum(axis=1)
    error = ratio.std() / np.sqrt(len(ratio))
    actual = priors.StandardNormal().kl(_tensor([mean]), _tensor([log_variance]))
    assert float(actual[0]) == pytest.approx(ratio.mean(), abs=4 * error)


# Likelihoods --------------------------------------------------------------------------------------


def test_bernoulli_against_the_closed_form():
    logits = RNG.normal(scale=3.0, size=(6, 4, 3)).astype("float32")
    binary = RNG.integers(0, 2, size=logits.shape).astype("float32")
    probabilities = 1.0 / (1.0 + np.exp(-logits.astype("float64")))
    expected = -scipy.stats.bernoulli.logpmf(binary, probabilities).sum(axis=(1, 2))
    np.testing.assert_allclose(losses.Bernoulli().call(binary, logits), expected, rtol=1e-5)
    assert float(losses.Bernoulli()(binary, logits)) == pytest.approx(expected.mean(), rel=1e-5)
    np.testing.assert_allclose(losses.Bernoulli().mean(logits), probabilities, rtol=1e-5)


def test_bernoulli_of_grey_targets_and_extreme_logits():
    grey = np.array([[0.25, 0.5, 1.0]], "float32")
    logits = np.array([[-2.0, 0.0, 200.0]], "float32")
    p = 1.0 / (1.0 + np.exp(2.0))
    expected = -(0.25 * np.log(p) + 0.75 * np.log(1 - p)) + np.log(2.0) + 0.0
    assert float(losses.Bernoulli().call(grey, logits)[0]) == pytest.approx(expected, rel=1e-5)


def test_gaussian_against_the_closed_form():
    target = RNG.normal(size=(6, 5)).astype("float32")
    mean = RNG.normal(size=(6, 5)).astype("float32")
    expected = -scipy.stats.norm.logpdf(target, mean, 0.7).sum(axis=1)
    np.testing.assert_allclose(losses.Gaussian(0.7).call(target, mean), expected, rtol=1e-5)


def test_likelihoods_by_name():
    assert isinstance(losses.get("bernoulli"), losses.Bernoulli)
    own = losses.Gaussian(2.0)
    assert losses.get(own) is own
    with pytest.raises(ValueError, match="Did you mean 'gaussian'"):
        losses.get("gausian")
    with pytest.raises(ValueError, match="must be positive"):
        losses.Gaussian(0.0)
    assert losses.Gaussian.from_config(own.get_config()).stddev == 2.0


def test_a_weight_is_a_row_repeated():
    y, p = RNG.normal(size=(2, 3, 4, 4, 1)).astype("float32")
    for loss in (losses.as_loss("mse"), losses.as_loss("mae"), losses.Gaussian()):
        weighted = step.keras_loss(loss, y, p, np.array([2.0, 0.0, 1.0], "float32"))
        repeated = loss(y[[0, 0, 2]], p[[0, 0, 2]])
        assert float(weighted) == pytest.approx(float(repeated), rel=1e-5)


# Corruption ---------------------------------------------------------------------------------------

NOISES = [layers.GaussianNoise(2.5), layers.MaskingNoise(0.3), layers.SaltAndPepperNoise(0.3)]


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: type(noise).__name__)
def test_corruption_acts_in_training_only_and_differs_each_time(noise):
    x = np.full((50, 7), 0.5, "float32")
    np.testing.assert_array_equal(noise(x), x)
    np.testing.assert_array_equal(noise(x, training=False), x)
    first, second = (np.asarray(noise(x, training=True)) for _ in range(2))
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, x)


def test_corruption_statistics():
    x = np.full((1000, 200), 0.5, "float32")
    gaussian, masked, salted = (np.asarray(noise(x, training=True)) for noise in NOISES)
    assert (gaussian - x).mean() == pytest.approx(0.0, abs=0.03)
    assert (gaussian - x).std() == pytest.approx(2.5, rel=0.01)
    assert set(np.unique(masked)) == {0.0, 0.5}
    assert (masked == 0.0).mean() == pytest.approx(0.3, abs=0.005)
    assert set(np.unique(salted)) == {0.0, 0.5, 1.0}
    assert (salted == 0.0).mean() == pytest.approx(0.15, abs=0.005)
    assert (salted == 1.0).mean() == pytest.approx(0.15, abs=0.005)


def test_corruption_arguments():
    with pytest.raises(ValueError, match="`stddev` must be 0 or more, got -1"):
        layers.GaussianNoise(-1)
    for layer in (layers.MaskingNoise, layers.SaltAndPepperNoise):
        with pytest.raises(ValueError, match=r"`rate` must be between 0 and 1, got 1\.5"):
            layer(1.5)


@pytest.mark.parametrize(
    "layer",
    [
        *NOISES,
        layers.SaltAndPepperNoise(0.1, low=-1.0, high=2.0, seed=4),
        layers.ActivityPenalty(l1=0.1, l2=0.2),
        layers.GaussianBottleneck(3, beta=4.0, seed=1),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_round_trip_through_their_config(layer):
    config = keras.saving.serialize_keras_object(layer)
    twin = keras.saving.deserialize_keras_object(config)
    assert type(twin) is type(layer)
    assert keras.saving.serialize_keras_object(twin)["config"] == config["config"]


# Bottleneck and penalty ---------------------------------------------------------------------------


def test_gaussian_bottleneck_draws_from_its_posterior():
    bottleneck = layers.GaussianBottleneck(2)
    features = np.repeat(RNG.normal(size=(1, 3, 2)), 50_000, axis=0).astype("float32")
    bottleneck.build(features.shape)
    mean, log_variance = (np.asarray(a) for a in bottleneck.posterior(features))
    np.testing.assert_array_equal(mean, bottleneck(features))
    z, terms = bottleneck.draw(features, training=True)
    z = np.asarray(z)
    np.testing.assert_allclose(z.mean(axis=0), mean[0], atol=0.03)
    np.testing.assert_allclose(z.std(axis=0), np.exp(0.5 * log_variance[0]), rtol=0.02)
    assert terms["kl_loss"].shape == (50_000,)


def test_beta_weighs_the_kl():
    features = RNG.normal(size=(4, 3)).astype("float32")
    plain, weighted = layers.GaussianBottleneck(2), layers.GaussianBottleneck(2, beta=4.0)
    plain(features), weighted(features)
    weighted.set_weights(plain.get_weights())
    values = [np.asarray(b.draw(features, True)[1]["kl_loss"]) for b in (plain, weighted)]
    np.testing.assert_allclose(values[1], 4.0 * values[0], rtol=1e-6)


def test_activity_penalty_against_numpy():
    z = RNG.normal(size=(5, 2, 3)).astype("float32")
    expected = (0.1 * np.abs(z) + 0.2 * z**2).sum(axis=(1, 2))
    np.testing.assert_allclose(layers.ActivityPenalty(l1=0.1, l2=0.2)(z), expected, rtol=1e-5)


def test_mlp_flattens_any_shape_and_gives_it_back():
    encoder, decoder = autoencoders.networks.mlp((3, 5, 2), 4, (16, 8))
    assert encoder.output_shape == (None, 4)
    assert decoder.output_shape == (None, 3, 5, 2)
    units = [layer.units for layer in decoder.layers if hasattr(layer, "units")]
    assert units == [8, 16, 30]
    for wrong in ((None, 3), "64,32", (2.5,), (0,)):
        with pytest.raises(ValueError, match="`input_shape` must be positive integers"):
            autoencoders.networks.mlp(wrong, 4)
    assert autoencoders.networks.mlp(20, 4, 8)[0].input_shape == (None, 20)
