"""The FactorVAE score, and what a data set has to tell for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from autoencoders.checks import check_integers
from autoencoders.metrics.disentanglement.columns import vary

AT_ONCE = 1024  # images drawn and encoded


@runtime_checkable
class FactorData(Protocol):
    """Data whose factors of variation are known, such as `datasets.sprites()`."""

    @property
    def factor_sizes(self) -> Sequence[int]:
        """How many values each factor has."""
        ...

    def sample(self, n: int, rng: Any, /) -> np.ndarray:
        """Draw factors independently and uniformly, `(n, k)` integers."""
        ...

    def images(self, factors: Any, /) -> np.ndarray:
        """The images that have these factors, `(n, ...)`."""
        ...


def factor_vae_score(
    encode: Callable[[np.ndarray], ArrayLike],
    data: FactorData,
    *,
    votes: int = 10_000,
    evaluation_votes: int = 5_000,
    batch_size: int = 64,
    variance_rows: int = 10_000,
    collapsed: float = 0.05,
    seed: int = 0,
) -> float:
    """Accuracy with which the dimension that varies least tells which factor was held fixed.

    Kim & Mnih, "Disentangling by factorising" (2018, arXiv:1802.05983). For each vote a factor is
    drawn, and images that have one value of it in common; the vote is for the dimension whose
    variance over those images, divided by that over the data, is the smallest. Each dimension is
    then said to stand for the factor that most votes for it came from, and the score is how often
    that is right for other votes. Chance is about one over the number of factors.

    Args:
        encode: Function from images to codes `(n, ...)`, as `model.encode`.
        data: What has `factor_sizes`, `sample(n, rng)` and `images(factors)`, as `Sprites` has.
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
        ValueError: data without factors, a constant factor, codes that are not finite, numbers of
            votes or rows that are not integers, or are too small.
    """
    check_source(data)
    sizes = np.asarray(data.factor_sizes)
    if (sizes < 2).any():
        raise ValueError(f"A factor of one value cannot be told: `factor_sizes` are {sizes}.")
    check_integers(0, seed=seed)
    check_integers(1, votes=votes, evaluation_votes=evaluation_votes)
    check_integers(2, batch_size=batch_size, variance_rows=variance_rows)
    rng = np.random.default_rng(seed)

    def codes_of(factors: np.ndarray) -> np.ndarray:
        codes = np.asarray(encode(data.images(factors)))
        if not np.isfinite(codes).all():
            raise ValueError("Codes must be finite, but `encode` gave NaN or infinity.")
        return codes.reshape(len(factors), -1)

    factors = data.sample(variance_rows, rng)
    codes = np.concatenate(
        [codes_of(factors[i : i + AT_ONCE]) for i in range(0, variance_rows, AT_ONCE)]
    )
    deviations = codes.std(axis=0, ddof=1, dtype="float64")
    active = (deviations >= collapsed) & vary(codes)
    if not active.any():
        return 0.0

    def count(number: int) -> np.ndarray:
        """How many votes for each active dimension came from each factor."""
        counts = np.zeros((active.sum(), len(sizes)), "int64")
        at_once = max(1, AT_ONCE // batch_size)
        for start in range(0, number, at_once):
            fixed = rng.integers(len(sizes), size=min(at_once, number - start))
            factors = data.sample(len(fixed) * batch_size, rng)
            factors = factors.reshape(len(fixed), batch_size, -1)
            every = np.arange(len(fixed))
            factors[every, :, fixed] = factors[every, 0, fixed][:, np.newaxis]
            codes = codes_of(factors.reshape(-1, len(sizes))).reshape(len(fixed), batch_size, -1)
            scaled = codes[..., active] / deviations[active]
            np.add.at(counts, (scaled.var(axis=1).argmin(axis=1), fixed), 1)
        return counts

    factor_of = count(votes).argmax(axis=1)
    right = count(evaluation_votes)
    return float(right[np.arange(len(right)), factor_of].sum() / evaluation_votes)


def check_source(data: object) -> None:
    """Raise a ValueError unless data tell their factors."""
    if not isinstance(data, FactorData):
        raise ValueError(
            f"A {type(data).__name__} does not tell its factors: it would need `factor_sizes`, "
            "`sample` and `images`. `autoencoders.datasets.sprites()` has them (the whole of it, "
            "not a part)."
        )
