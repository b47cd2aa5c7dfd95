"""Likelihoods against closed forms and exact sums; what codes hold against counting."""

import itertools

import keras
import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

import autoencoders
from autoencoders import layers, losses, metrics, priors
from autoencoders.distributions.pixelcnn import PixelCNN
from autoencoders.metrics import likelihood, posterior_draws
from autoencoders.training.row_runner import RowRunner

RNG = np.random.default_rng(0)
FEATURES, LATENT, NOISE = 6, 2, 0.5


def _rows(n, shape=(FEATURES,)):
    return RNG.normal(size=(n, *shape)).astype("float32")


def _linear(name="vae_mlp", widen=1.5, shift=0.3, prior=None, **arguments):
    """A factor analysis as a model of the zoo, whose posterior is the true one, but for its width
    and a shift; and the decoder's matrix and bias.
    """
    model = autoencoders.get(
        name,
        compile=False,
        input_shape=(FEATURES,),
        latent_dim=LATENT,
        hidden_units=(),
        likelihood=losses.Gaussian(NOISE),
        **arguments,
    )
    if prior is not None:
        parts = {"bottleneck": layers.GaussianBottleneck(LATENT, prior=prior)}
        parts["likelihood"] = model.likelihood
        model = autoencoders.Autoencoder(model.encoder, model.decoder, **parts)
    model.ensure_built()
    dense = model.decoder.layers[-1]
    # Orthogonal columns, so that the dimensions of the true posterior are independent.
    matrix = np.linalg.qr(RNG.normal(size=(FEATURES, FEATURES)))[0][:, :LATENT] * [1.5, 0.7]
    bias = RNG.normal(size=FEATURES)
    others = dense.kernel.shape[0] - LATENT  # a conditional model's classes
    by_class = RNG.normal(size=(others, FEATURES))
    dense.set_weights([np.concatenate([matrix.T, by_class]), bias])
    precision = 1.0 + (matrix**2).sum(axis=0) / NOISE**2
    project = matrix / NOISE**2 / precision
    none = np.zeros((others, LATENT))
    model.bottleneck.mean.set_weights(
        [np.concatenate([project, -by_class @ project]), shift - bias @ project]
    )
    model.bottleneck.log_variance.set_weights(
        [np.concatenate([np.zeros((FEATURES, LATENT)), none]), np.log(widen**2 / precision)]
    )
    return model, matrix, bias, by_class


def _normal(x, mean, matrix, covariance=None):
    """log p(x) of N(mean, matrix covariance matrixᵀ + noise²)."""
    covariance = np.eye(LATENT) if covariance is None else covariance
    covariance = matrix @ covariance @ matrix.T + NOISE**2 * np.eye(FEATURES)
    return multivariate_normal(mean, covariance).logpdf(x)


def _check(estimate, exact):
    """Estimates err as much as they say."""
    scores = (estimate.rows - exact) / estimate.monte_carlo_errors
    assert np.abs(scores).max() < 5.0
    assert estimate.mean == pytest.approx(estimate.rows.mean())
    deviation = estimate.rows.std(ddof=1) / np.sqrt(len(exact))
    assert estimate.standard_error == pytest.approx(deviation)
    return scores


def test_the_likelihood_of_a_factor_analysis():
    model, matrix, bias, _ = _linear()
    x = _rows(400)
    exact = _normal(x, bias, matrix)
    estimate = metrics.log_likelihood(model, x, 2000)
    scores = _check(estimate, exact)
    assert 0.85 < scores.std() < 1.15
    assert abs(scores.mean()) < 0.2
    assert estimate.monte_carlo_errors.max() < 0.1
    # With the true posterior every weight is p(x).
    model, matrix, bias, _ = _linear(widen=1.0, shift=0.0)
    exact = _normal(x, bias, matrix)
    single = metrics.log_likelihood(model, x, 1)
    np.testing.assert_allclose(single.rows, exact, rtol=1e-4, atol=1e-4)
    bound = metrics.elbo(model, x, 200)
    assert bound.mean == pytest.approx(exact.mean(), abs=0.02)
    assert bound.mean == pytest.approx(bound.reconstruction - bound.kl)


