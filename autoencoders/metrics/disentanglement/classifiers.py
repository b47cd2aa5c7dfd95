"""Scores of classifiers that tell the factors from the codes: SAP, and DCI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from autoencoders.metrics.disentanglement.columns import checked, entropy, gap, split, vary

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator


def sap(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    continuous: bool | Sequence[bool] | np.ndarray = False,
    test: float = 1 / 3,
    seed: int = 0,
) -> float:
    """Separated attribute predictability: the lead of the dimension that predicts a factor best.

    Kumar, Sattigeri & Balakrishnan, "Variational inference of disentangled latent concepts from
    unlabeled observations" (2018, arXiv:1711.00848): the mean over factors of the difference
    between the two best scores of a single dimension. The score of a discrete factor is the
    accuracy on held-out rows, as a mean over its values, of thresholds on the dimension, one less
    than there are values; that of a continuous factor the squared correlation. So the largest score
    is the mean of 1 − 1/K for factors of K values, and 1 for continuous ones.

    Locatello et al. put a linear support vector machine, whose result depends on the scale of the
    codes, in the place of the thresholds.

    Args:
        codes: `(n, d)`.
        factors: Integers `(n, k)`; numbers of any kind, where they are continuous.
        continuous: Whether the factors are; or k answers, one for each.
        test: Share of the rows that are held out.
        seed: Integer, 0 or more, of the choice of those.

    Returns:
        Float from 0 to 1.

    Raises:
        ValueError: codes that are not finite, discrete factors that are not integers or any that
            are constant, shapes that do not match, a share that leaves nothing to train with or to
            test.
    """
    from sklearn.tree import DecisionTreeClassifier

    given = np.asarray(codes), np.asarray(factors)
    codes, factors = checked(*given, kinds="fiu" if np.any(continuous) else "iu")
    varying, given = vary(given[0]), given[1]
    if np.shape(continuous) not in ((), factors.shape[1:]):
        raise ValueError(
            f"`continuous` must be one answer, or one for each of {factors.shape[1]} factors; got "
            f"shape {np.shape(continuous)}."
        )
    continuous = np.broadcast_to(continuous, factors.shape[1])
    if (given[:, ~continuous] % 1).any():
        raise ValueError("Factors that are not `continuous` must be integers.")
    train, held_out = split(len(codes), test, seed)
    scores = np.zeros((codes.shape[1], factors.shape[1]))
    for k, values in enumerate(factors.T):
        if continuous[k]:
            scores[varying, k] = _squared_correlations(codes[:, varying], given[:, k])
            continue
        for d, code in enumerate(codes.T[..., np.newaxis]):
            tree = DecisionTreeClassifier(
                max_leaf_nodes=int(values.max()) + 1, class_weight="balanced", random_state=seed
            ).fit(code[train], values[train])
            right = tree.predict(code[held_out]) == values[held_out]
            totals = np.bincount(values[held_out])
            rights = np.bincount(values[held_out], weights=right)
            scores[d, k] = np.mean(rights[totals > 0] / totals[totals > 0])
    return float(gap(scores).mean())


def dci(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    estimator: BaseEstimator | None = None,
    test: float = 1 / 3,
    seed: int = 0,
) -> dict[str, float]:
    """Disentanglement, completeness and informativeness.

    Eastwood & Williams, "A framework for the quantitative evaluation of disentangled
    representations" (ICLR 2018). A classifier for each factor gives the importance of each
    dimension for it. Disentanglement is 1 minus the entropy of a dimension's importances over the
    factors, completeness 1 minus that of a factor's over the dimensions, each in units of its
    largest value and as a mean weighted by importance; informativeness is the mean accuracy on
    held-out rows.

    Eastwood & Williams regress, by lasso and by random forests; Locatello et al. classify by
    gradient boosting, and so does this. A random forest, `estimator=RandomForestClassifier()`, is
    many times faster, but its importances are others and not to be compared.

    Args:
        codes: `(n, d)`, d at least 2.
        factors: Integers `(n, k)`, k at least 2.
        estimator: scikit-learn classifier with `feature_importances_`, of which copies are fitted;
            gradient boosting unless given.
        test: Share of the rows that are held out.
        seed: Integer, 0 or more, of the choice of those and of a classifier whose `random_state` is
            None.

    Returns:
        Dict of floats from 0 to 1: `disentanglement`, `completeness`, `informativeness`.

    Raises:
        ValueError: codes that are not finite, factors that are not integers or are
            constant, shapes that do not match or are too small.
    """
    from sklearn.base import clone
    from sklearn.ensemble import GradientBoostingClassifier

    codes, factors = checked(codes, factors, least=2)
    if codes.shape[1] < 2:
        raise ValueError("Completeness needs codes of 2 or more dimensions.")
    train, held_out = split(len(codes), test, seed)
    classifier: Any = clone(GradientBoostingClassifier() if estimator is None else estimator)
    if classifier.get_params().get("random_state", seed) is None:
        classifier.set_params(random_state=seed)
    importances = np.zeros((codes.shape[1], factors.shape[1]))
    accuracies = []
    for k, values in enumerate(factors.T):
        fitted = clone(classifier).fit(codes[train], values[train])
        importances[:, k] = np.abs(fitted.feature_importances_)
        accuracies.append(np.mean(fitted.predict(codes[held_out]) == values[held_out]))
    return {
        "disentanglement": _concentration(importances),
        "completeness": _concentration(importances.T),
        "informativeness": float(np.mean(accuracies)),
    }


def _squared_correlations(codes: np.ndarray, values: np.ndarray) -> np.ndarray:
    centred, target = codes - codes.mean(axis=0), values - values.mean()
    covariances = (centred * target[:, np.newaxis]).mean(axis=0)
    return covariances**2 / (np.mean(centred**2, axis=0) * np.mean(target**2))


def _concentration(importances: np.ndarray) -> float:
    """1 minus the entropy of each row, in units of its largest value; their weighted mean."""
    totals = importances.sum(axis=1)
    if not totals.any():
        return 0.0
    entropies = np.array([entropy(row) if row.any() else 0.0 for row in importances])
    scores = 1.0 - entropies / np.log(importances.shape[1])
    return max(float(scores @ totals / totals.sum()), 0.0)  # less is rounding
