"""Draws from a model's posteriors, and what the model says of them: log p(x|z), p(z), q(z|x)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from keras import KerasTensor, ops
from numpy.typing import ArrayLike

from autoencoders import losses, priors
from autoencoders.autoencoder import Autoencoder
from autoencoders.checks import check_integers
from autoencoders.distributions.posteriors import Categorical, DiagonalGaussian
from autoencoders.distributions.priors import Prior, described
from autoencoders.training.row_runner import RowRunner, size_without_rest

# Codes decoded at once: enough that launching a program costs little, few enough to stay in cache.
_BATCH_BYTES = 2**22
_FEWEST, _MOST = 32, 1024

# Draws that are held at once, together with the parameters of their distributions.
_BLOCK_BYTES = 2**26

# Ends the message for a model that has no posterior.
WITH_POSTERIORS = (
    "Variational models do (`list_models(family='variational')`, all but 'wae_mlp'), and discrete "
    "VAEs ('dvae_mlp', 'dvae_conv')."
)


# log p(x|z), log p(z) and log q(z|x) of some draws for each row, each `(rows, draws)`.
Chunk: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]
Posterior: TypeAlias = "GaussianPosterior | CategoricalPosterior"


class Density(Protocol):
    """A prior by its density: a `priors.Prior` that has one, or a distribution of your own."""

    def log_prob(self, z: Any, /) -> Any:
        """Log-density in nats: codes `(n, *latent_shape)` to `(n,)`."""
        ...


class PosteriorDraws:
    """Draws from the posteriors of rows, and what the model says of them.

    Args:
        model: A variational model or a discrete VAE, with a likelihood.
        x: Array `(n, *input_shape)`; with labels `(x, labels)`, for a model that needs them.
        num_samples: Draws of z for each row.
        prior: p(z); the one that the model was trained with if None.
        batch_size: The most codes decoded at once; None for a size that suits the cache.
        seed: Integer, 0 or more. A row's draws follow from it and from the row's number alone.

    Attributes:
        posterior: The model's posterior.

    Raises:
        ValueError: what the model cannot take, or a model without a normalised likelihood, a
            posterior or a prior with a density.
    """

    def __init__(
        self,
        model: Autoencoder,
        x: ArrayLike,
        num_samples: int,
        prior: Density | None,
        batch_size: int | None,
        seed: int,
    ) -> None:
        check_model(model)
        check_integers(1, num_samples=num_samples)
        check_integers(0, seed=seed)
        if batch_size is not None:
            check_integers(1, batch_size=batch_size)
        self._model = model
        model.ensure_built(x)
        self.posterior: Posterior = posterior_of(model)
        self._prior = _prior(model, self.posterior, prior)
        self._rows = _checked(model, x)
        self._num_samples, self._seed = int(num_samples), seed
        if batch_size is None:
            row_bytes = 4 * (math.prod(self._rows[0].shape[1:]) * model.likelihood.parameters)
            row_bytes = max(row_bytes, 4 * math.prod(self.posterior.code_shape), 1)
            batch_size = int(np.clip(_BATCH_BYTES // row_bytes, _FEWEST, _MOST))
        # All chunks have one size, so that there is one program: they hold a part of a row's draws,
        # split evenly, or the draws of several rows.
        self._chunk = math.ceil(num_samples / math.ceil(num_samples / batch_size))
        block = int(np.clip(_BLOCK_BYTES // self.posterior.row_bytes(self._chunk), 1, _MOST))
        most = min(max(batch_size // self._chunk, 1), block, len(self._rows[0]))
        self._rows_at_once = size_without_rest(most)
        self._block = block - block % self._rows_at_once

    def blocks(self) -> Iterator[tuple[tuple[np.ndarray, ...], Iterator[Chunk]]]:
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

    def _parameters(self, *inputs: KerasTensor) -> tuple[KerasTensor, ...]:
        return self.posterior.parameters(inputs if self._model.needs_labels else inputs[0])

    def _chunks(
        self,
        runner: RowRunner,
        rows: tuple[np.ndarray, ...],
        parameters: tuple[np.ndarray, ...],
        numbers: Sequence[int],
    ) -> Iterator[Chunk]:
        generators = [np.random.default_rng([self._seed, number]) for number in numbers]
        state = self.posterior.prepare(*parameters)
        for start in range(0, self._num_samples, self._chunk):
            codes, log_posteriors = self.posterior.draw(generators, state, self._chunk)
            inputs = (*rows, codes)
            values = runner.run("draws", self._evaluate, inputs, self._rows_at_once)
            wanted = min(self._chunk, self._num_samples - start)
            parts = (*values, log_posteriors)
            one, two, three = (np.asarray(part[:, :wanted], "float64") for part in parts)
            yield one, two, three

    def _evaluate(self, *inputs: KerasTensor) -> tuple[KerasTensor, ...]:
        """Log p(x|z) and log p(z): rows and their draws `(rows, draws, ...)` to `(rows, draws)`."""
        *rows, codes = inputs
        draws = codes.shape[1]
        codes = ops.reshape(codes, (-1, *codes.shape[2:]))
        repeated = tuple(ops.repeat(part, draws, axis=0) for part in rows)
        x = self._model.inputs_of(repeated if self._model.needs_labels else repeated[0])
        likelihood, latent = self._model.likelihood, self.posterior.latent(codes)
        output = ops.cast(self._model.decoder_output(latent, x, False), likelihood.dtype)
        target = ops.cast(x.rows, likelihood.dtype)
        log_likelihoods = -likelihood.masked(target, output, x.mask)
        values = (log_likelihoods, self._prior.log_prob(codes))
        return tuple(ops.reshape(part, (-1, draws)) for part in values)


class GaussianPosterior:
    """The posterior of a `layers.GaussianBottleneck`."""

    def __init__(self, model: Autoencoder) -> None:
        self._model = model
        self.prior: Prior = model.bottleneck.prior
        self.code_shape: tuple[int, ...] = (model.bottleneck.latent_dim,)

    def row_bytes(self, draws: int) -> int:
        """What a row's draws take."""
        return 3 * 4 * draws * self.code_shape[0]

    def parameters(self, x: Any) -> tuple[KerasTensor, KerasTensor]:
        """Mean and log-variance."""
        return self._model.posterior(x)

    def prepare(self, mean: np.ndarray, log_variance: np.ndarray) -> tuple[np.ndarray, ...]:
        """What `draw` needs."""
        constant = log_variance.sum(axis=1, dtype="float64") + mean.shape[1] * math.log(2 * math.pi)
        return mean[:, None], np.exp(0.5 * log_variance)[:, None], constant[:, None]

    def draw(
        self, generators: list[np.random.Generator], state: tuple[np.ndarray, ...], draws: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Codes `(rows, draws, latent_dim)`, and the logarithm of their density."""
        mean, stddev, constant = state
        shape = (draws, mean.shape[-1])
        noise = np.stack([g.standard_normal(shape, dtype=mean.dtype) for g in generators])
        squares = np.einsum("rsd,rsd->rs", noise, noise, dtype="float64")
        return mean + stddev * noise, -0.5 * (squares + constant)

    def latent(self, codes: KerasTensor) -> KerasTensor:
        """What the decoder takes."""
        return codes

    def kl(self, mean: np.ndarray, log_variance: np.ndarray) -> np.ndarray | None:
        """The KL to the prior, `(rows,)`; None where it has no closed form."""
        kl = described(self.prior).kl(mean, log_variance)
        return None if kl is None else np.asarray(ops.convert_to_numpy(kl), "float64")


class CategoricalPosterior:
    """The posterior of a `layers.GumbelSoftmax`: categories, at every place apart."""

    def __init__(self, model: Autoencoder) -> None:
        self._model = model
        self.prior: Prior = model.bottleneck.prior
        self._places = model.latent_shape[:-1]
        self.code_shape: tuple[int, ...] = model.latent_shape

    def row_bytes(self, draws: int) -> int:
        """What a row's draws take, and the probabilities that they are drawn from."""
        return 8 * math.prod(self._places) * (3 * draws + 3 * self._model.bottleneck.num_codes)

    def parameters(self, x: Any) -> tuple[KerasTensor]:
        """The logits, as a tuple."""
        return (logits_of(self._model, x),)

    def prepare(self, logits: np.ndarray) -> tuple[np.ndarray, ...]:
        """What `draw` needs: logarithms of probabilities, and their cumulative sums."""
        from scipy.special import log_softmax

        logits = logits.reshape(len(logits), -1, logits.shape[-1]).astype("float64")
        log_probabilities = log_softmax(logits, axis=-1)
        cumulative = np.exp(log_probabilities).cumsum(axis=-1)
        cumulative /= cumulative[..., -1:]
        # One sorted list of all: the cumulative sums of place i lie between i and i + 1.
        cumulative += np.arange(cumulative[..., 0].size).reshape(*cumulative.shape[:2], 1)
        return log_probabilities, cumulative

    def draw(
        self, generators: list[np.random.Generator], state: tuple[np.ndarray, ...], draws: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of codes `(rows, draws, *places)`, and the logarithm of their probability."""
        log_probabilities, cumulative = state
        rows, places, num_codes = cumulative.shape
        uniform = np.stack([g.random((draws, places)) for g in generators])
        place = np.arange(rows * places).reshape(rows, 1, places)
        found = np.searchsorted(cumulative.ravel(), uniform + place, side="right")
        indices = np.clip(found - place * num_codes, 0, num_codes - 1)
        chosen = np.take_along_axis(log_probabilities, indices.transpose(0, 2, 1), axis=2)
        return indices.reshape(rows, draws, *self._places).astype("int32"), chosen.sum(axis=1)

    def latent(self, codes: KerasTensor) -> KerasTensor:
        """What the decoder takes."""
        return self._model.bottleneck.lookup(codes)

    def kl(self, logits: np.ndarray) -> np.ndarray | None:
        """The KL to the prior, `(rows,)`; None where it has no closed form."""
        if not isinstance(self.prior, priors.UniformCodes):
            return None
        kl = ops.convert_to_numpy(Categorical(logits).kl_per_place())
        return kl.reshape(len(logits), -1).sum(axis=1, dtype="float64")


def check_model(model: object) -> None:
    """Raise a ValueError unless this is an `Autoencoder`."""
    if not isinstance(model, Autoencoder):
        raise ValueError(
            f"`model` must be an Autoencoder, got a {type(model).__name__}. It comes before `x`."
        )


def posterior_of(model: Autoencoder) -> Posterior:
    """The posterior of a model.

    Raises:
        ValueError: it has none.
    """
    if model.posterior_family is DiagonalGaussian:
        return GaussianPosterior(model)
    if model.posterior_family is Categorical:
        return CategoricalPosterior(model)
    raise ValueError(
        f"{model.name!r} has no posterior q(z|x): its code of a row is one point. {WITH_POSTERIORS}"
    )


def _prior(model: Autoencoder, posterior: Posterior, prior: Density | None) -> Density:
    """p(z) with a density, for a model whose data have one as well."""
    if model.likelihood is None or isinstance(model.likelihood, losses.SquaredError):
        lacks = "no likelihood" if model.likelihood is None else "a likelihood without a scale"
        raise ValueError(
            f"{model.name!r} has {lacks}, so rows have no probability: build it "
            f"with `likelihood='gaussian'`, for example. {WITH_POSTERIORS}"
        )
    prior = posterior.prior if prior is None else prior
    components = described(prior).components()
    if components is not None:
        # The components as numbers: the prior's encoder does not run again for every chunk.
        mean, log_variance = (ops.convert_to_numpy(part) for part in components)
        share = np.full(len(mean), 1.0 / len(mean))
        prior = priors.GaussianMixture(share, mean, np.exp(log_variance.astype("float64")))
    if not described(prior).has_density:
        raise ValueError(
            f"A {type(prior).__name__} has no density: pass a `prior` that has, such as "
            "`model.prior` after `model.fit_prior(x)`."
        )
    of_indices = isinstance(posterior, CategoricalPosterior)
    if described(prior).of_indices != of_indices:
        kind = "the numbers of codes" if of_indices else "latent vectors"
        raise ValueError(f"The prior of {model.name!r} is over {kind}, not {prior!r}.")
    return prior


def _checked(model: Autoencoder, x: ArrayLike) -> tuple[np.ndarray, ...]:
    """The rows, and labels where the model needs them, as a tuple of arrays."""
    arrays = model.expectation.inputs(x)
    rows = model.expectation.array(arrays[0], "x", target=True)
    return (rows, *arrays[1:])


def logits_of(model: Autoencoder, x: Any) -> KerasTensor:
    """The logits of the codes of a discrete VAE, `(n, *places, num_codes)`, as a tensor."""
    return model.bottleneck.logits(model.features(model.inputs_of(x), False))