def test_the_bound_rises_with_the_number_of_draws():
    """Burda et al. (2015), theorem 1."""
    model, matrix, bias, _ = _linear(widen=1.3, shift=0.4)
    x = _rows(400)
    bounds = [metrics.log_likelihood(model, x, k).mean for k in (1, 10, 100, 2000)]
    assert np.all(np.diff(bounds) > 0)
    exact = _normal(x, bias, matrix).mean()
    assert bounds[0] < exact - 0.5
    assert bounds[-1] == pytest.approx(exact, abs=0.05)
    elbo = metrics.elbo(model, x, 100)
    assert elbo.mean < exact
    assert elbo.mean == pytest.approx(bounds[0], abs=0.2)


def test_a_mixture_prior():
    weights, means = np.array([0.7, 0.3]), np.array([[-1.0, 0.5], [1.0, 1.0]])
    covariances = np.array([[[0.5, 0.2], [0.2, 0.4]], [[0.3, 0.0], [0.0, 0.6]]])
    prior = priors.GaussianMixture(weights, means, covariances)
    model, matrix, bias, _ = _linear(prior=prior)
    x = _rows(100)

    def exact(prior):
        parts = zip(prior.weights, prior.means, prior.covariances, strict=True)
        logs = [np.log(w) + _normal(x, bias + matrix @ m, matrix, c) for w, m, c in parts]
        return logsumexp(logs, axis=0)

    _check(metrics.log_likelihood(model, x, 2000), exact(prior))
    elbo = metrics.elbo(model, x, 100)
    assert elbo.mean < exact(prior).mean()
    single = metrics.log_likelihood(model, x, 1)
    assert elbo.mean == pytest.approx(single.mean, abs=3 * single.standard_error)
    # Another one than that of training, such as one fitted since.
    model.fit_prior(_rows(300), components=2)
    _check(metrics.log_likelihood(model, x, 2000, prior=model.prior), exact(model.prior))
    elbo = metrics.elbo(model, x, 100, prior=model.prior)
    single = metrics.log_likelihood(model, x, 1, prior=model.prior)
    assert elbo.mean == pytest.approx(single.mean, abs=3 * single.standard_error)
    # Where it is that of training, the draws agree with the closed form.
    model, *_ = _linear()
    a, b = (metrics.elbo(model, x, 500, prior=p) for p in (None, priors.get("normal")))
    assert a.kl != b.kl
    assert a.kl == pytest.approx(b.kl, rel=0.02)


def test_a_vamp_prior():
    model, matrix, bias, _ = _linear("vamp_vae_mlp", num_pseudo_inputs=3)
    x = _rows(100)
    inputs = model.bottleneck.prior.pseudo_inputs.numpy()
    mean, log_variance = model.posterior(inputs)
    logs = [
        _normal(x, bias + matrix @ m, matrix, np.diag(np.exp(v)))
        for m, v in zip(mean, log_variance, strict=True)
    ]
    _check(metrics.log_likelihood(model, x, 2000), logsumexp(logs, axis=0) - np.log(3))


def test_labelled_rows():
    model, matrix, bias, by_class = _linear("cvae_mlp", num_classes=3)
    x, labels = _rows(90), np.arange(90) % 3
    estimate = metrics.log_likelihood(model, (x, labels), 1000, batch_size=2500)
    _check(estimate, _normal(x - by_class[labels], bias, matrix))
    with pytest.raises(ValueError, match=r"takes `\(x, labels\)`"):
        metrics.log_likelihood(model, x, 10)


