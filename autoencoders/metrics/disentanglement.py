"""How well the dimensions of a code tell factors of variation apart.

The scores are used by name: `autoencoders.metrics.mig`. All but the FactorVAE score take arrays:
codes `(n, d)`, float, and the factors of the same rows `(n, k)`, integers that name the values.
None depends on the order of the dimensions, nor on their scales (but for the FactorVAE score's
threshold). The protocols are those of Locatello et al., "Challenging common assumptions in the
unsupervised learning of disentangled representations" (2019, arXiv:1811.12359), unless it is said
otherwise; like theirs, they count all factors as discrete.
"""

import numpy as np

from autoencoders.autoencoder import Autoencoder
from autoencoders.checks import check_integers
from autoencoders.distributions.posteriors import DiagonalGaussian

_BLOCK = 2**22  # densities computed at once
_ENCODED = 1024  # images drawn and encoded at once
_MOST_DIMENSIONS = 256  # of a code: SAP and DCI take a time proportional to them
_INFORMATION_ROWS = 10_000  # those of Locatello et al. for MIG and modularity


def disentanglement_scores(
    model,
    data,
    *,
    rows=15_000,
    votes=10_000,
    evaluation_votes=5_000,
    batch_size=64,
    estimator=None,
    seed=0,
):
    """All scores of this module, for a model and a data set whose factors are known.

    The codes are those of `model.encode`, the posterior means of a variational model. A dimension
    of a variational model whose codes deviate by less than 0.05 has collapsed to the prior, and the
    FactorVAE score leaves it out; of other models it leaves out those that are constant.

    Args:
        model: An `Autoencoder` with codes of 2 to 256 dimensions; none that needs labels.
        data: What has `factor_sizes`, `sample(n, rng)` and `images(factors)`, as `Sprites`.
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
        ValueError: no `Autoencoder`, data without factors, or codes or factors that cannot be
            scored.
    """
    if not isinstance(model, Autoencoder):
        raise ValueError(f"`model` must be an Autoencoder, got a {type(model).__name__}.")
    _check_source(data)
    check_integers(0, seed=seed)
    check_integers(1, rows=rows, votes=votes, evaluation_votes=evaluation_votes)
    check_integers(2, batch_size=batch_size)
    rng = np.random.default_rng(seed)
    factors = data.sample(rows, rng)
    variational = model.posterior_family is DiagonalGaussian
    encode = model.posterior if variational else model.encode
    parts = []
    for start in range(0, rows, _ENCODED):
        parts.append(encode(data.images(factors[start : start + _ENCODED])))
        if start == 0:  # before the work begins
            _check_dimensions(parts[0][0] if variational else parts[0])
    if variational:
        codes, log_variances = (np.concatenate(part) for part in zip(*parts, strict=True))
    else:
        codes, log_variances = np.concatenate(parts), None
    codes = codes.reshape(rows, -1)
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
    parts = dci(codes, factors, estimator=estimator, seed=seed)
    return {
        **scores,
        **{f"dci_{name}": value for name, value in parts.items()},
        "modularity": modularity(*fewer),
    }


