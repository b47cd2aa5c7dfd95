"""How probable a model of the variational or discrete family finds data, and what its codes hold.

All figures are in nats of the whole model: the weights that the terms had in training (`beta`,
`free_bits`, ...) play no part. Where grey pixels are taken for probabilities ("bernoulli"), p(x) is
normalised over binary images alone; compare such figures with their like.
"""

import math
from functools import partial
from typing import NamedTuple

import numpy as np
from keras import ops

from autoencoders import losses, priors
from autoencoders.autoencoder import Autoencoder
from autoencoders.checks import check_integers
from autoencoders.distributions.posteriors import Categorical, DiagonalGaussian
from autoencoders.distributions.priors import described
from autoencoders.training.row_runner import RowRunner, size_without_rest

# Codes decoded at once: enough that launching a program costs little, few enough to stay in cache.
_BATCH_BYTES = 2**22
_FEWEST, _MOST = 32, 1024

# Draws that are held at once, with what they are drawn from.
_BLOCK_BYTES = 2**26

_WHICH = (
    "Variational models do (`list_models(family='variational')`, all but 'wae_mlp'), and discrete "
    "VAEs ('dvae_mlp', 'dvae_conv')."
)


class LogLikelihood(NamedTuple):
    """Estimates of log p(x), in nats.

    Attributes:
        rows: Of each row, `(n,)`.
        mean: Their mean.
        standard_error: Of the mean, as rows vary; NaN for a single row.
        monte_carlo_errors: Standard error of each row's estimate, as draws vary, `(n,)`, by the
            delta method; NaN for a single draw. It is at most 1: about 1 / error² draws carry the
            sum. Above 0.3 or so do not trust it, nor the estimate, which is too low.
    """

    rows: np.ndarray
    mean: float
    standard_error: float
    monte_carlo_errors: np.ndarray


class ELBO(NamedTuple):
    """The evidence lower bound of log p(x), in nats.

    Attributes:
        rows: Of each row, `(n,)`.
        mean: Their mean: `reconstruction` less `kl`.
        standard_error: Of the mean, as rows vary; NaN for a single row.
        reconstruction: The mean of E_q(z|x)[log p(x|z)].
        kl: The mean of KL(q(z|x) ‖ p(z)).
    """

    rows: np.ndarray
    mean: float
    standard_error: float
    reconstruction: float
    kl: float


class CodebookUse(NamedTuple):
    """How evenly data use a codebook.

    Attributes:
        perplexity: exp of the entropy of the codes' frequencies: from 1, one code for all, to
            `num_codes`, each as often.
        used: How many codes occur at all.
        num_codes: How many there are.
    """

    perplexity: float
    used: int
    num_codes: int


def log_likelihood(model, x, num_samples=5000, *, prior=None, batch_size=None, seed=0):
    """Importance-sampled log p(x): log 1/k Σ_i p(x, z_i) / q(z_i|x), with z_i drawn from q(z|x).

    Burda, Grosse & Salakhutdinov, "Importance weighted autoencoders" (2015, arXiv:1509.00519): a
    lower bound in expectation for any k, which rises to log p(x) as k grows; k = 1 is the ELBO and
    5,000 the literature's number. The codes of a discrete VAE are categories, drawn as they are.

    Args:
        model: A variational model or a discrete VAE, with a likelihood.
        x: Array `(n, *input_shape)`; with labels `(x, labels)`, for a model that needs them.
        num_samples: k.
        prior: p(z), with a `log_prob`; the one that the model was trained with unless given.
            `model.prior` is the one that `fit_prior` fitted.
        batch_size: The most codes decoded at once; it bounds memory, whatever `num_samples`.
        seed: Integer, 0 or more. A row's draws follow from it and from the row's number alone.

    Returns:
        `LogLikelihood`.

    Raises:
        ValueError: bad rows or numbers, no `Autoencoder`, or one without a normalised likelihood, a
            posterior or a prior with a density.
    """
    draws = _Draws(model, x, num_samples, prior, batch_size, seed)
    means, errors = [], []
    for _, chunks in draws.blocks():
        weights = _LogMeanExp()
        for log_likelihoods, log_priors, log_posteriors in chunks:
            weights.add(log_likelihoods + log_priors - log_posteriors)
        means.append(weights.mean())
        errors.append(weights.error())
    rows = np.concatenate(means)
    return LogLikelihood(rows, *_mean_and_error(rows), np.concatenate(errors))