def _discrete(**arguments):
    arguments = {"latent_dim": 2, "num_codes": 3, "code_dim": 4, **arguments}
    return autoencoders.get("dvae_mlp", input_shape=(5,), hidden_units=(8,), **arguments)


def _log_joint(model, x, prior):
    """log p(x, z) of every code, `(rows, codes)`."""
    grid = np.array(list(itertools.product(range(3), repeat=2)))
    output = model.decode(model.bottleneck.lookup(grid).numpy()).astype("float64")  # probabilities
    logs = x @ np.log(output).T + (1 - x) @ np.log(1 - output).T
    return logs + np.asarray(prior.log_prob(grid), "float64")


@pytest.mark.parametrize("code_dim", [4, None])
def test_a_discrete_model_against_the_sum_over_all_codes(code_dim):
    model = _discrete(code_dim=code_dim)
    x = RNG.uniform(size=(60, 5)).astype("float32")
    exact = logsumexp(_log_joint(model, x, model.training_prior), axis=1)
    estimate = metrics.log_likelihood(model, x, 1000)
    _check(estimate, exact)
    elbo = metrics.elbo(model, x, 1000)
    assert (elbo.rows < exact + 0.05).all()
    logits = model.bottleneck.logits(model.encoder(x)).numpy().astype("float64").reshape(60, 2, 3)
    q = np.exp(logits - logsumexp(logits, axis=-1, keepdims=True))
    joint = q[:, 0, :, None] * q[:, 1, None, :]
    joint = joint.reshape(60, 9)
    by_sum = (joint * (_log_joint(model, x, model.training_prior) - np.log(joint))).sum(axis=1)
    np.testing.assert_allclose(elbo.rows, by_sum, atol=0.15)
    assert elbo.mean == pytest.approx(by_sum.mean(), abs=0.02)
    assert elbo.kl == pytest.approx((joint * np.log(9 * joint)).sum(axis=1).mean(), abs=1e-4)

    prior = PixelCNN((2,), 3, filters=4, blocks=1, seed=1)
    exact = logsumexp(_log_joint(model, x, prior), axis=1)
    _check(metrics.log_likelihood(model, x, 1000, prior=prior), exact)


def test_padding_has_no_likelihood():
    arguments = {"latent_dim": 2, "units": (4,), "mask_value": -9.0}
    model = autoencoders.get("vae_lstm", input_shape=(None, 2), **arguments)
    x = _rows(3, (6, 2))
    padded = np.concatenate([x, np.full((3, 2, 2), -9.0, "float32")], axis=1)
    a, b = (metrics.log_likelihood(model, rows, 20).rows for rows in (x, padded))
    np.testing.assert_allclose(a, b, rtol=1e-5)


def test_a_row_has_the_same_estimate_whatever_the_chunks(monkeypatch, digits):
    model = autoencoders.get("vae_mlp", weights="digits")
    x = digits[1][:20]
    whole = metrics.log_likelihood(model, x, 50)
    for batch_size in (7, 50, 333):
        parts = metrics.log_likelihood(model, x, 50, batch_size=batch_size)
        np.testing.assert_allclose(parts.rows, whole.rows, rtol=1e-5)
    monkeypatch.setattr(posterior_draws, "_BLOCK_BYTES", 5000)
    np.testing.assert_allclose(metrics.log_likelihood(model, x, 50).rows, whole.rows, rtol=1e-5)
    np.testing.assert_allclose(metrics.log_likelihood(model, x[:9], 50).rows, whole.rows[:9])
    assert not np.allclose(metrics.log_likelihood(model, x, 50, seed=1).rows, whole.rows, rtol=1e-5)


