"""Likelihoods, divergences, priors and layers against closed forms and sampling."""

import copy

import h5py
import keras
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
import tensorflow as tf
from keras import ops

import autoencoders
from autoencoders import layers, losses, networks, priors
from autoencoders.distributions import divergences
from autoencoders.distributions.posteriors import DiagonalGaussian
from autoencoders.distributions.priors import described
from autoencoders.networks import DenseTranspose
from autoencoders.training import loss_terms

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


def test_bernoulli_kl_against_scipy():
    p, q = RNG.uniform(0.05, 0.95, size=(2, 6))
    expected = [scipy.stats.entropy([a, 1 - a], [b, 1 - b]) for a, b in zip(p, q, strict=True)]
    np.testing.assert_allclose(divergences.bernoulli_kl(p, q), expected, rtol=1e-5)


def test_categorical_kl_against_scipy():
    p = RNG.dirichlet(np.ones(5), size=(3, 2))
    expected = scipy.stats.entropy(p, np.full(5, 0.2), axis=-1)
    np.testing.assert_allclose(divergences.categorical_kl(_tensor(np.log(p))), expected, rtol=1e-5)


def _imq(d2, dim):
    return sum(c / (c + d2) for c in 2.0 * dim * np.array([0.1, 0.2, 0.5, 1, 2, 5, 10]))


@pytest.mark.parametrize(
    ("kernel", "by_hand"),
    [
        (divergences.inverse_multiquadratic, _imq),
        (divergences.radial_basis, lambda d2, dim: np.exp(-d2 / (2.0 * dim))),
    ],
)
def test_mmd_against_loops(kernel, by_hand):
    x, y = RNG.normal(size=(5, 3)), RNG.normal(loc=1.0, size=(7, 3))

    def mean(a, b, skip):
        return np.mean(
            [
                by_hand(np.square(u - v).sum(), 3)
                for i, u in enumerate(a)
                for j, v in enumerate(b)
                if not (skip and i == j)
            ]
        )

    expected = mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)
    actual = divergences.squared_mmd(_tensor(x), _tensor(y), kernel)
    assert float(actual) == pytest.approx(expected, rel=1e-4)


def test_mmd_is_unbiased_for_normals_of_another_mean():
    """With a Gaussian kernel of variance v in one dimension, between N(0, 1) and N(m, 1):
    2 sqrt(v / (v + 2)) (1 − exp(−m² / (2 (v + 2)))).
    """
    m, v = 1.5, 1.0
    draws = RNG.normal(size=(2, 400, 20, 1))
    values = [
        float(divergences.squared_mmd(_tensor(x), _tensor(y + m), divergences.radial_basis))
        for x, y in zip(*draws, strict=True)
    ]
    expected = 2.0 * np.sqrt(v / (v + 2.0)) * (1.0 - np.exp(-(m**2) / (2.0 * (v + 2.0))))
    error = np.std(values) / np.sqrt(len(values))
    assert np.mean(values) == pytest.approx(expected, abs=4 * error)