def elbo(model, x, num_samples=1, *, prior=None, batch_size=None, seed=0):
    """The evidence lower bound E_q(z|x)[log p(x|z)] − KL(q(z|x) ‖ p(z)).

    Kingma & Welling, "Auto-Encoding Variational Bayes" (2013, arXiv:1312.6114). The KL has its
    closed form where there is one (the model was trained with a standard normal or a uniform prior,
    and no other is given), otherwise it is that of the draws.

    Args:
        model: A variational model or a discrete VAE, with a likelihood.
        x: Array `(n, *input_shape)`; with labels `(x, labels)`, for a model that needs them.
        num_samples: Draws of z for each row.
        prior: As in `log_likelihood`.
        batch_size: The most codes decoded at once; it bounds memory, whatever `num_samples`.
        seed: Integer, 0 or more. A row's draws follow from it and from the row's number alone.

    Returns:
        `ELBO`.

    Raises:
        ValueError: as in `log_likelihood`.
    """
    draws = _Draws(model, x, num_samples, prior, batch_size, seed)
    reconstructions, divergence = [], []
    for parameters, chunks in draws.blocks():
        reconstruction, log_ratio = 0.0, 0.0
        for log_likelihoods, log_priors, log_posteriors in chunks:
            reconstruction += log_likelihoods.sum(axis=1)
            log_ratio += (log_posteriors - log_priors).sum(axis=1)
        closed = draws.posterior.kl(*parameters) if prior is None else None
        reconstructions.append(reconstruction / num_samples)
        divergence.append(log_ratio / num_samples if closed is None else closed)
    reconstruction, kl = np.concatenate(reconstructions), np.concatenate(divergence)
    rows = reconstruction - kl
    return ELBO(rows, *_mean_and_error(rows), float(reconstruction.mean()), float(kl.mean()))


def active_units(model, x, threshold=0.01):
    """How many latent dimensions say something about x: their posterior mean varies over rows.

    Burda, Grosse & Salakhutdinov (2015, arXiv:1509.00519).

    Args:
        model: A variational model.
        x: Array `(n, *input_shape)`; with labels `(x, labels)`, for a model that needs them.
        threshold: The variance above which a dimension is active, the paper's 0.01.

    Raises:
        ValueError: bad rows or a single one, a model without a Gaussian posterior or whose means
            are not finite.
    """
    _check_model(model)
    model.ensure_built(x)
    if not isinstance(_posterior(model), _GaussianPosterior):
        raise ValueError(f"{model.name!r} has no latent units: its codes are categories. {_WHICH}")
    mean, _ = model.posterior(x)
    if len(mean) < 2:
        raise ValueError("`x` must have 2 rows or more: a single one does not vary.")
    if not np.isfinite(mean).all():
        raise ValueError(f"The posterior means of {model.name!r} are not finite.")
    return int((mean.var(axis=0, dtype="float64") > threshold).sum())


def kl_per_dimension(model, x):
    """The mean over rows of the KL from posterior to prior, of every latent dimension, in nats.

    Args:
        model: A variational model with a standard normal prior; or a discrete VAE, whose dimensions
            are the places of its codes.
        x: Array `(n, *input_shape)`; with labels `(x, labels)`, for a model that needs them.

    Returns:
        `(latent_dim,)`, or `(*places,)`; the sum is the `kl_loss` of a plain VAE's `evaluate`.

    Raises:
        ValueError: a model whose KL does not fall into dimensions.
    """
    _check_model(model)
    model.ensure_built(x)
    prior = _posterior(model).prior
    kl = None
    if model.posterior_family is DiagonalGaussian:
        kl = described(prior).kl_per_dimension(*model.posterior(x))
    elif isinstance(prior, priors.UniformCodes):
        kl = model.over_rows("kl_per_dimension", partial(_categorical_kl, model), x)
    if kl is None:
        raise ValueError(
            f"The KL to the {type(prior).__name__} of {model.name!r} does not fall into "
            "dimensions: it does for a standard normal prior, and for the uniform one of 'dvae_*'."
        )
    return ops.convert_to_numpy(kl).mean(axis=0, dtype="float64")