def test_memory_does_not_grow_with_the_draws(monkeypatch):
    model, *_ = _linear()
    calls = []
    run = RowRunner.run

    def watched(self, name, function, x, batch_size=None, row_bytes=0):
        inputs = x if isinstance(x, tuple) else (x,)
        calls.append((name, batch_size, inputs[-1].shape))
        return run(self, name, function, x, batch_size, row_bytes)

    monkeypatch.setattr(RowRunner, "run", watched)
    for count, num_samples, given in ((3, 10_000, None), (3, 10_000, 70), (50, 20, 70)):
        calls.clear()
        metrics.log_likelihood(model, _rows(count), num_samples, batch_size=given)
        encoded = [batch_size for name, batch_size, _ in calls if name == "posterior"]
        assert encoded == [None]  # so that it follows from the rows' size
        decoded = [batch_size * codes[1] for name, batch_size, codes in calls if name == "draws"]
        assert 0 < max(decoded) <= (given or 1024)
        assert len(decoded) >= num_samples / (given or 1024)


def test_the_elbo_is_the_loss_of_evaluate(digits):
    x = np.tile(digits[1], (5, 1, 1, 1))
    for model in (
        autoencoders.get("vae_mlp", weights="digits"),
        autoencoders.get("dvae_mlp", input_shape=(8, 8, 1), num_codes=5, latent_dim=3),
    ):
        logs = model.evaluate(x, verbose=0, return_dict=True)
        elbo = metrics.elbo(model, x)
        assert -elbo.mean == pytest.approx(logs["loss"], rel=0.01)
        assert elbo.kl == pytest.approx(logs["kl_loss"], rel=1e-4)
        assert -elbo.reconstruction == pytest.approx(logs["reconstruction_loss"], rel=0.01)
        kl = metrics.kl_per_dimension(model, x)
        assert kl.shape == model.latent_shape[:1]
        assert kl.sum() == pytest.approx(logs["kl_loss"], rel=1e-4)


def test_active_units():
    model, *_ = _linear()
    kernel, bias = model.bottleneck.mean.get_weights()
    model.bottleneck.mean.set_weights([kernel * [1.0, 1e-3], bias])
    x = _rows(200)
    assert metrics.active_units(model, x) == 1
    variance = model.encode(x).var(axis=0)
    assert metrics.active_units(model, x, threshold=0.9 * variance.min()) == 2
    assert metrics.active_units(model, x, threshold=1.1 * variance.max()) == 0


@pytest.mark.parametrize("name", ["vq_vae_conv", "dvae_conv"])
def test_the_perplexity_of_a_codebook(name, digits):
    model = autoencoders.get(name, input_shape=(8, 8, 1), filters=(4,), num_codes=40)
    x = digits[1]
    codes = model.bottleneck.indices(model.encoder(x)).numpy()
    _, counts = np.unique(codes, return_counts=True)
    share = counts / counts.sum()
    use = metrics.codebook_perplexity(model, x)
    assert use.used == len(counts)
    assert use.num_codes == 40
    assert use.perplexity == pytest.approx(np.prod(share**-share))
    assert 1.0 <= use.perplexity <= use.used


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("ae_mlp", {}, "no posterior.*discrete VAEs"),
        ("aae_mlp", {}, "no posterior"),
        ("wae_mlp", {}, "no posterior"),
        ("vq_vae_conv", {"input_shape": (8, 8, 1)}, "no posterior.*one point"),
        ("vae_gan_conv", {"input_shape": (8, 8, 1)}, "no likelihood.*Variational models do"),
        ("vae_mlp", {"likelihood": "squared_error"}, "a likelihood without a scale"),
    ],
)
def test_models_without_a_likelihood_say_which_have_one(name, arguments, message):
    model = autoencoders.get(name, **{"input_shape": (8,), **arguments})
    for measure in (metrics.log_likelihood, metrics.elbo):
        with pytest.raises(ValueError, match=message):
            measure(model, np.zeros((3, *model.row_shape), "float32"))


