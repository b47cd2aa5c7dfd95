"""What the codes of a model hold: active units, nats per dimension, the use of a codebook."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from keras import KerasTensor, ops
from numpy.typing import ArrayLike

from autoencoders import priors
from autoencoders.distributions.posteriors import Categorical, DiagonalGaussian
from autoencoders.distributions.priors import described
from autoencoders.metrics.posterior_draws import (
    WITH_POSTERIORS,
    GaussianPosterior,
    check_model,
    logits_of,
    posterior_of,
)

if TYPE_CHECKING:
    from autoencoders.autoencoder import Autoencoder


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


def active_units(model: Autoencoder, x: ArrayLike, threshold: float = 0.01) -> int:
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
    check_model(model)
    model.ensure_built(x)
    if not isinstance(posterior_of(model), GaussianPosterior):
        raise ValueError(
            f"{model.name!r} has no latent units: its codes are categories. {WITH_POSTERIORS}"
        )
    mean, _ = model.posterior(x)
    if len(mean) < 2:
        raise ValueError("`x` must have 2 rows or more: a single one does not vary.")
    if not np.isfinite(mean).all():
        raise ValueError(f"The posterior means of {model.name!r} are not finite.")
    return int((mean.var(axis=0, dtype="float64") > threshold).sum())


def kl_per_dimension(model: Autoencoder, x: ArrayLike) -> np.ndarray:
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
    check_model(model)
    model.ensure_built(x)
    prior = posterior_of(model).prior
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


def codebook_perplexity(model: Autoencoder, x: ArrayLike) -> CodebookUse:
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
    check_model(model)
    if model.num_codes is None:
        raise ValueError(
            f"{model.name!r} has no codebook. Discrete models do: `list_models(family='discrete')`."
        )
    codes = model.over_rows("indices", model.indices, x)
    counts = np.bincount(codes.ravel(), minlength=model.bottleneck.num_codes)
    share = counts[counts > 0] / counts.sum()
    perplexity = math.exp(-(share * np.log(share)).sum())
    return CodebookUse(perplexity, len(share), model.bottleneck.num_codes)


def _categorical_kl(model: Autoencoder, x: Any) -> KerasTensor:
    return Categorical(logits_of(model, x)).kl_per_place()