def codebook_perplexity(model, x):
    """How many codes of its codebook a VQ-VAE or a discrete VAE uses for x, and how evenly.

    Counted over all rows and places, of the most probable codes (van den Oord et al. 2017,
    arXiv:1711.00937, speak of the same perplexity).

    Args:
        model: A model with a codebook.
        x: Array `(n, *input_shape)`.

    Returns:
        `CodebookUse`.

    Raises:
        ValueError: bad rows, or a model without a codebook.
    """
    _check_model(model)
    if model.num_codes is None:
        raise ValueError(
            f"{model.name!r} has no codebook. Discrete models do: `list_models(family='discrete')`."
        )
    codes = model.over_rows("indices", model.indices, x)
    counts = np.bincount(codes.ravel(), minlength=model.bottleneck.num_codes)
    share = counts[counts > 0] / counts.sum()
    perplexity = math.exp(-(share * np.log(share)).sum())
    return CodebookUse(perplexity, len(share), model.bottleneck.num_codes)


class _LogMeanExp:
    """log mean exp of values along the last axis, that come in chunks; and its standard error."""

    def __init__(self):
        self._count, self._peak = 0, -math.inf
        self._sum = self._squares = 0.0  # of exp(value − peak)

    def add(self, values):
        peak = np.maximum(self._peak, values.max(axis=1))
        shift = np.where(np.isneginf(peak), 0.0, peak)  # all weights are 0 so far
        scale = np.exp(self._peak - shift)
        weights = np.exp(values - shift[:, None])
        self._sum = scale * self._sum + weights.sum(axis=1)
        self._squares = scale**2 * self._squares + np.square(weights).sum(axis=1)
        self._peak = peak
        self._count += values.shape[1]

    def mean(self):
        with np.errstate(divide="ignore"):
            return self._peak + np.log(self._sum) - math.log(self._count)

    def error(self):
        """By the delta method: the weights' standard error, in units of their mean."""
        if self._count == 1:
            return np.full(len(self._sum), math.nan)
        with np.errstate(invalid="ignore"):  # no weight has a standard error of NaN
            excess = self._count * self._squares / np.square(self._sum) - 1.0
        return np.sqrt(np.maximum(excess, 0.0) / (self._count - 1))