def test_bad_arguments():
    model, *_ = _linear()
    x = _rows(5)
    for measure in (metrics.log_likelihood, metrics.elbo, metrics.active_units):
        with pytest.raises(ValueError, match="1 of 5 rows hold NaN"):
            measure(model, np.where(np.arange(5)[:, None] == 2, np.nan, x))
        with pytest.raises(ValueError, match=r"must have shape \(n, 6\)"):
            measure(model, x[:, :3])
    with pytest.raises(ValueError, match="`num_samples` must be a positive integer"):
        metrics.log_likelihood(model, x, 0)
    with pytest.raises(ValueError, match="`batch_size` must be a positive integer"):
        metrics.log_likelihood(model, x, batch_size=0)
    for seed in (-1, None, 0.5):
        with pytest.raises(ValueError, match="`seed` must be an integer, 0 or more"):
            metrics.elbo(model, x, seed=seed)
    for measure in (
        *(metrics.log_likelihood, metrics.elbo, metrics.active_units),
        *(metrics.kl_per_dimension, metrics.codebook_perplexity),
    ):
        with pytest.raises(ValueError, match="must be an Autoencoder, got a ndarray"):
            measure(x, model)
    with pytest.raises(ValueError, match="2 rows or more"):
        metrics.active_units(model, x[:1])
    broken, *_ = _linear()
    broken.bottleneck.mean.bias.assign([np.nan, 0.0])
    with pytest.raises(ValueError, match=r"means of .* are not finite"):
        metrics.active_units(broken, x)
    with pytest.raises(ValueError, match="SwissRoll has no density"):
        metrics.log_likelihood(model, x, prior=priors.get("swiss_roll"))
    with pytest.raises(ValueError, match="over latent vectors"):
        metrics.log_likelihood(model, x, prior=priors.UniformCodes(3))
    grey = autoencoders.get("vae_mlp", input_shape=(FEATURES,))
    with pytest.raises(ValueError, match="must lie in"):
        metrics.log_likelihood(grey, x - 5.0)
    with pytest.raises(ValueError, match="no codebook"):
        metrics.codebook_perplexity(model, x)
    discrete = _discrete()
    with pytest.raises(ValueError, match="no latent units"):
        metrics.active_units(discrete, np.zeros((3, 5), "float32"))
    mixed, *_ = _linear(prior=priors.get("mixture"))
    with pytest.raises(ValueError, match="does not fall into dimensions"):
        metrics.kl_per_dimension(mixed, x)
    alone = metrics.log_likelihood(model, x[:1], 1)
    assert np.isnan([alone.standard_error, alone.monte_carlo_errors[0]]).all()


def test_weights_of_zero_have_a_mean():
    values = np.log(RNG.uniform(size=(3, 4)))
    values[0] = -np.inf
    values[1, :2] = -np.inf
    mean = likelihood._LogMeanExp()
    for part in (values[:, :2], values[:, 2:]):
        mean.add(part)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(mean.mean(), np.log(np.exp(values).mean(axis=1)))
    deviation = np.exp(values[1:]).std(axis=1, ddof=1) / 2.0
    np.testing.assert_allclose(mean.error()[1:], deviation / np.exp(values[1:]).mean(axis=1))
    assert np.isnan(mean.error()[0])


def test_one_draw_in_a_thousand_has_an_error_of_1():
    """What the docs say of errors: they are at most 1, and 1 / error² draws carry the sum."""
    for carrying in (1, 9):
        values = np.full((1, 1000), -50.0)
        values[:, :carrying] = 0.0
        mean = likelihood._LogMeanExp()
        mean.add(values)
        assert mean.error()[0] == pytest.approx(carrying**-0.5, rel=0.01)
        assert mean.error()[0] <= 1.0


def test_mixed_precision():
    x = _rows(20)
    model, matrix, bias, _ = _linear()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        half, *_ = _linear()
    finally:
        keras.config.set_dtype_policy("float32")
    half.set_weights(model.get_weights())
    np.testing.assert_allclose(
        metrics.log_likelihood(half, x, 500).rows, _normal(x, bias, matrix), rtol=0.05, atol=0.3
    )
