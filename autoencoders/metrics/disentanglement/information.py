"""Mutual information of dimensions and factors, and the scores of it: MIG, and modularity."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from autoencoders.checks import check_integers
from autoencoders.metrics.disentanglement.columns import checked, entropy, gap

_BLOCK = 2**22  # densities computed at once


def mutual_information(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    log_variances: ArrayLike | None = None,
    bins: int = 20,
    samples: int = 5_000,
    seed: int = 0,
) -> np.ndarray:
    """Mutual information of every dimension with every factor, in nats: `(d, k)`.

    Without `log_variances` it is that of the codes in `bins` of equal width, from the smallest to
    the largest code of a dimension (Locatello et al. 2019). With them it is that of z ~ q(z|x),
    normal with the codes as means: I(z; v) = E[log q(z|v) − log q(z)], where q(z) is the mixture of
    the posteriors of all rows, and q(z|v) that of the rows with that value (Chen et al. 2018). The
    expectation is over one draw for each of `samples` rows; a value that few rows have makes it too
    large.

    Args:
        codes: `(n, d)`.
        factors: Integers `(n, k)`.
        log_variances: Those of the posteriors, `(n, d)`, if the codes are their means.
        bins: How many.
        samples: Rows from which z is drawn; fewer take less time.
        seed: Integer, 0 or more, of the draws.

    Raises:
        ValueError: codes, log-variances or deviations that are not finite, factors that are not
            integers or are constant, shapes that do not match.
    """
    codes, factors = checked(codes, factors)
    if log_variances is None:
        check_integers(2, bins=bins)
        return _binned_information(codes, factors, bins)
    log_variances = np.asarray(log_variances, "float64")
    if log_variances.shape != codes.shape or not np.isfinite(log_variances).all():
        raise ValueError(
            f"`log_variances` must be finite, of the codes' shape {codes.shape}; got shape "
            f"{log_variances.shape}."
        )
    with np.errstate(over="ignore", under="ignore"):
        deviations = np.exp(0.5 * log_variances)
    if not np.isfinite(deviations).all() or (deviations == 0).any():
        raise ValueError(
            "`log_variances` must be logarithms, but their exponentials are not all above 0 and "
            f"finite; they are {log_variances.min():g} to {log_variances.max():g}."
        )
    check_integers(0, seed=seed)
    check_integers(1, samples=samples)
    return _posterior_information(codes, factors, deviations, samples, seed)


def mig(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    log_variances: ArrayLike | None = None,
    bins: int = 20,
    samples: int = 5_000,
    seed: int = 0,
) -> float:
    """Mutual information gap: how much more of a factor its best dimension knows than the next.

    Chen et al., "Isolating sources of disentanglement in variational autoencoders" (2018,
    arXiv:1802.04942): the mean over factors of the difference between the largest and the second
    largest mutual information, divided by the factor's entropy. Negative estimates are taken as 0.

    Chen et al. estimate q(z) from the whole data set; here it is from the rows that are given. The
    row that z is drawn from is among them, so where posteriors are narrower than rows are apart,
    every dimension seems to know every factor, and the gap is too small. With bins, a factor of
    more values than bins cannot reach 1, nor one whose codes are far from evenly spaced.

    Args:
        codes, factors, log_variances, bins, samples, seed: See `mutual_information`.

    Returns:
        Float from 0 to 1.

    Raises:
        ValueError: as `mutual_information` does.
    """
    information = mutual_information(
        codes, factors, log_variances=log_variances, bins=bins, samples=samples, seed=seed
    )
    entropies = [entropy(np.unique(v, return_counts=True)[1]) for v in np.asarray(factors).T]
    return float(np.mean(gap(np.maximum(information, 0.0)) / entropies))


def modularity(codes: ArrayLike, factors: ArrayLike, *, bins: int = 20) -> float:
    """How far each dimension has information about one factor alone.

    Ridgeway & Mozer, "Learning deep disentangled embeddings with the F-statistic loss" (2018,
    arXiv:1802.05312): the mean over dimensions of 1 − Σ m² / ((k − 1) · max m²), where the sum is
    over the factors but the one of largest mutual information m. Dimensions that have none count as
    0.

    Args:
        codes: `(n, d)`.
        factors: Integers `(n, k)`, k at least 2.
        bins: See `mutual_information`.

    Returns:
        Float from 0 to 1.

    Raises:
        ValueError: as `mutual_information` does; a single factor.
    """
    checked(codes, factors, least=2)
    squares = mutual_information(codes, factors, bins=bins) ** 2
    largest = squares.max(axis=1)
    others = squares.sum(axis=1) - largest
    known = largest > 0
    scores = 1.0 - others[known] / (largest[known] * (squares.shape[1] - 1))
    return float(scores.sum() / len(squares))


def _binned_information(codes: np.ndarray, factors: np.ndarray, bins: int) -> np.ndarray:
    information = np.zeros((codes.shape[1], factors.shape[1]))
    for d, code in enumerate(codes.T):
        edges = np.linspace(code.min(), code.max(), bins + 1)[1:-1]
        binned = np.digitize(code, edges)
        for k, values in enumerate(factors.T):
            pairs = np.bincount(values * bins + binned)
            information[d, k] = (
                entropy(np.bincount(binned)) + entropy(np.bincount(values)) - entropy(pairs)
            )
    return np.where(information > 1e-12, information, 0.0)  # less is rounding


def _posterior_information(
    means: np.ndarray, factors: np.ndarray, deviations: np.ndarray, samples: int, seed: int
) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(means))[:samples]
    z = means[rows] + deviations[rows] * rng.standard_normal((len(rows), means.shape[1]))
    information = np.zeros((means.shape[1], factors.shape[1]))
    for d in range(means.shape[1]):
        drawn, mean, deviation = z[:, d], means[:, d], deviations[:, d]
        log_marginal = _log_mixture(drawn, mean, deviation)
        for k, values in enumerate(factors.T):
            log_conditional = np.empty(len(rows))
            for value in np.unique(values[rows]):
                drawn_here, here = values[rows] == value, values == value
                log_conditional[drawn_here] = _log_mixture(
                    drawn[drawn_here], mean[here], deviation[here]
                )
            information[d, k] = np.mean(log_conditional - log_marginal)
    return information


def _log_mixture(z: np.ndarray, means: np.ndarray, deviations: np.ndarray) -> np.ndarray:
    """Log-density, up to the constant of the normal, of the even mixture of these normals at z.

    Each z is drawn from one of them, whose density there does not underflow.
    """
    densities = np.empty(len(z))
    precisions = 1.0 / deviations
    step = max(1, _BLOCK // len(means))
    for start in range(0, len(z), step):
        distances = z[start : start + step, np.newaxis] - means
        distances *= precisions
        np.square(distances, out=distances)
        distances *= -0.5
        densities[start : start + step] = np.exp(distances, out=distances) @ precisions
    return np.log(densities / len(means))