def factor_vae_score(
    encode,
    data,
    *,
    votes=10_000,
    evaluation_votes=5_000,
    batch_size=64,
    variance_rows=10_000,
    collapsed=0.05,
    seed=0,
):
    """Accuracy with which the dimension that varies least tells which factor was held fixed.

    Kim & Mnih, "Disentangling by factorising" (2018, arXiv:1802.05983). For each vote a factor is
    drawn, and images that have one value of it in common; the vote is for the dimension whose
    variance over those images, divided by that over the data, is the smallest. Each dimension is
    then said to stand for the factor that most votes for it came from, and the score is how often
    that is right for other votes. Chance is about one over the number of factors.

    Args:
        encode: Function from images to codes `(n, ...)`, as `model.encode`.
        data: What has `factor_sizes`, `sample(n, rng)` and `images(factors)`, as `Sprites`.
        votes: How many make the classifier.
        evaluation_votes: How many others it is judged by.
        batch_size: Images for each vote.
        variance_rows: Images from which the variances over the data are estimated.
        collapsed: Dimensions whose codes have a smaller standard deviation over the data are left
            out. The default is for codes whose prior is a standard normal; those that are constant
            are always left out.
        seed: Integer, 0 or more.

    Returns:
        Float from 0 to 1; 0 if all dimensions have collapsed.

    Raises:
        ValueError: data without factors, a constant factor, codes that are not finite, numbers that
            are none.
    """
    _check_source(data)
    sizes = np.asarray(data.factor_sizes)
    if (sizes < 2).any():
        raise ValueError(f"A factor of one value cannot be told: `factor_sizes` are {sizes}.")
    check_integers(0, seed=seed)
    check_integers(1, votes=votes, evaluation_votes=evaluation_votes)
    check_integers(2, batch_size=batch_size, variance_rows=variance_rows)
    rng = np.random.default_rng(seed)

    def codes_of(factors):
        codes = np.asarray(encode(data.images(factors)))
        if not np.isfinite(codes).all():
            raise ValueError("Codes must be finite, but `encode` gave NaN or infinity.")
        return codes.reshape(len(factors), -1)

    factors = data.sample(variance_rows, rng)
    codes = np.concatenate(
        [codes_of(factors[i : i + _ENCODED]) for i in range(0, variance_rows, _ENCODED)]
    )
    deviations = codes.std(axis=0, ddof=1, dtype="float64")
    active = (deviations >= collapsed) & _vary(codes)
    if not active.any():
        return 0.0

    def count(number):
        counts = np.zeros((active.sum(), len(sizes)), "int64")
        at_once = max(1, _ENCODED // batch_size)
        for start in range(0, number, at_once):
            fixed = rng.integers(len(sizes), size=min(at_once, number - start))
            factors = data.sample(len(fixed) * batch_size, rng)
            factors = factors.reshape(len(fixed), batch_size, -1)
            of = np.arange(len(fixed))
            factors[of, :, fixed] = factors[of, 0, fixed][:, np.newaxis]
            codes = codes_of(factors.reshape(-1, len(sizes))).reshape(len(fixed), batch_size, -1)
            scaled = codes[..., active] / deviations[active]
            np.add.at(counts, (scaled.var(axis=1).argmin(axis=1), fixed), 1)
        return counts

    factor_of = count(votes).argmax(axis=1)
    right = count(evaluation_votes)
    return float(right[np.arange(len(right)), factor_of].sum() / evaluation_votes)


def mutual_information(codes, factors, *, log_variances=None, bins=20, samples=5_000, seed=0):
    """Mutual information of every dimension with every factor, in nats: `(d, k)`.

    Without `log_variances` of the codes in `bins` of equal width, from the smallest to the largest
    code of a dimension (Locatello et al. 2019). With them of z ~ q(z|x), normal with the codes as
    means: I(z; v) = E[log q(z|v) − log q(z)], where q(z) is the mixture of the posteriors of all
    rows, and q(z|v) that of the rows with that value (Chen et al. 2018). The expectation is over
    one draw for each of `samples` rows; a value that few rows have makes it too large.

    Args:
        codes: `(n, d)`.
        factors: Integers `(n, k)`.
        log_variances: Those of the posteriors, `(n, d)`, in the case that codes are their means.
        bins: How many.
        samples: Rows from which z is drawn; fewer take less time.
        seed: Integer, 0 or more, of the draws.

    Raises:
        ValueError: codes, log-variances or deviations that are not finite, factors that are no
            integers or constant, shapes that do not match.
    """
    codes, factors = _checked(codes, factors)
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


def mig(codes, factors, *, log_variances=None, bins=20, samples=5_000, seed=0):
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
    entropies = [_entropy(np.unique(v, return_counts=True)[1]) for v in np.asarray(factors).T]
    return float(np.mean(_gap(np.maximum(information, 0.0)) / entropies))


def sap(codes, factors, *, continuous=False, test=1 / 3, seed=0):
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
        ValueError: codes that are not finite, discrete factors that are no integers or any that
            are constant, shapes that do not match, a share that leaves nothing to train with or to
            test.
    """
    from sklearn.tree import DecisionTreeClassifier

    given = np.asarray(codes), np.asarray(factors)
    codes, factors = _checked(*given, kinds="fiu" if np.any(continuous) else "iu")
    vary, given = _vary(given[0]), given[1]
    if np.shape(continuous) not in ((), factors.shape[1:]):
        raise ValueError(
            f"`continuous` must be one answer, or one for each of {factors.shape[1]} factors; got "
            f"shape {np.shape(continuous)}."
        )
    continuous = np.broadcast_to(continuous, factors.shape[1])
    if (given[:, ~continuous] % 1).any():
        raise ValueError("Factors that are not `continuous` must be integers.")
    train, held_out = _split(len(codes), test, seed)
    scores = np.zeros((codes.shape[1], factors.shape[1]))
    for k, values in enumerate(factors.T):
        if continuous[k]:
            scores[vary, k] = _squared_correlations(codes[:, vary], given[:, k])
            continue
        for d, code in enumerate(codes.T[..., np.newaxis]):
            tree = DecisionTreeClassifier(
                max_leaf_nodes=int(values.max()) + 1, class_weight="balanced", random_state=seed
            ).fit(code[train], values[train])
            right = tree.predict(code[held_out]) == values[held_out]
            totals = np.bincount(values[held_out])
            rights = np.bincount(values[held_out], weights=right)
            scores[d, k] = np.mean(rights[totals > 0] / totals[totals > 0])
    return float(_gap(scores).mean())


def dci(codes, factors, *, estimator=None, test=1 / 3, seed=0):
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
        ValueError: codes that are not finite, factors that are no integers or constant, shapes that
            do not match or are too small.
    """
    from sklearn.base import clone
    from sklearn.ensemble import GradientBoostingClassifier

    codes, factors = _checked(codes, factors, least=2)
    if codes.shape[1] < 2:
        raise ValueError("Completeness needs codes of 2 or more dimensions.")
    train, held_out = _split(len(codes), test, seed)
    if estimator is None:
        estimator = GradientBoostingClassifier()
    estimator = clone(estimator)
    if estimator.get_params().get("random_state", seed) is None:
        estimator.set_params(random_state=seed)
    importances = np.zeros((codes.shape[1], factors.shape[1]))
    accuracies = []
    for k, values in enumerate(factors.T):
        fitted = clone(estimator).fit(codes[train], values[train])
        importances[:, k] = np.abs(fitted.feature_importances_)
        accuracies.append(np.mean(fitted.predict(codes[held_out]) == values[held_out]))
    return {
        "disentanglement": _concentration(importances),
        "completeness": _concentration(importances.T),
        "informativeness": float(np.mean(accuracies)),
    }


def modularity(codes, factors, *, bins=20):
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
    _checked(codes, factors, least=2)
    squares = mutual_information(codes, factors, bins=bins) ** 2
    largest = squares.max(axis=1)
    others = squares.sum(axis=1) - largest
    known = largest > 0
    scores = 1.0 - others[known] / (largest[known] * (squares.shape[1] - 1))
    return float(scores.sum() / len(squares))


# Arithmetic ---------------------------------------------------------------------------------------


def _binned_information(codes, factors, bins):
    information = np.zeros((codes.shape[1], factors.shape[1]))
    for d, code in enumerate(codes.T):
        edges = np.linspace(code.min(), code.max(), bins + 1)[1:-1]
        binned = np.digitize(code, edges)
        for k, values in enumerate(factors.T):
            pairs = np.bincount(values * bins + binned)
            information[d, k] = (
                _entropy(np.bincount(binned)) + _entropy(np.bincount(values)) - _entropy(pairs)
            )
    return np.where(information > 1e-12, information, 0.0)  # less is rounding


def _entropy(counts):
    """In nats, of the distribution with these counts."""
    shares = counts[counts > 0] / counts.sum()
    return -np.sum(shares * np.log(shares))


def _posterior_information(means, factors, deviations, samples, seed):
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


def _log_mixture(z, means, deviations):
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


def _squared_correlations(codes, values):
    centred, target = codes - codes.mean(axis=0), values - values.mean()
    covariances = (centred * target[:, np.newaxis]).mean(axis=0)
    return covariances**2 / (np.mean(centred**2, axis=0) * np.mean(target**2))


def _vary(codes):
    """Of each dimension, whether it varies by more than rounding."""
    rounding = np.finfo(codes.dtype if codes.dtype.kind == "f" else "float64").eps
    return np.ptp(codes, axis=0) > rounding * np.abs(codes).max(axis=0)


def _gap(scores):
    """Of each column, the largest score less the second largest, which is 0 where there is none."""
    ordered = np.sort(scores, axis=0)
    return ordered[-1] - (ordered[-2] if len(ordered) > 1 else 0.0)


def _concentration(importances):
    """1 minus the entropy of each row, in units of its largest value; their weighted mean."""
    totals = importances.sum(axis=1)
    if not totals.any():
        return 0.0
    entropies = np.array([_entropy(row) if row.any() else 0.0 for row in importances])
    scores = 1.0 - entropies / np.log(importances.shape[1])
    return max(float(scores @ totals / totals.sum()), 0.0)  # less is rounding


# Checks -------------------------------------------------------------------------------------------


def _checked(codes, factors, least=1, kinds="iu"):
    """Codes as float64, and of each factor the numbers of its values, 0 and so on."""
    codes, factors = np.asarray(codes), np.asarray(factors)
    if codes.ndim != 2 or codes.dtype.kind not in "fiu" or 0 in codes.shape:
        raise ValueError(
            f"`codes` must be numbers of shape (n, d), got {codes.dtype} of shape {codes.shape}."
        )
    if factors.ndim != 2 or factors.dtype.kind not in kinds or factors.shape[1] < least:
        numbers = "numbers" if "f" in kinds else "integers"
        raise ValueError(
            f"`factors` must be {numbers} of shape (n, k), k at least {least}; got {factors.dtype} "
            f"of shape {factors.shape}."
        )
    if not np.isfinite(factors).all():
        raise ValueError("`factors` must be finite, but some are NaN or infinity.")
    if len(codes) != len(factors):
        raise ValueError(
            f"`codes` and `factors` must have as many rows, got {len(codes)} and {len(factors)}."
        )
    bad = ~np.isfinite(codes).all(axis=1)
    if bad.any():
        raise ValueError(
            f"`codes` must be finite, but {bad.sum()} rows hold NaN or infinity, the first of them "
            f"row {bad.argmax()}."
        )
    for k, values in enumerate(factors.T):
        if values.min() == values.max():
            raise ValueError(
                f"Factor {k} has the value {values[0]} in all rows: leave its column out, there is "
                "nothing to tell."
            )
    numbers = [np.unique(values, return_inverse=True)[1] for values in factors.T]
    return codes.astype("float64"), np.stack(numbers, axis=1)


def _check_dimensions(codes):
    dimensions = codes[0].size
    if not 2 <= dimensions <= _MOST_DIMENSIONS:
        raise ValueError(
            f"The scores are of codes of 2 to {_MOST_DIMENSIONS} dimensions; those of this model "
            f"have {dimensions}. Score some of them by the functions that take codes."
        )


def _check_source(data):
    missing = [name for name in ("factor_sizes", "sample", "images") if not hasattr(data, name)]
    if missing:
        raise ValueError(
            f"A {type(data).__name__} does not tell its factors: it has no {', '.join(missing)}. "
            "`autoencoders.datasets.sprites()` does (the whole of it, not a part)."
        )


def _split(rows, test, seed):
    check_integers(0, seed=seed)
    held_out = round(rows * test)
    if not 0 < held_out < rows:
        raise ValueError(f"`test={test}` of {rows} rows leaves one part without rows.")
    order = np.random.default_rng(seed).permutation(rows)
    return order[held_out:], order[:held_out]
