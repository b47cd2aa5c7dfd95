"""The variational family against probabilistic PCA, exact likelihoods and its papers' claims."""

import keras
import numpy as np
import pytest

import autoencoders
from autoencoders import layers, losses, networks
from autoencoders.models.variational import ConditionalAutoencoder, ImportanceWeightedAutoencoder
from autoencoders.training.step import Batch
from tests.checks import drawn_in_training
from tests.kept.facts import eagerly

RNG = np.random.default_rng(0)
FEATURES, LATENT = 6, 2


@pytest.fixture(scope="module")
def table():
    """Rows of a normal distribution with two strong directions, and their eigenvalues."""
    basis = np.linalg.qr(RNG.normal(size=(FEATURES, FEATURES)))[0]
    scales = np.array([3.0, 2.0, 0.5, 0.5, 0.5, 0.5])
    x = (RNG.normal(size=(2000, FEATURES)) * scales) @ basis.T + 1.0
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    return x.astype("float32"), values[::-1], vectors[:, ::-1]


@pytest.fixture(scope="module")
def linear_vae(table):
    """A linear VAE with probabilistic PCA's noise, trained to its optimum."""
    x, values, _ = table
    keras.utils.set_random_seed(0)
    encoder = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Identity()])
    _, decoder = networks.mlp((FEATURES,), LATENT)
    noise = float(np.sqrt(values[LATENT:].mean()))
    model = autoencoders.Autoencoder(
        encoder,
        decoder,
        bottleneck=layers.GaussianBottleneck(LATENT),
        likelihood=losses.Gaussian(noise),
    )
    decay = keras.optimizers.schedules.CosineDecay(0.02, 4000)
    model.compile(keras.optimizers.Adam(decay))
    model.fit(x, batch_size=500, epochs=1000, verbose=0)
    return model


def _loss(model, x, batch_size=32):
    return model.evaluate(x, batch_size=batch_size, verbose=0, return_dict=True)["loss"]


def _ppca_log_likelihood(values):
    """The mean log-likelihood of a row at the optimum: Tipping & Bishop (1999), equation 8."""
    noise = values[LATENT:].mean()
    log_determinant = np.log(values[:LATENT]).sum() + (FEATURES - LATENT) * np.log(noise)
    return -0.5 * (FEATURES * np.log(2 * np.pi) + log_determinant + FEATURES)


def test_a_linear_vae_reaches_probabilistic_pca(table, linear_vae):
    """Lucas et al., "Don't blame the ELBO!" (2019): its optimum is that of probabilistic PCA."""
    x, values, vectors = table
    tiled = np.tile(x, (20, 1))
    elbo = -_loss(linear_vae, tiled, batch_size=2000)
    expected = _ppca_log_likelihood(values)
    assert elbo == pytest.approx(expected, abs=0.02)
    # The decoder's weights are the principal axes, scaled: W Wᵀ = U (Λ − σ²) Uᵀ.
    weights = linear_vae.decoder.layers[-1].kernel.numpy().T
    principal = vectors[:, :LATENT]
    scales = np.diag(values[:LATENT] - values[LATENT:].mean())
    np.testing.assert_allclose(weights @ weights.T, principal @ scales @ principal.T, atol=0.15)
    # The posterior's variance is σ² (WᵀW + σ²)⁻¹, whose eigenvalues are σ² / λ_i.
    _, log_variance = linear_vae.posterior(x)
    expected = (values[LATENT:].mean() / values[:LATENT]).sum()
    assert np.exp(log_variance).sum(axis=1).mean() == pytest.approx(expected, rel=0.1)


def _importance_weighted(model, k):
    """A model of the same weights, evaluated by k samples."""
    twin = ImportanceWeightedAutoencoder(
        model.encoder,
        model.decoder,
        bottleneck=layers.GaussianBottleneck(LATENT, num_samples=k),
        likelihood=model.likelihood,
    )
    twin.compile("adam")
    twin.bottleneck.set_weights(model.bottleneck.get_weights())
    return twin


