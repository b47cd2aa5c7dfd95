"""All scores of a model and a data set whose factors are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from autoencoders.autoencoder import Autoencoder
from autoencoders.checks import check_integers
from autoencoders.distributions.posteriors import DiagonalGaussian
from autoencoders.metrics.disentanglement.classifiers import dci, sap
from autoencoders.metrics.disentanglement.factor_vae import (
    AT_ONCE,
    FactorData,
    check_source,
    factor_vae_score,
)
from autoencoders.metrics.disentanglement.information import mig, modularity

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

_MOST_DIMENSIONS = 256  # of a code: SAP and DCI take a time proportional to them
_INFORMATION_ROWS = 10_000  # those of Locatello et al. for MIG and modularity


def disentanglement_scores(
    model: Autoencoder,
    data: FactorData,
    *,
    rows: int = 15_000,
    votes: int = 10_000,
    evaluation_votes: int = 5_000,
    batch_size: int = 64,
    estimator: BaseEstimator | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """All scores of disentanglement, for a model and a data set whose factors are known.

    The codes are those of `model.encode`, the posterior means of a variational model. A dimension
    of a variational model whose codes deviate by less than 0.05 has collapsed to the prior, and the
    FactorVAE score leaves it out; of other models it leaves out those that are constant.

    Args:
        model: An `Autoencoder` with codes of 2 to 256 dimensions, which does not need labels.
        data: What has `factor_sizes`, `sample(n, rng)` and `images(factors)`, as `Sprites` has.
        rows: Images for the scores but FactorVAE's; a third of them tests the classifiers, the
            first 10,000 are for `mig` and `modularity`.
        votes, evaluation_votes, batch_size: See `factor_vae_score`; most of the time is spent on
            its (votes + evaluation_votes) · batch_size images.
        estimator: See `dci`.
        seed: Integer, 0 or more; the same one gives the same scores.

    Returns:
        Dict of floats: `factor_vae`, `mig`, `sap`, `dci_disentanglement`, `dci_completeness`,
        `dci_informativeness`, `modularity`; and for a variational model `mig_posterior`, the gap
        with the analytic posterior. `mig` is that of binned codes, for all models alike.

    Raises:
        ValueError: a model that is not an `Autoencoder`, data without factors, or codes
            or factors that cannot be scored.
    """
    if not isinstance(model, Autoencoder):
        raise ValueError(f"`model` must be an Autoencoder, got a {type(model).__name__}.")
    check_source(data)
    check_integers(0, seed=seed)
    check_integers(1, rows=rows, votes=votes, evaluation_votes=evaluation_votes)
    check_integers(2, batch_size=batch_size)
    rng = np.random.default_rng(seed)
    factors = data.sample(rows, rng)
    codes, log_variances = _encoded(model, data, factors)
    variational = log_variances is not None
    fewer = codes[:_INFORMATION_ROWS], factors[:_INFORMATION_ROWS]
    scores = {
        "factor_vae": factor_vae_score(
            model.encode,
            data,
            votes=votes,
            evaluation_votes=evaluation_votes,
            batch_size=batch_size,
            collapsed=0.05 if variational else 0.0,
            seed=seed,
        ),
        "mig": mig(*fewer),
    }
    if variational:
        scores["mig_posterior"] = mig(codes, factors, log_variances=log_variances, seed=seed)
    scores["sap"] = sap(codes, factors, seed=seed)
    dci_scores = dci(codes, factors, estimator=estimator, seed=seed)
    return {
        **scores,
        **{f"dci_{name}": value for name, value in dci_scores.items()},
        "modularity": modularity(*fewer),
    }


def _encoded(
    model: Autoencoder, data: FactorData, factors: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    """Codes `(n, d)` of the images that have these factors, and log-variances where there are."""
    variational = model.posterior_family is DiagonalGaussian
    encode = model.posterior if variational else model.encode
    parts = []
    for start in range(0, len(factors), AT_ONCE):
        parts.append(encode(data.images(factors[start : start + AT_ONCE])))
        if start == 0:  # before the work begins
            _check_dimensions(parts[0][0] if variational else parts[0])
    if variational:
        codes, log_variances = (np.concatenate(part) for part in zip(*parts, strict=True))
    else:
        codes, log_variances = np.concatenate(parts), None
    return codes.reshape(len(factors), -1), log_variances


def _check_dimensions(codes: np.ndarray) -> None:
    dimensions = codes[0].size
    if not 2 <= dimensions <= _MOST_DIMENSIONS:
        raise ValueError(
            f"The scores are of codes of 2 to {_MOST_DIMENSIONS} dimensions; those of this model "
            f"have {dimensions}. Score some of them by the functions that take codes."
        )