class _Draws:
    """Draws from the posteriors of rows, and what the model says of them."""

    def __init__(self, model, x, num_samples, prior, batch_size, seed):
        _check_model(model)
        check_integers(1, num_samples=num_samples)
        check_integers(0, seed=seed)
        if batch_size is not None:
            check_integers(1, batch_size=batch_size)
        self._model = model
        model.ensure_built(x)
        self.posterior = _posterior(model)
        self._prior = _prior(model, self.posterior, prior)
        self._rows = _checked(model, x)
        self._num_samples, self._seed = int(num_samples), seed
        if batch_size is None:
            row_bytes = 4 * (math.prod(self._rows[0].shape[1:]) * model.likelihood.parameters)
            row_bytes = max(row_bytes, 4 * math.prod(self.posterior.code_shape), 1)
            batch_size = int(np.clip(_BATCH_BYTES // row_bytes, _FEWEST, _MOST))
        # Chunks of one size, so that there is one program: a row's draws, split evenly, or those of
        # several rows.
        self._chunk = math.ceil(num_samples / math.ceil(num_samples / batch_size))
        block = int(np.clip(_BLOCK_BYTES // self.posterior.row_bytes(self._chunk), 1, _MOST))
        most = min(max(batch_size // self._chunk, 1), block, len(self._rows[0]))
        self._rows_at_once = size_without_rest(most)
        self._block = block - block % self._rows_at_once

    def blocks(self):
        """Yield, for each block of rows, the parameters of its posteriors, and chunks of draws.

        Yields:
            A tuple of arrays `(rows, ...)`, and an iterator over log p(x|z), log p(z) and
            log q(z|x), each `(rows, draws)` at double precision.
        """
        count = len(self._rows[0])
        runner = RowRunner(self._model)
        for start in range(0, count, self._block):
            rows = tuple(part[start : start + self._block] for part in self._rows)
            parameters = runner.run("posterior", self._parameters, rows)
            numbers = range(start, start + len(rows[0]))
            yield parameters, self._chunks(runner, rows, parameters, numbers)

    def _parameters(self, *inputs):
        return self.posterior.parameters(inputs if self._model.needs_labels else inputs[0])

    def _chunks(self, runner, rows, parameters, numbers):
        generators = [np.random.default_rng([self._seed, number]) for number in numbers]
        state = self.posterior.prepare(*parameters)
        for start in range(0, self._num_samples, self._chunk):
            codes, log_posteriors = self.posterior.draw(generators, state, self._chunk)
            inputs = (*rows, codes)
            values = runner.run("draws", self._evaluate, inputs, self._rows_at_once)
            wanted = min(self._chunk, self._num_samples - start)
            yield tuple(
                np.asarray(part[:, :wanted], "float64") for part in (*values, log_posteriors)
            )

    def _evaluate(self, *inputs):
        """Log p(x|z) and log p(z): rows and their draws `(rows, draws, ...)` to `(rows, draws)`."""
        *inputs, codes = inputs
        draws = codes.shape[1]
        codes = ops.reshape(codes, (-1, *codes.shape[2:]))
        repeated = tuple(ops.repeat(part, draws, axis=0) for part in inputs)
        x = self._model.inputs_of(repeated if self._model.needs_labels else repeated[0])
        likelihood, latent = self._model.likelihood, self.posterior.latent(codes)
        output = ops.cast(self._model.decoder_output(latent, x, False), likelihood.dtype)
        target = ops.cast(x.rows, likelihood.dtype)
        log_likelihoods = -likelihood.masked(target, output, x.mask)
        values = (log_likelihoods, self._prior.log_prob(codes))
        return tuple(ops.reshape(part, (-1, draws)) for part in values)


class _GaussianPosterior:
    """The posterior of a `layers.GaussianBottleneck`."""

    def __init__(self, model):
        self._model = model
        self.prior = model.bottleneck.prior
        self.code_shape = (model.bottleneck.latent_dim,)

    def row_bytes(self, draws):
        """What a row's draws take."""
        return 3 * 4 * draws * self.code_shape[0]

    def parameters(self, x):
        """Mean and log-variance."""
        return self._model.posterior(x)

    def prepare(self, mean, log_variance):
        """What `draw` needs."""
        constant = log_variance.sum(axis=1, dtype="float64") + mean.shape[1] * math.log(2 * math.pi)
        return mean[:, None], np.exp(0.5 * log_variance)[:, None], constant[:, None]

    def draw(self, generators, state, draws):
        """Codes `(rows, draws, latent_dim)`, and the logarithm of their density."""
        mean, stddev, constant = state
        shape = (draws, mean.shape[-1])
        noise = np.stack([g.standard_normal(shape, dtype=mean.dtype) for g in generators])
        squares = np.einsum("rsd,rsd->rs", noise, noise, dtype="float64")
        return mean + stddev * noise, -0.5 * (squares + constant)

    def latent(self, codes):
        """What the decoder takes."""
        return codes

    def kl(self, mean, log_variance):
        """The KL to the prior, `(rows,)`; None where it has no closed form."""
        kl = described(self.prior).kl(mean, log_variance)
        return None if kl is None else np.asarray(ops.convert_to_numpy(kl), "float64")


class _CategoricalPosterior:
    """The posterior of a `layers.GumbelSoftmax`: categories, at every place apart."""

    def __init__(self, model):
        self._model = model
        self.prior = model.bottleneck.prior
        self._places = model.latent_shape[:-1]
        self.code_shape = model.latent_shape

    def row_bytes(self, draws):
        """What a row's draws take, and the probabilities that they are drawn from."""
        return 8 * math.prod(self._places) * (3 * draws + 3 * self._model.bottleneck.num_codes)

    def parameters(self, x):
        """The logits, as a tuple."""
        return (_logits(self._model, x),)

    def prepare(self, logits):
        """What `draw` needs: logarithms of probabilities, and their cumulative sums."""
        from scipy.special import log_softmax

        logits = logits.reshape(len(logits), -1, logits.shape[-1]).astype("float64")
        log_probabilities = log_softmax(logits, axis=-1)
        cumulative = np.exp(log_probabilities).cumsum(axis=-1)
        cumulative /= cumulative[..., -1:]
        # One sorted list of all: the cumulative sums of place i lie between i and i + 1.
        cumulative += np.arange(cumulative[..., 0].size).reshape(*cumulative.shape[:2], 1)
        return log_probabilities, cumulative

    def draw(self, generators, state, draws):
        """Numbers of codes `(rows, draws, *places)`, and the logarithm of their probability."""
        log_probabilities, cumulative = state
        rows, places, num_codes = cumulative.shape
        uniform = np.stack([g.random((draws, places)) for g in generators])
        place = np.arange(rows * places).reshape(rows, 1, places)
        found = np.searchsorted(cumulative.ravel(), uniform + place, side="right")
        indices = np.clip(found - place * num_codes, 0, num_codes - 1)
        chosen = np.take_along_axis(log_probabilities, indices.transpose(0, 2, 1), axis=2)
        return indices.reshape(rows, draws, *self._places).astype("int32"), chosen.sum(axis=1)

    def latent(self, codes):
        """What the decoder takes."""
        return self._model.bottleneck.lookup(codes)

    def kl(self, logits):
        """The KL to the prior, `(rows,)`; None where it has no closed form."""
        if not isinstance(self.prior, priors.UniformCodes):
            return None
        kl = ops.convert_to_numpy(Categorical(logits).kl_per_place())
        return kl.reshape(len(logits), -1).sum(axis=1, dtype="float64")


def _check_model(model):
    if not isinstance(model, Autoencoder):
        raise ValueError(
            f"`model` must be an Autoencoder, got a {type(model).__name__}. It comes before `x`."
        )


def _posterior(model):
    """The posterior of a model that has one."""
    if model.posterior_family is DiagonalGaussian:
        return _GaussianPosterior(model)
    if model.posterior_family is Categorical:
        return _CategoricalPosterior(model)
    raise ValueError(
        f"{model.name!r} has no posterior q(z|x): its code of a row is one point. {_WHICH}"
    )


def _prior(model, posterior, prior):
    """p(z) with a density, for a model whose data have one as well."""
    if model.likelihood is None or isinstance(model.likelihood, losses.SquaredError):
        lacks = "no likelihood" if model.likelihood is None else "a likelihood without a scale"
        raise ValueError(
            f"{model.name!r} has {lacks}, so rows have no probability: build it with "
            f"`likelihood='gaussian'`, say. {_WHICH}"
        )
    prior = posterior.prior if prior is None else prior
    components = described(prior).components()
    if components is not None:
        # As numbers: its encoder need not run again for every chunk.
        mean, log_variance = (ops.convert_to_numpy(part) for part in components)
        share = np.full(len(mean), 1.0 / len(mean))
        prior = priors.GaussianMixture(share, mean, np.exp(log_variance.astype("float64")))
    if not described(prior).has_density:
        raise ValueError(
            f"A {type(prior).__name__} has no density: pass a `prior` that has, such as "
            "`model.prior` after `model.fit_prior(x)`."
        )
    of_indices = isinstance(posterior, _CategoricalPosterior)
    if described(prior).of_indices != of_indices:
        kind = "the numbers of codes" if of_indices else "latent vectors"
        raise ValueError(f"The prior of {model.name!r} is over {kind}, not {prior!r}.")
    return prior


def _checked(model, x):
    """The rows, and labels where the model needs them, as a tuple of arrays."""
    arrays = model.expectation.inputs(x)
    rows = model.expectation.array(arrays[0], "x", target=True)
    return (rows.astype(model.variable_dtype, copy=False), *arrays[1:])


def _logits(model, x):
    return model.bottleneck.logits(model.features(model.inputs_of(x), False))


def _categorical_kl(model, x):
    return Categorical(_logits(model, x)).kl_per_place()


def _mean_and_error(rows):
    error = rows.std(ddof=1) / math.sqrt(len(rows)) if len(rows) > 1 else math.nan
    return float(rows.mean()), float(error)