def test_decomposed_kl_against_loops():
    """Each part by explicit sums over the batch, in double precision; together the KL's sample."""
    mean, log_variance = RNG.normal(size=(2, 6, 3))
    z = mean + np.exp(0.5 * log_variance) * RNG.normal(size=(6, 3))
    density = scipy.stats.norm(mean, np.exp(0.5 * log_variance))
    own = density.logpdf(z).sum(axis=1)
    prior = scipy.stats.norm.logpdf(z).sum(axis=1)
    joint = np.array([np.log(density.pdf(row).prod(axis=1).sum() / (6 * 50)) for row in z])
    marginals = np.array([np.log(density.pdf(row).sum(axis=0) / (6 * 50)).sum() for row in z])
    expected = own - joint, joint - marginals, marginals - prior
    actual = divergences.decomposed_kl(_tensor(z), _tensor(mean), _tensor(log_variance), 50)
    for ours, theirs in zip(actual, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(sum(actual), own - prior, rtol=1e-4)


def test_total_correlation_of_independent_and_of_equal_dimensions():
    """Zero where the dimensions are independent; where they are copies it grows with the data."""
    n = 400
    narrow = np.full((n, 2), 2.0 * np.log(0.1))
    independent = RNG.normal(size=(n, 2))
    copies = np.repeat(RNG.normal(size=(n, 1)), 2, axis=1)

    def total_correlation(mean):
        z = mean + 0.1 * RNG.normal(size=mean.shape)
        parts = divergences.decomposed_kl(_tensor(z), _tensor(mean), _tensor(narrow), 1)
        return float(np.mean(parts[1]))

    # Of the normal with the copies' covariance, in closed form.
    covariance = np.ones((2, 2)) + 0.01 * np.eye(2)
    expected = -0.5 * np.log(np.linalg.det(covariance) / 1.01**2)
    assert total_correlation(copies) == pytest.approx(expected, abs=0.2)
    assert total_correlation(independent) < 0.25 * expected


# Priors -------------------------------------------------------------------------------------------


def test_mixture_against_scipy():
    mixture = priors.GaussianMixture(
        [0.3, 0.7], [[0.0, 1.0], [4.0, -1.0]], [[[1.0, 0.5], [0.5, 2.0]], [[0.2, 0.0], [0.0, 0.1]]]
    )
    z = RNG.normal(size=(20, 2))
    components = [
        weight * scipy.stats.multivariate_normal(mean, covariance).pdf(z)
        for weight, mean, covariance in zip(
            mixture.weights, mixture.means, mixture.covariances, strict=True
        )
    ]
    np.testing.assert_allclose(mixture.log_prob(_tensor(z)), np.log(sum(components)), rtol=1e-4)
    draws = np.asarray(mixture.sample((40_000, 2), seed=3))
    expected = mixture.weights @ mixture.means
    np.testing.assert_allclose(draws.mean(axis=0), expected, atol=0.05)
    second = sum(
        w * (c + np.outer(m, m))
        for w, m, c in zip(mixture.weights, mixture.means, mixture.covariances, strict=True)
    )
    np.testing.assert_allclose(np.cov(draws.T), second - np.outer(expected, expected), atol=0.1)


def test_mixture_fitted_to_codes_finds_its_components():
    truth = priors.GaussianMixture.flower(4, radius=4.0, length=0.5, width=0.2)
    codes = np.asarray(truth.sample((4000, 2), seed=0))
    fitted = priors.GaussianMixture.fit(codes, 4)
    nearest = np.linalg.norm(fitted.means[:, None] - truth.means, axis=2).min(axis=0)
    assert nearest.max() < 0.1
    np.testing.assert_allclose(fitted.weights, 0.25, atol=0.03)


def test_mixture_of_independent_dimensions_against_scipy():
    variances = np.array([[1.0, 2.0], [0.2, 0.1]])
    means = np.array([[0.0, 1.0], [4.0, -1.0]])
    mixture = priors.GaussianMixture([0.3, 0.7], means, variances)
    z = RNG.normal(size=(20, 2))
    densities = scipy.stats.norm(means, np.sqrt(variances)).pdf(z[:, None]).prod(axis=2)
    np.testing.assert_allclose(
        mixture.log_prob(_tensor(z)), np.log(densities @ [0.3, 0.7]), rtol=1e-4
    )
    draws = np.asarray(mixture.sample((40_000, 2), seed=3))
    np.testing.assert_allclose(draws.mean(axis=0), [0.3, 0.7] @ means, atol=0.05)
    again = priors.GaussianMixture.from_config(mixture.get_config())
    np.testing.assert_array_equal(again.sample((5, 2), seed=1), mixture.sample((5, 2), seed=1))


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
@pytest.mark.parametrize("dim", [2, 40])
def test_a_fitted_mixture_has_the_scale_of_the_codes(scale, dim):
    codes = scale * RNG.normal(size=(300, dim)) + 5.0 * scale
    fitted = priors.GaussianMixture.fit(codes, components=2)
    assert fitted.covariances.ndim == (3 if dim == 2 else 2)
    draws = np.asarray(fitted.sample((20_000, dim), seed=0))
    np.testing.assert_allclose(draws.std(axis=0), codes.std(axis=0), rtol=0.1)
    np.testing.assert_allclose(draws.mean(axis=0), codes.mean(axis=0), rtol=0.1)


def test_flower_points_outwards():
    flower = priors.GaussianMixture.flower(6, radius=3.0, length=1.0, width=0.25)
    for mean, covariance in zip(flower.means, flower.covariances, strict=True):
        values, vectors = np.linalg.eigh(covariance)
        np.testing.assert_allclose(values, [0.25**2, 1.0])
        assert abs(vectors[:, 1] @ mean) == pytest.approx(3.0)


def test_swiss_roll_lies_on_its_spiral():
    roll = priors.SwissRoll(turns=2.0, radius=3.0, stddev=0.0)
    draws = np.asarray(roll.sample((5000, 2), seed=0))
    distance = np.linalg.norm(draws, axis=1)
    angle = 2.0 * np.pi * 2.0 * distance / 3.0
    spiral = distance[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    np.testing.assert_allclose(draws, spiral, atol=1e-3)
    # The share within a distance grows as its square.
    assert (distance < 1.5).mean() == pytest.approx(0.25, abs=0.03)


def test_vamp_prior_against_scipy():
    prior = priors.VampPrior((2,), num_pseudo_inputs=3)
    prior.build()
    prior.connect(lambda u: (2.0 * u, u - 1.0))
    z = RNG.normal(size=(8, 2))
    u = np.asarray(prior.pseudo_inputs)
    densities = scipy.stats.norm(2.0 * u, np.exp(0.5 * (u - 1.0))).pdf(z[:, None]).prod(axis=2)
    np.testing.assert_allclose(
        prior.log_prob(_tensor(z)), np.log(densities.mean(axis=1)), rtol=1e-4
    )
    draws = np.asarray(prior.sample((30_000, 2), seed=0))
    np.testing.assert_allclose(draws.mean(axis=0), 2.0 * u.mean(axis=0), atol=0.03)


def test_priors_by_name_and_their_dimensions():
    assert isinstance(priors.get("swiss_roll"), priors.SwissRoll)
    own = priors.StandardNormal()
    assert priors.get(own) is own
    with pytest.raises(ValueError, match="Did you mean 'mixture'"):
        priors.get("mixtur")
    with pytest.raises(ValueError, match="over 2 latent dimensions; the model has 3"):
        priors.get("mixture").sample((4, 3), seed=0)
    with pytest.raises(ValueError, match="add up to 1"):
        priors.GaussianMixture([0.5, 0.6], np.zeros((2, 1)), np.ones((2, 1, 1)))


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


def test_laplace_against_scipy():
    target, location = RNG.normal(size=(2, 6, 5)).astype("float32")
    expected = -scipy.stats.laplace.logpdf(target, location, 0.7).sum(axis=1)
    np.testing.assert_allclose(losses.Laplace(0.7).call(target, location), expected, rtol=1e-5)


def test_learned_variance_against_scipy():
    likelihood = losses.Gaussian(stddev=None, min_stddev=1e-3)
    assert likelihood.parameters == 2
    target, mean, log_variance = RNG.normal(size=(3, 6, 2, 5)).astype("float32")
    expected = -scipy.stats.norm.logpdf(target, mean, np.exp(0.5 * log_variance))
    output = np.concatenate([mean, log_variance], axis=-1)
    np.testing.assert_allclose(
        likelihood.call(target, output), expected.sum(axis=(1, 2)), rtol=1e-3
    )
    np.testing.assert_array_equal(likelihood.mean(output), mean)
    # However sure the decoder is, the bound holds.
    sure = np.concatenate([target, np.full_like(target, -50.0)], axis=-1)
    at_bound = -scipy.stats.norm.logpdf(0.0, 0.0, 1e-3) * 10
    np.testing.assert_allclose(likelihood.call(target, sure), at_bound, rtol=1e-4)


@pytest.mark.parametrize("logit", [-30.0, -2.0, -0.021, -0.01, 0.0, 0.005, 0.3, 8.0])
def test_continuous_bernoulli_by_quadrature(logit):
    """The density integrates to 1, and its mean is the stated one."""
    likelihood = losses.ContinuousBernoulli()
    x = np.linspace(0.0, 1.0, 20_001)
    logits = np.full_like(x, logit)
    density = np.exp(-np.asarray(likelihood.elementwise(_tensor(x), _tensor(logits)), "float64"))
    assert scipy.integrate.simpson(density, x=x) == pytest.approx(1.0, abs=1e-4)
    mean = float(likelihood.mean(_tensor([[logit]]))[0, 0])
    assert mean == pytest.approx(scipy.integrate.simpson(x * density, x=x), abs=1e-4)


@pytest.mark.parametrize("logit", [0.0, 1e-6, 0.02, -0.02])
def test_continuous_bernoulli_has_finite_gradients_around_zero(logit):
    logits = tf.constant([[logit]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = losses.ContinuousBernoulli().call(tf.constant([[0.7]]), logits)
    # d/dl log C = 1/l − coth(l/2)/2 ... → −l/12 near 0
    assert float(tape.gradient(value, logits)[0, 0]) == pytest.approx(
        0.5 + logit / 12 - 0.7, abs=1e-3
    )


def test_masked_steps_count_in_no_likelihood():
    target, output = RNG.normal(size=(2, 3, 4, 2)).astype("float32")
    mask = np.arange(4) < np.array([[4], [2], [0]])
    values = losses.Gaussian().masked(target, output, mask)
    for i, steps in enumerate((4, 2)):
        alone = losses.Gaussian().call(target[i : i + 1, :steps], output[i : i + 1, :steps])
        assert float(values[i]) == pytest.approx(float(alone[0]), rel=1e-6)
    assert float(values[2]) == 0.0


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
        weighted = loss_terms.keras_loss(loss, y, p, np.array([2.0, 0.0, 1.0], "float32"))
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
    with pytest.raises(ValueError, match="`stddev` must be a number of 0 or more, got -1"):
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
        layers.SparsityPenalty(0.1, 0.5),
        layers.ContractivePenalty(0.5, seed=1),
        layers.MMDPenalty(2.0, priors.GaussianMixture.flower(3), "radial_basis"),
        layers.DIPPenalty(1.0, 2.0, kind=2),
        layers.TopK(3, 5),
        layers.ClassAndStyle(3, 2),
        layers.GaussianBottleneck(3, beta=4.0, num_samples=2, warm_up=5, capacity=2.0, seed=1),
        layers.GaussianBottleneck(2, prior=priors.SwissRoll(turns=1.0)),
        layers.TotalCorrelationBottleneck(3, alpha=0.5, gamma=2.0, dataset_size=10),
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
    z, terms, *_ = bottleneck.draw(features, training=True)
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


def _tied():
    """An autoencoder of 6-5-3 and back, with the kernels and biases of its layers."""
    networks = autoencoders.networks.mlp((6,), 3, (5,), activation="sigmoid", tied_weights=True)
    model = autoencoders.Autoencoder(*networks)
    model.ensure_built()
    model.set_weights([RNG.normal(size=w.shape) for w in model.get_weights()])
    return model, model.get_weights()


def test_tied_decoder_against_numpy():
    model, (w1, b1, w2, b2, c1, c2) = _tied()
    assert model.count_params() == 6 * 5 + 5 * 3 + 5 + 3 + 5 + 6  # two kernels, four biases
    x = RNG.normal(size=(4, 6)).astype("float32")
    z = scipy.special.expit(x @ w1 + b1) @ w2 + b2
    decoded = scipy.special.expit(z @ w2.T + c1) @ w1.T + c2
    np.testing.assert_allclose(model.encode(x), z, rtol=1e-5)
    np.testing.assert_allclose(model.decode(z), decoded, rtol=1e-5)
    np.testing.assert_allclose(model.predict(x, verbose=0), decoded, rtol=1e-4)


def test_gradient_of_a_tied_kernel_by_differences():
    """A kernel's gradient is the sum of that of its two uses."""
    model, _ = _tied()
    model.compile("sgd")
    x = RNG.normal(size=(8, 6)).astype("float32")
    kernel = model.encoder.get_layer("hidden_1").kernel
    before, step = kernel.numpy(), 1e-2
    by_differences = np.zeros_like(before)
    for place in np.ndindex(*before.shape):
        for sign in (1, -1):
            moved = before.copy()
            moved[place] += sign * step
            kernel.assign(moved)
            loss = model.evaluate(x, verbose=0, return_dict=True)["loss"]
            by_differences[place] += sign * loss / (2 * step)
    kernel.assign(before)
    model.fit(x, batch_size=8, verbose=0)
    gradient = (before - kernel.numpy()) / 0.01  # of which a step takes a hundredth
    np.testing.assert_allclose(gradient, by_differences, rtol=0.02, atol=2e-3)


def test_copies_of_a_tied_model_are_tied_to_their_own_encoders(tmp_path):
    model, _ = _tied()
    model.save(tmp_path / "tied.keras")
    z = np.ones((1, 3), "float32")
    before = model.decode(z)
    loaded = autoencoders.load(tmp_path / "tied.keras")
    np.testing.assert_array_equal(loaded.decode(z), before)
    for twin in (loaded, keras.models.clone_model(model), copy.deepcopy(model)):
        twin.ensure_built()
        for name in ("hidden_1", "code"):
            twin.encoder.get_layer(name).kernel.assign(2 * model.encoder.get_layer(name).kernel)
        assert np.abs(twin.decode(z) - before).max() > 0.1
    np.testing.assert_array_equal(model.decode(z), before)


def test_a_tied_kernel_is_saved_with_the_encoder(tmp_path):
    (model, _), (other, weights) = _tied(), _tied()
    for part in (model, model.decoder):
        part.save_weights(tmp_path / f"{part.name}.weights.h5")
    with h5py.File(tmp_path / f"{model.name}.weights.h5") as file:
        shapes = {"encoder": [], "decoder": []}

        def note(name, item):
            if "/vars/" in name and (part := name.split("/")[0]) in shapes:
                shapes[part].append(item.shape)

        file.visititems(note)
    assert sorted(shapes["encoder"]) == [(3,), (5,), (5, 3), (6, 5)]
    assert sorted(shapes["decoder"]) == [(5,), (6,)]
    other.decoder.load_weights(tmp_path / f"{model.decoder.name}.weights.h5")
    for ours, theirs in zip(other.encoder.get_weights(), weights[:4], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_networks_within_networks_are_tied():
    inner = keras.Sequential([keras.layers.Dense(5, activation="tanh"), keras.layers.Dense(3)])
    outer = keras.Sequential([DenseTranspose(5, "tanh"), keras.Sequential([DenseTranspose(6)])])
    model = autoencoders.Autoencoder(keras.Sequential([keras.Input((6,)), inner]), outer)
    (w1, _), (w2, _) = (layer.get_weights() for layer in inner.layers)
    z = np.ones((1, 3), "float32")
    np.testing.assert_allclose(model.decode(z), np.tanh(z @ w2.T) @ w1.T, atol=1e-6)


def test_layers_that_cannot_be_tied():
    encoder, decoder = autoencoders.networks.mlp((6,), 3, (5,), tied_weights=True)
    with pytest.raises(ValueError, match="tied to no layer"):
        decoder(np.ones((1, 3)))
    shallow, _ = autoencoders.networks.mlp((6,), 3)
    with pytest.raises(ValueError, match=r"2 DenseTranspose .* encoder 1 Dense layers \(code\)"):
        autoencoders.Autoencoder(shallow, decoder)
    other, _ = autoencoders.networks.mlp((6,), 3, (4,))
    with pytest.raises(ValueError, match=r"makes 5 units of 3, but 'code'.* 3 of 4"):
        autoencoders.Autoencoder(other, decoder)
    autoencoders.Autoencoder(encoder, decoder).ensure_built()  # nothing was tied before
    first, last = DenseTranspose(5), decoder.get_layer("output")
    other, _ = autoencoders.networks.mlp((6,), 3, (5,))
    with pytest.raises(ValueError, match="tied to 'hidden_1' of another encoder"):
        autoencoders.Autoencoder(other, keras.Sequential([first, last]))
    autoencoders.Autoencoder(encoder, keras.Sequential([first, DenseTranspose(6)]))
    for arguments in ({"parameters": 2}, {"code": False}):
        with pytest.raises(ValueError, match="Tied weights need a code layer"):
            autoencoders.networks.mlp((6,), 3, tied_weights=True, **arguments)


def test_sparsity_penalty_against_scipy():
    z = RNG.uniform(size=(7, 4)).astype("float32")
    expected = sum(scipy.stats.entropy([0.1, 0.9], [a, 1 - a]) for a in z.mean(axis=0))
    assert float(layers.SparsityPenalty(0.1, 3.0)(z)) == pytest.approx(3.0 * expected, rel=1e-4)
    assert np.isfinite(float(layers.SparsityPenalty(0.1)(np.zeros((3, 2), "float32"))))


def _encoding(encoder, x, training=True):
    """What a penalty sees of these inputs, with the Jacobian in its latent's place."""
    decoder = keras.Sequential([keras.Input(encoder.output_shape[1:]), keras.layers.Dense(5)])
    model = autoencoders.Autoencoder(encoder, decoder)
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        latent = encoder(x)
    jacobian = tape.batch_jacobian(latent, x)
    return model.encoding(model.inputs_of(x), training), np.asarray(jacobian)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "linear"])
def test_contractive_penalty_of_one_layer_is_the_jacobians_norm(activation):
    encoder = keras.Sequential([keras.Input((5,)), keras.layers.Dense(4, activation)])
    encoding, jacobian = _encoding(encoder, RNG.normal(size=(6, 5)).astype("float32"))
    expected = 0.3 * np.square(jacobian).sum(axis=(1, 2))
    np.testing.assert_allclose(layers.ContractivePenalty(0.3).of(encoding), expected, rtol=1e-5)


def test_contractive_penalty_of_a_deep_encoder_is_unbiased():
    encoder = keras.Sequential(
        [keras.Input((5,)), keras.layers.Dense(6, "tanh"), keras.layers.Dense(4, "sigmoid")]
    )
    row = RNG.normal(size=(1, 5)).astype("float32")
    encoding, jacobian = _encoding(encoder, np.repeat(row, 20_000, axis=0))
    values = np.asarray(layers.ContractivePenalty().of(encoding))
    assert values.std() > 0
    error = values.std() / np.sqrt(len(values))
    assert values.mean() == pytest.approx(np.square(jacobian[0]).sum(), abs=4 * error)


def test_gradients_of_the_contractive_penalty_by_differences():
    """The penalty's own gradient, through the derivative, against central differences."""
    kernel = keras.layers.Dense(3, "tanh")
    encoder = keras.Sequential([keras.Input((5,)), kernel, keras.layers.Dense(2, "tanh")])
    x = RNG.normal(size=(4, 5)).astype("float32")

    def value():
        penalty = layers.ContractivePenalty(seed=3)
        return tf.reduce_sum(penalty.of(_encoding(encoder, x)[0]))

    with tf.GradientTape() as tape:
        total = value()
    gradient = np.asarray(tape.gradient(total, kernel.kernel.value))
    start = kernel.kernel.numpy()
    for i, j in ((0, 0), (3, 2)):
        step = np.zeros_like(start)
        step[i, j] = 1e-2
        values = []
        for sign in (1, -1):
            kernel.kernel.assign(start + sign * step)
            values.append(float(value()))
        kernel.kernel.assign(start)
        assert gradient[i, j] == pytest.approx((values[0] - values[1]) / 2e-2, rel=2e-2, abs=1e-3)


def test_what_priors_of_ones_own_tell():
    """With the base class or without; what they lack is said in a sentence."""

    class Plain:
        def sample(self, shape, seed):
            return np.zeros(shape, "float32")

    class Dense(Plain):
        def log_prob(self, z):
            return z[:, 0]

    class Declaring(priors.Prior):
        def log_prob(self, z):
            return z[:, 0]

    dense = [described(one()).has_density for one in (Plain, Dense, Declaring)]
    assert dense == [False, True, True]
    assert not described(priors.SwissRoll()).has_density
    assert described(priors.StandardNormal()).has_density
    for prior in (Plain(), Dense()):
        assert described(prior).kl(1.0, 2.0) is None
        assert described(prior).components() is None
    with pytest.raises(NotImplementedError, match="has no density"):
        described(Plain()).log_prob(np.zeros((1, 2)))


def test_a_posterior_of_ones_own_is_taken_for_a_gaussian():
    class Fixed(layers.Bottleneck):
        def posterior(self, features):
            return features, ops.zeros_like(features) - 1.0

        def call(self, features):
            return features

        def draw(self, features, training):
            return features, {}

    model = autoencoders.Autoencoder(*networks.mlp((5,), 2), bottleneck=Fixed())
    model.build((None, 5))
    rows = _tensor(RNG.normal(size=(3, 5)))
    mean, log_variance = model.posterior(rows)
    np.testing.assert_array_equal(mean, model.encoder(rows))
    encoding = model.encoding(model.inputs_of(rows), True)
    np.testing.assert_array_equal(encoding.posterior.log_variance, log_variance)


@pytest.mark.parametrize("kind", [1, 2])
def test_dip_penalty_against_numpy(kind):
    mean, log_variance = RNG.normal(size=(2, 9, 3)).astype("float32")
    posterior = DiagonalGaussian(_tensor(mean), _tensor(log_variance))
    drawn = layers.Drawn(None, {}, posterior)
    encoding = layers.Encoding(None, None, drawn, True, None, None)
    covariance = np.cov(mean.T, bias=True)
    if kind == 2:
        covariance = covariance + np.diag(np.exp(log_variance).mean(axis=0))
    off = covariance - np.diag(np.diag(covariance))
    expected = 2.0 * np.square(off).sum() + 3.0 * np.square(np.diag(covariance) - 1.0).sum()
    actual = layers.DIPPenalty(2.0, 3.0, kind=kind).of(encoding)
    assert float(actual) == pytest.approx(expected, rel=1e-4)


def test_mmd_penalty_vanishes_at_the_prior_and_grows_away_from_it():
    penalty = layers.MMDPenalty(seed=0)
    at_prior = np.mean([float(penalty(_tensor(RNG.normal(size=(200, 4))))) for _ in range(20)])
    away = float(penalty(_tensor(RNG.normal(loc=1.0, size=(200, 4)))))
    assert abs(at_prior) < 0.02 < 0.5 < away


def test_top_k_against_numpy():
    z = RNG.normal(size=(6, 8)).astype("float32")
    z[0] = 1.0  # ties keep k, not more
    layer = layers.TopK(3, inference_k=5)
    for code, k in ((layer.draw(z, True)[0], 3), (layer(z), 5), (layer.draw(z, False)[0], 5)):
        code = np.asarray(code)
        assert ((code != 0).sum(axis=1) == k).all()
        for row, kept in zip(z[1:], code[1:], strict=True):
            np.testing.assert_array_equal(np.sort(kept[kept != 0]), np.sort(row)[-k:])
    with pytest.raises(ValueError, match="Cannot keep 9 of 8"):
        layers.TopK(9)(z)


@pytest.mark.parametrize("parts", ["bottleneck", "time", "corruption"])
def test_contractive_penalty_behind_other_parts_is_unbiased(parts):
    """Where one dense layer is not the whole code, the norm is estimated: here against autodiff."""
    dense = keras.layers.Dense(3, "sigmoid")
    shape = (4, 5) if parts == "time" else (5,)
    encoder = keras.Sequential([keras.Input(shape), dense])
    decoder = keras.Sequential([keras.Input((4, 3) if parts == "time" else (3,))])
    decoder.add(keras.layers.Dense(5))
    arguments = {
        "bottleneck": {"bottleneck": layers.GaussianBottleneck(3)},
        "time": {},
        "corruption": {"corruption": layers.MaskingNoise(0.5)},
    }[parts]
    model = autoencoders.Autoencoder(encoder, decoder, **arguments)
    model.build((None, *shape))
    row = RNG.normal(size=(1, *shape)).astype("float32")
    x = tf.constant(row)
    with tf.GradientTape() as tape:
        tape.watch(x)
        code = model.encode(x)
    expected = np.square(tape.jacobian(code, x)).sum()
    rows = tf.constant(np.repeat(row, 20_000, axis=0))
    values = layers.ContractivePenalty().of(model.encoding(model.inputs_of(rows), True))
    values = np.asarray(values)
    assert values.shape == (20_000,)
    error = values.std() / np.sqrt(len(values))
    assert values.mean() == pytest.approx(expected, abs=4 * error + 1e-5)


def test_weights_are_not_negative():
    for make in (
        lambda: layers.ActivityPenalty(l1=-1.0),
        lambda: layers.ContractivePenalty(-1.0),
        lambda: layers.MMDPenalty("much"),
        lambda: layers.GaussianBottleneck(2, beta=-1.0),
        lambda: layers.GaussianBottleneck(2, warm_up=-10),
        lambda: layers.GaussianBottleneck(2, capacity=-5.0),
    ):
        with pytest.raises(ValueError, match="must be a number of 0 or more"):
            make()
    with pytest.raises(ValueError, match="pass both"):
        layers.GaussianBottleneck(2, capacity_steps=10)


def test_class_and_style_are_probabilities_and_a_linear_code():
    layer = layers.ClassAndStyle(3, 2)
    features = RNG.normal(size=(5, 2, 2)).astype("float32")
    classes, style = layer.split(layer(features))
    np.testing.assert_allclose(np.asarray(classes).sum(axis=1), 1.0, rtol=1e-5)
    expected = features.reshape(5, 4) @ np.asarray(layer.style.kernel)
    np.testing.assert_allclose(style, expected, rtol=1e-4, atol=1e-5)
