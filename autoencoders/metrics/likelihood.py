"""How probable a model of the variational or discrete family finds data.

All figures are in nats of the whole model: the weights that the terms had in training (`beta`,
`free_bits`, ...) play no part. Where grey pixels are taken for probabilities ("bernoulli"), p(x) is
normalised over binary images alone; compare such figures with their like.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from autoencoders.metrics.posterior_draws import Density, PosteriorDraws

if TYPE_CHECKING:
    from autoencoders.autoencoder import Autoencoder


class LogLikelihood(NamedTuple):
    """Estimates of log p(x), in nats.

    Attributes:
        rows: The estimate of each row, `(n,)`.
        mean: The mean over rows.
        standard_error: How far the mean is off because rows vary; NaN for a single row.
        monte_carlo_errors: Standard error of each row's estimate, as draws vary, `(n,)`, by the
            delta method; NaN for a single draw. It is at most 1: about 1 / error² draws carry the
            sum. Where it is above 0.3, trust neither it nor the estimate, which is too low.
    """

    rows: np.ndarray
    mean: float
    standard_error: float
    monte_carlo_errors: np.ndarray


class ELBO(NamedTuple):
    """The evidence lower bound of log p(x), in nats.

    Attributes:
        rows: The bound of each row, `(n,)`.
        mean: The mean over rows: `reconstruction` less `kl`.
        standard_error: How far the mean is off because rows vary; NaN for a single row.
        reconstruction: The mean of E_q(z|x)[log p(x|z)].
        kl: The mean of KL(q(z|x) ‖ p(z)).
    """

    rows: np.ndarray
    mean: float
    standard_error: float
    reconstruction: float
    kl: float


def log_likelihood(
    model: Autoencoder,
    x: ArrayLike,
    num_samples: int = 5000,
    *,
    prior: Density | None = None,
    batch_size: int | None = None,
    seed: int = 0,
) -> LogLikelihood:
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
        ValueError: bad rows or numbers, a model that is not an `Autoencoder`, or one without a
            normalised likelihood, a posterior or a prior with a density.
    """
    draws = PosteriorDraws(model, x, num_samples, prior, batch_size, seed)
    means, errors = [], []
    for _, chunks in draws.blocks():
        weights = _LogMeanExp()
        for log_likelihoods, log_priors, log_posteriors in chunks:
            weights.add(log_likelihoods + log_priors - log_posteriors)
        means.append(weights.mean())
        errors.append(weights.error())
    rows = np.concatenate(means)
    return LogLikelihood(rows, *_mean_and_error(rows), np.concatenate(errors))


def elbo(
    model: Autoencoder,
    x: ArrayLike,
    num_samples: int = 1,
    *,
    prior: Density | None = None,
    batch_size: int | None = None,
    seed: int = 0,
) -> ELBO:
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
    draws = PosteriorDraws(model, x, num_samples, prior, batch_size, seed)
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


class _LogMeanExp:
    """log mean exp of values along the last axis, that come in chunks; and its standard error."""

    def __init__(self) -> None:
        self._count = 0
        self._peak: Any = -math.inf
        # Sums over the values of a row, of exp(value − peak) and of its square.
        self._sum: Any = 0.0
        self._squares: Any = 0.0

    def add(self, values: np.ndarray) -> None:
        peak = np.maximum(self._peak, values.max(axis=1))
        shift = np.where(np.isneginf(peak), 0.0, peak)  # −inf: all weights are 0 so far
        scale = np.exp(self._peak - shift)
        weights = np.exp(values - shift[:, None])
        self._sum = scale * self._sum + weights.sum(axis=1)
        self._squares = scale**2 * self._squares + np.square(weights).sum(axis=1)
        self._peak = peak
        self._count += values.shape[1]

    def mean(self) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return self._peak + np.log(self._sum) - math.log(self._count)

    def error(self) -> np.ndarray:
        """By the delta method: the weights' standard error, in units of their mean."""
        if self._count == 1:
            return np.full(len(self._sum), math.nan)
        with np.errstate(invalid="ignore"):  # weights that are all 0 have an error of NaN
            excess = self._count * self._squares / np.square(self._sum) - 1.0
        return np.sqrt(np.maximum(excess, 0.0) / (self._count - 1))


def _mean_and_error(rows: np.ndarray) -> tuple[float, float]:
    error = rows.std(ddof=1) / math.sqrt(len(rows)) if len(rows) > 1 else math.nan
    return float(rows.mean()), float(error)