def test_the_importance_weighted_bound_grows_with_k_towards_the_likelihood(table, linear_vae):
    """Burda et al. (2015), theorem 1, where the likelihood is known: a linear model of worse
    posterior than the optimum.
    """
    x, _, _ = table
    tiled = np.tile(x[:500], (10, 1))
    # A posterior twice as wide leaves a gap, the same weights otherwise.
    weights = linear_vae.bottleneck.get_weights()
    wide = layers.GaussianBottleneck(LATENT)
    wide.build((None, FEATURES))
    wide.set_weights(
        [w + np.log(2.0) if w.shape == (LATENT,) and i == 3 else w for i, w in enumerate(weights)]
    )
    model = autoencoders.Autoencoder(
        linear_vae.encoder, linear_vae.decoder, bottleneck=wide, likelihood=linear_vae.likelihood
    )
    kernel, offset = (w.numpy() for w in linear_vae.decoder.layers[-1].weights)
    covariance = kernel.T @ kernel + linear_vae.likelihood.stddev**2 * np.eye(FEATURES)
    centred = x[:500] - offset
    inverse, (_, log_determinant) = np.linalg.inv(covariance), np.linalg.slogdet(covariance)
    exact = -0.5 * (
        FEATURES * np.log(2 * np.pi)
        + log_determinant
        + np.einsum("ni,ij,nj->n", centred, inverse, centred).mean()
    )
    logs = {
        k: _importance_weighted(model, k).evaluate(
            tiled, batch_size=500, verbose=0, return_dict=True
        )
        for k in (1, 5, 50)
    }
    assert logs[1]["importance_loss"] == pytest.approx(0.0, abs=1e-4)
    bounds = [-logs[k]["loss"] for k in (1, 5, 50)]
    assert bounds[0] < bounds[1] - 0.02 < bounds[2] - 0.02
    assert bounds[2] <= exact + 0.02
    assert exact - bounds[2] < 0.1 * (exact - bounds[0])
    # At k = 1 it is the ELBO, with the KL of the drawn sample in the place of its closed form.
    model.compile("adam")
    elbo = -_loss(model, tiled, batch_size=500)
    assert bounds[0] == pytest.approx(elbo, abs=0.05)


def test_several_samples_estimate_the_same_loss_with_less_noise(table, linear_vae):
    x = table[0][:200]

    def spread(k):
        bottleneck = layers.GaussianBottleneck(LATENT, num_samples=k)
        model = autoencoders.Autoencoder(
            linear_vae.encoder,
            linear_vae.decoder,
            bottleneck=bottleneck,
            likelihood=linear_vae.likelihood,
        )
        model.compile("adam")
        bottleneck.set_weights(linear_vae.bottleneck.get_weights())
        rows = keras.ops.convert_to_tensor(x)
        values = [
            float(model.reconstruction_phase(Batch(rows, rows), False)["reconstruction_loss"])
            for _ in range(40)
        ]
        return np.mean(values), np.std(values)

    (mean_1, std_1), (mean_9, std_9) = spread(1), spread(9)
    assert mean_9 == pytest.approx(mean_1, abs=4 * std_1 / np.sqrt(40))
    assert std_9 == pytest.approx(std_1 / 3.0, rel=0.5)


# Schedules ----------------------------------------------------------------------------------------


def _terms(bottleneck, steps, training=True):
    features = np.ones((3, 4), "float32")
    bottleneck.build(features.shape)
    values = []
    for _ in range(steps):
        drawn = (
            drawn_in_training(bottleneck, features)
            if training
            else bottleneck.draw(features, False)
        )
        values.append(drawn.terms["kl_loss"])
    whole = np.asarray(bottleneck.prior.kl(*bottleneck.posterior(features)))
    return np.asarray(values), whole


