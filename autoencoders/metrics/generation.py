"""How good generated data are, beside real data that the model was not trained on.

The measures are of features, arrays `(n, dim)`; `evaluate` takes images, or a model to draw them
from. They depend on how many rows there are: compare figures of as many.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from autoencoders.autoencoder import Autoencoder
from autoencoders.checks import check_integers
from autoencoders.metrics import features as image_features

# Distances held at once.
_CHUNK_BYTES = 2**25

# What squared distances are off by, in units of the points' own from the centre: arithmetic.
_TOLERANCE = 1e-12


class PrecisionRecall(NamedTuple):
    """How much of what is generated is real, and how much of what is real is generated."""

    precision: float
    recall: float


class DensityCoverage(NamedTuple):
    """How densely real data lie around generated ones, and how many have one near."""

    density: float
    coverage: float


def evaluate(
    real: image_features.Rows,
    generated: image_features.Rows | Autoencoder,
    features: image_features.Features | None = None,
    *,
    k: int = 5,
    seed: int = 0,
) -> dict[str, float]:
    """Every measure of this module, of images in the features of a small classifier.

    Args:
        real: Images in [0, 1], `(n, height, width, channels)`, of the test set; or, with your own
            `features`, rows of any kind.
        generated: Other images of the same shape; or a model, which then draws as many.
        features: As in `features.extract`: "mnist", "digits", a card's file, or a function of rows.
            Unless given, what the package has for images of this shape: all images of 28×28×1
            get that of MNIST, those of Fashion-MNIST too.
        k: Which neighbour is the end of a neighbourhood.
        seed: Integer, 0 or more, of the draws from a model.

    Returns:
        Dict: `precision`, `recall`, `density`, `coverage` and `frechet_distance`.

    Raises:
        ValueError: bad images, too few of them, or a model that does not generate or is in the
            place of `real`.
    """
    if isinstance(real, Autoencoder):
        raise ValueError("`real` is a model, but it must be images; the model comes after them.")
    check_integers(0, seed=seed)
    if isinstance(generated, Autoencoder):
        generated = generated.sample(len(real), seed=seed)
    if np.shape(real)[1:] != np.shape(generated)[1:]:
        raise ValueError(
            f"`generated` must have rows of the shape of `real`'s, {np.shape(real)[1:]}; got "
            f"{np.shape(generated)[1:]}."
        )
    pairs = {"real": real, "generated": generated}
    real, generated = (image_features.extract(rows, features, name) for name, rows in pairs.items())
    return {
        **_neighbourhoods(real, generated, k),
        "frechet_distance": frechet_distance(real, generated),
    }


def precision_recall(real: ArrayLike, generated: ArrayLike, k: int = 5) -> PrecisionRecall:
    """The share of generated rows that lie in a real row's neighbourhood, and the other way round.

    Kynkäänniemi et al., "Improved precision and recall metric for assessing generative models"
    (2019, arXiv:1904.06991). A neighbourhood reaches to a row's k-th nearest of its own kind; the
    paper has k = 3.

    Args:
        real, generated: Features, `(n, dim)` and `(m, dim)`.
        k: See above.

    Raises:
        ValueError: bad features, or not more than k of them.
    """
    values = _neighbourhoods(real, generated, k)
    return PrecisionRecall(values["precision"], values["recall"])


def density_coverage(real: ArrayLike, generated: ArrayLike, k: int = 5) -> DensityCoverage:
    """How many real neighbourhoods a generated row lies in, over k; the share that have one within.

    Naeem et al., "Reliable fidelity and diversity metrics for generative models" (2020,
    arXiv:2002.09797): as precision and recall, but one outlier among the real rows, whose
    neighbourhood is large, raises the first by little, and those among the generated ones play no
    part. Density is about 1 for data like the real ones, and may be above. A real row with k or
    more duplicates has a neighbourhood of radius 0: nothing covers it.

    Args:
        real, generated: Features, `(n, dim)` and `(m, dim)`.
        k: The neighbour to which a real row's neighbourhood reaches.

    Raises:
        ValueError: bad features, or not more than k of them.
    """
    values = _neighbourhoods(real, generated, k)
    return DensityCoverage(values["density"], values["coverage"])


def frechet_distance(real: ArrayLike, generated: ArrayLike) -> float:
    """‖μ − μ'‖² + tr(Σ + Σ' − 2 (Σ Σ')^½), between normal distributions of the same moments.

    Heusel et al., "GANs trained by a two time-scale update rule" (2017, arXiv:1706.08500), in
    the features of an Inception network: figures in other features do not compare with those.

    Args:
        real, generated: Features, `(n, dim)` and `(m, dim)`.

    Raises:
        ValueError: bad features, less than two of them, or so large that moments overflow.
    """
    real, generated = _checked(real, generated, 2)
    with np.errstate(over="ignore", invalid="ignore"):
        variances = [rows.var(axis=0).sum() for rows in (real, generated)]
        apart = np.square(real.mean(axis=0) - generated.mean(axis=0)).sum()
    if not np.isfinite([*variances, apart]).all():
        raise ValueError("The moments of the features overflow: scale them down.")
    means = [rows.mean(axis=0) for rows in (real, generated)]
    # With Σ = RᵀR the trace of the root is the sum of the singular values of R R'ᵀ: nothing is
    # squared, so that nothing small gets lost, and nothing negative has to be rooted.
    roots: list[Any] = [
        np.linalg.qr((rows - mean) / np.sqrt(len(rows) - 1), mode="r")
        for rows, mean in zip((real, generated), means, strict=True)
    ]
    overlap = np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum()
    spread = sum(np.square(root).sum() for root in roots)
    return float(apart + max(spread - 2.0 * overlap, 0.0))


def _neighbourhoods(real: ArrayLike, generated: ArrayLike, k: int) -> dict[str, float]:
    from sklearn.metrics import euclidean_distances

    check_integers(1, k=k)
    real, generated = _checked(real, generated, k + 1)
    centre = np.median(real, axis=0)  # which no outlier moves
    real, generated = real - centre, generated - centre
    own, others = _radii(real, k), _radii(generated, k)
    own_off, others_off = (_TOLERANCE * np.square(rows).sum(axis=1) for rows in (real, generated))
    precise = np.zeros(len(generated), bool)
    recalled, covered, inside = 0, 0, 0
    step = max(_CHUNK_BYTES // (8 * len(generated)), 1)
    for start in range(0, len(real), step):
        part = slice(start, start + step)
        distances = euclidean_distances(real[part], generated, squared=True)
        off = own_off[part, None] + others_off
        # As in the papers, precision and recall count a row as far as the k-th neighbour, and
        # density and coverage count it only if it is nearer.
        precise |= (distances <= own[part, None] + off).any(axis=0)
        recalled += (distances <= others + off).any(axis=1).sum()
        within = distances < own[part, None] - off
        inside += within.sum()
        covered += within.any(axis=1).sum()
    return {
        "precision": float(precise.mean()),
        "recall": float(recalled / len(real)),
        "density": float(inside / (k * len(generated))),
        "coverage": float(covered / len(real)),
    }


def _radii(rows: np.ndarray, k: int) -> np.ndarray:
    """The squared distance of each row from its k-th nearest."""
    from sklearn.neighbors import NearestNeighbors

    distances, _ = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(rows).kneighbors()
    return np.square(distances[:, -1])


def _checked(real: ArrayLike, generated: ArrayLike, fewest: int) -> tuple[np.ndarray, np.ndarray]:
    arrays = []
    for name, given in (("real", real), ("generated", generated)):
        rows = np.asarray(given)
        if rows.ndim != 2 or rows.dtype.kind not in "fiu" or not np.isfinite(rows).all():
            raise ValueError(
                f"`{name}` must be finite features (n, dim), got {rows.dtype} of shape "
                f"{rows.shape}. `generation.evaluate` takes images."
            )
        if len(rows) < fewest:
            raise ValueError(f"`{name}` must have {fewest} rows at least, got {len(rows)}.")
        arrays.append(rows.astype("float64"))
    widths = [rows.shape[1] for rows in arrays]
    if widths[0] != widths[1]:
        raise ValueError(
            f"`generated` must have as many features as `real`, {widths[0]}; got {widths[1]}."
        )
    return arrays[0], arrays[1]