def test_the_kl_warms_up_step_by_step():
    values, whole = _terms(layers.GaussianBottleneck(2, beta=2.0, warm_up=4), 6)
    shares = np.array([0.0, 0.25, 0.5, 0.75, 1.0, 1.0])
    np.testing.assert_allclose(values, 2.0 * shares[:, None] * whole, rtol=1e-5)
    values, whole = _terms(layers.GaussianBottleneck(2, beta=2.0, warm_up=4), 2, training=False)
    np.testing.assert_allclose(values, 2.0 * np.stack([whole] * 2), rtol=1e-5)


def test_the_capacity_grows_step_by_step():
    bottleneck = layers.GaussianBottleneck(2, beta=3.0, capacity=8.0, capacity_steps=4)
    values, whole = _terms(bottleneck, 6)
    capacity = 8.0 * np.array([0.0, 0.25, 0.5, 0.75, 1.0, 1.0])
    np.testing.assert_allclose(values, 3.0 * np.abs(whole - capacity[:, None]), rtol=1e-5)


def test_free_bits_cost_nothing():
    bottleneck = layers.GaussianBottleneck(2, free_bits=0.3)
    features = RNG.normal(size=(50, 4)).astype("float32")
    bottleneck.build(features.shape)
    actual = float(bottleneck.draw(features, True)[1]["kl_loss"])
    mean, log_variance = (np.asarray(part) for part in bottleneck.posterior(features))
    per_dimension = 0.5 * (np.exp(log_variance) + mean**2 - 1.0 - log_variance).mean(axis=0)
    assert actual == pytest.approx(np.maximum(per_dimension, 0.3).sum(), rel=1e-5)
    with pytest.raises(ValueError, match="standard normal"):
        layers.GaussianBottleneck(2, free_bits=0.1, prior=autoencoders.priors.SwissRoll())


def test_active_units_count_the_dimensions_that_vary():
    bottleneck = layers.GaussianBottleneck(3)
    features = RNG.normal(size=(500, 2)).astype("float32")
    bottleneck.build(features.shape)
    bottleneck.mean.kernel.assign([[1.0, 0.05, 0.2], [0.0, 0.0, 0.0]])  # variances 1, .0025, .04
    assert float(bottleneck.draw(features, True)[1]["active_units"]) == 2.0


def test_batches_of_one_row_are_no_collapse():
    x = np.random.default_rng(0).uniform(size=(40, 8)).astype("float32")
    model = autoencoders.get("vae_mlp", input_shape=(8,), hidden_units=(8,), beta=0.01)
    model.compile(keras.optimizers.Adam(0.01))
    logs = model.fit(x, batch_size=1, epochs=5, verbose=0).history  # warnings are errors
    assert logs["active_units"][-1] > 1.0


@pytest.mark.parametrize("name", ["vae_mlp", "vae_conv"])
def test_posterior_collapse_is_named(name, digits):
    x, _ = digits
    model = autoencoders.get(name, input_shape=(8, 8, 1), latent_dim=5, beta=100.0)
    with pytest.warns(UserWarning, match="Posterior collapse: 0 of 5 latent units"):
        # Without a rest, which takes its own program; for more than 1,000 steps.
        model.fit(x[:1408], batch_size=4, epochs=3, verbose=0)


# The papers' claims -------------------------------------------------------------------------------


# Training digits that make whole batches of 50: the rest would take a program of its own.
WHOLE = 1400


def _trained(name, x, labels=None, epochs=40, jit_compile=False, **arguments):
    """Without XLA: in a run this short it saves less than it takes to compile."""
    keras.utils.set_random_seed(0)
    model = autoencoders.get(name, input_shape=(8, 8, 1), **arguments)
    model.compile(keras.optimizers.Adam(2e-3), jit_compile=jit_compile)
    model.fit(x, labels, batch_size=50, epochs=epochs, verbose=0)
    return model


def test_midpoints_of_a_vae_lie_nearer_to_real_digits(digits):
    """Decoded midpoints between digits of two classes, by the distance to the nearest of other
    real digits: under a VAE they are smaller than under a plain autoencoder of the same shape.
    """
    (train, train_labels), _ = autoencoders.datasets.digits()
    half = WHOLE // 2
    x, held_out = train[:half], train[half:].reshape(-1, 64)
    pairs = RNG.integers(half, size=(2, 1000))
    pairs = pairs[:, train_labels[pairs[0]] != train_labels[pairs[1]]]
    distance = {}
    for name in ("ae_mlp", "vae_mlp"):
        model = _trained(name, x, epochs=150, latent_dim=8, hidden_units=(128,))
        codes = model.encode(x)
        midpoints = model.decode(codes[pairs].mean(axis=0)).reshape(-1, 64)
        gaps = ((midpoints[:, None] - held_out[None]) ** 2).sum(axis=2)
        distance[name] = np.sqrt(gaps.min(axis=1))
    gain = distance["ae_mlp"] - distance["vae_mlp"]
    print({name: values.mean() for name, values in distance.items()})
    assert gain.mean() > 5 * gain.std() / np.sqrt(len(gain))


def test_a_conditional_model_draws_the_class_it_is_told(digits):
    (x, y), (test, test_labels) = autoencoders.datasets.digits()
    model = _trained("cvae_mlp", x[:WHOLE], y[:WHOLE])
    labels = np.repeat(np.arange(10), 20)
    samples = model.sample(200, labels=labels, seed=0).reshape(200, 64)
    centres = np.stack([x[y == c].reshape(-1, 64).mean(axis=0) for c in range(10)])
    nearest = ((samples[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == labels).mean() > 0.9
    # The same code as another class is another digit; as its own it is the reconstruction.
    codes = model.encode((test, test_labels))
    own = model.decode((codes, test_labels))
    np.testing.assert_allclose(own, model.predict((test, test_labels), verbose=0), atol=1e-5)
    other = model.decode((codes, (test_labels + 1) % 10))
    assert np.square(other - test).mean() > 2 * np.square(own - test).mean()
    line = model.interpolate((test[0], test_labels[0]), (test[1], test_labels[1]), steps=3)
    np.testing.assert_allclose(line[[0, -1]], own[:2], atol=1e-5)
    for call in (model.predict, model.encode, model.reconstruction_error):
        with pytest.raises(ValueError, match=r"takes `\(x, labels\)`"):
            call(test)
    with pytest.raises(ValueError, match="Labels must be integers from 0 to 9"):
        model.predict((test, test_labels + 5), verbose=0)
    assert model.sample(4, labels=3).shape == (4, 8, 8, 1)


def test_a_penalty_on_total_correlation_lowers_it(digits):
    """β-TCVAE and FactorVAE have less total correlation than the VAE, by a Gaussian's closed form:
    −½ log |R| of the means' correlation matrix.
    """
    x, _ = digits
    arguments = {"latent_dim": 4, "hidden_units": (64,), "jit_compile": "auto"}

    def total_correlation(name, **more):
        means = _trained(name, x, **arguments, **more).encode(x)
        return -0.5 * np.linalg.slogdet(np.corrcoef(means.T))[1]

    plain = total_correlation("vae_mlp", beta=0.2)
    split = total_correlation("vae_mlp", beta=0.2, total_correlation=2.0)
    factor = total_correlation("factor_vae_mlp", beta=0.2, gamma=5.0, discriminator_units=(64,))
    print(plain, split, factor)
    assert max(split, factor) < 0.7 * plain


def test_dip_draws_the_covariance_towards_the_identity(digits):
    x, _ = digits
    distance = {}
    for dip in (None, (10.0, 10.0)):
        model = _trained("vae_mlp", x[:WHOLE], latent_dim=4, dip=dip, hidden_units=(64,))
        covariance = np.cov(model.encode(x).T)
        distance[dip] = np.linalg.norm(covariance - np.eye(4))
    print(distance)
    assert distance[(10.0, 10.0)] < 0.5 * distance[None]


def test_the_wasserstein_autoencoder_draws_its_codes_towards_the_prior(digits):
    x, _ = digits
    spread = {}
    for mmd in (0.0, 10.0):
        model = _trained("wae_mlp", x[:WHOLE], latent_dim=4, mmd=mmd, hidden_units=(64,))
        codes = model.encode(x)
        spread[mmd] = np.linalg.norm(np.cov(codes.T) - np.eye(4)) + np.abs(codes.mean(0)).max()
    print(spread)
    assert spread[10.0] < 0.25 * spread[0.0]


def test_the_vamp_prior_fits_the_codes_better_than_the_normal(digits):
    """Tomczak & Welling (2018): a tighter bound than with the standard normal prior."""
    x, test = digits
    arguments = {"latent_dim": 4, "hidden_units": (64,), "likelihood": "continuous_bernoulli"}
    tiled = np.tile(test, (5, 1, 1, 1))
    plain = _loss(_trained("vae_mlp", x[:WHOLE], epochs=60, **arguments), tiled, batch_size=360)
    vamp = _trained("vamp_vae_mlp", x[:WHOLE], epochs=60, num_pseudo_inputs=50, **arguments)
    tighter = _loss(vamp, tiled, batch_size=360)
    print(plain, tighter)
    assert tighter < plain - 1.0
    assert vamp.sample(7, seed=0).shape == (7, 8, 8, 1)
    np.testing.assert_array_equal(vamp.sample(7, seed=0), vamp.sample(7, seed=0))


# Answers ------------------------------------------------------------------------------------------


def test_perturbing_the_mean_and_the_variance():
    model = autoencoders.get("vae_mlp", weights="digits")
    x = autoencoders.datasets.digits()[1][0][:5]
    np.testing.assert_allclose(
        model.perturb(x, variance=0.0)[:, 0], model.predict(x, verbose=0), atol=1e-5
    )
    shifted = model.perturb(x, mean=[0.5, -1.0], variance=0.0)[:, 0]
    codes = model.encode(x) + np.array([0.5, -1.0], "float32")
    np.testing.assert_allclose(shifted, model.decode(codes), atol=1e-5)
    narrow, wide = (model.perturb(x, variance=v, samples=50, seed=0) for v in (0.1, 4.0))
    assert narrow.shape == (5, 50, 8, 8, 1)
    assert (wide.std(axis=1).mean(axis=(1, 2, 3)) > narrow.std(axis=1).mean(axis=(1, 2, 3))).all()
    np.testing.assert_array_equal(narrow, model.perturb(x, variance=0.1, samples=50, seed=0))
    plain = autoencoders.get("ae_mlp", weights="digits")
    assert np.ptp(plain.perturb(x, samples=3), axis=1).max() == 0.0
    with pytest.raises(ValueError, match="0 or more"):
        model.perturb(x, variance=-1.0)


def test_a_conditional_model_of_padded_series():
    """Padding and labels together: a padded series is as the same series unpadded."""
    encoder, decoder = networks.recurrent((None, 2), 3, (4,), code=False, masked=True)
    model = ConditionalAutoencoder(
        encoder,
        decoder,
        num_classes=3,
        bottleneck=layers.GaussianBottleneck(3),
        mask_value=-2.0,
    )
    model.build((None, None, 2))
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 5, 2)).astype("float32"), np.arange(6) % 3
    padded = np.concatenate([x, np.full((6, 3, 2), -2.0, "float32")], axis=1)
    with eagerly():
        np.testing.assert_allclose(model.encode((padded, y)), model.encode((x, y)), atol=1e-6)
        again = model((padded, y)).numpy()
        np.testing.assert_allclose(again[:, :5], model((x, y)).numpy(), atol=1e-6)
        assert (again[:, 5:] == -2.0).all()
        assert np.abs(model.encode((x, y)) - model.encode((x, (y + 1) % 3))).max() > 1e-4
        model.compile("sgd")
        logs = model.evaluate(padded, y, verbose=0, return_dict=True)
        plain = model.evaluate(x, y, verbose=0, return_dict=True)
        assert logs == pytest.approx(plain, rel=1e-5)
        assert model.decode((model.encode((x, y)), y), steps=5).shape == (6, 5, 2)
        np.testing.assert_allclose(
            model.reconstruction_error((padded, y)), model.reconstruction_error((x, y)), rtol=1e-5
        )
