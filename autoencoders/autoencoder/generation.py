"""New rows: draws from a prior, lines between codes, rows around a row.

The functions are methods of `Autoencoder`, whose class body names them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from autoencoders import priors
from autoencoders.autoencoder.inference import check_values, to_numpy
from autoencoders.distributions.pixelcnn import PixelCNN
from autoencoders.distributions.posteriors import DiagonalGaussian
from autoencoders.distributions.priors import Prior, described
from autoencoders.types import Data

if TYPE_CHECKING:
    from autoencoders.autoencoder.base import Autoencoder


def fit_prior(
    self: Autoencoder,
    x: Data,
    *,
    validation_data: Data = None,
    seed: int | None = 0,
    **options: Any,
) -> dict[str, list[float]]:
    """Fit a density to the codes of x, for `sample` to draw from: any model then generates.

    Codes are taken as `encode` gives them, and the density is a Gaussian mixture of them
    (`priors.GaussianMixture`; Ghosh et al., "From variational to deterministic autoencoders",
    2020, arXiv:1903.12436). Over the codes of a codebook it is a `PixelCNN`, trained here as
    van den Oord et al. (2017, arXiv:1711.00937) do. Nothing else in the model changes, and
    its training goes on as if there were no density, which is saved with it. It is of the codes
    as they are now: after more training fit it again.

    Args:
        x: What `encode` takes. A model of labelled rows has one density for all classes.
        validation_data: Other rows, whose loss is reported beside.
        seed: Integer; the same rows and seed give the same density.
        options: `components` of a mixture (10); `filters` (64) and `blocks` (3) of a PixelCNN,
            and how it is trained: `epochs` (20), `batch_size` (64), `learning_rate` (0.001),
            `verbose`, `callbacks`.

    Returns:
        Dict of lists, as `fit(...).history`: `loss`, the mean of −log p(code) in nats by epoch
        (a mixture has one), and `val_loss` if it is asked for.

    Raises:
        ValueError: bad rows, or codes over which there can be no density.
        TypeError: an option that such a density does not have.
    """
    if self.labels is not None and not self.needs_labels:
        raise ValueError(f"{self.name!r} has a prior over classes and styles: it needs no other.")
    check_values(self, "fit_prior", x, validation_data)
    discrete = self.num_codes is not None
    seed = 0 if seed is None else int(seed)

    def codes(rows):
        rows = keras.tree.map_structure(to_numpy, rows)
        return self.over_rows("indices", self.indices, rows) if discrete else self.encode(rows)

    own, held_out = codes(x), None if validation_data is None else codes(validation_data)
    if None in self.latent_shape:
        raise ValueError(f"{self.name!r} has codes of open shape {self.latent_shape}.")
    if discrete:
        prior, history = _pixel_cnn(own, held_out, self.num_codes, seed, **options)
    else:
        prior, history = _mixture(own, held_out, seed, **options)
    self._keep_prior(prior)
    return history


def _pixel_cnn(codes, held_out, num_codes, seed, **options):
    sizes = {name: options.pop(name) for name in ("filters", "blocks") if name in options}
    prior = PixelCNN(codes.shape[1:], num_codes, seed=seed, **sizes)
    return prior, prior.fit(codes, held_out, **options)


def _mixture(codes, held_out, seed, **options):
    prior = priors.GaussianMixture.fit(codes, seed=seed, **options)
    history = {"loss": [-_mean_log_prob(prior, codes)]}
    if held_out is not None:
        history["val_loss"] = [-_mean_log_prob(prior, held_out)]
    return prior, history


def _mean_log_prob(prior, codes):
    chunks = [codes[i : i + 256] for i in range(0, len(codes), 256)]  # This bounds the memory.
    return float(np.mean(np.concatenate([prior.log_prob(chunk) for chunk in chunks])))


def sample(
    self: Autoencoder,
    n: int,
    *,
    labels: ArrayLike | None = None,
    seed: int | None = None,
    steps: int | None = None,
) -> np.ndarray:
    """New data: `n` draws from the prior, decoded.

    Args:
        n: How many.
        labels: For models of labelled rows, the classes to draw: integers `(n,)`, or one.
        seed: Integer, to get the same draws again.
        steps: The length of the series to draw, for a model of series of any length.

    Returns:
        NumPy array `(n, *input_shape)`.

    Raises:
        ValueError: the model has no prior to draw from, or takes no labels.
    """
    if labels is not None:
        raise ValueError(f"{self.name!r} knows no classes: it takes no `labels`.")
    return self.decode(self.sample_codes(n, seed), steps=steps)


def sample_codes(self: Autoencoder, n: int, seed: int | None = None) -> np.ndarray:
    """`n` draws from the prior, `(n, *latent_shape)`, as a NumPy array.

    Raises:
        ValueError: the model has no prior to draw from.
    """
    if n < 0:
        raise ValueError(f"`n` must be 0 or more, got {n}.")
    prior = self.prior
    if prior is None:
        raise ValueError(
            f"{self.name!r} has no prior to sample from. Generative models do: the "
            "variational, adversarial and discrete families. Others get one by `fit_prior(x)`."
        )
    if None in self.latent_shape:
        raise ValueError(f"{self.name!r} has codes of open shape {self.latent_shape}.")
    if seed is None:  # A prior may draw twice, each time from a seed that is a number.
        seed = int(np.random.default_rng().integers(2**31 - 1))
    seed = int(seed)
    shape = (n, *self.latent_shape)
    if described(prior).of_indices:
        return ops.convert_to_numpy(self.bottleneck.lookup(prior.sample(shape[:-1], seed=seed)))
    codes = prior.sample(shape, seed=seed)
    if self.bottleneck is not None:
        codes = self.bottleneck.nearest(codes)
    return ops.convert_to_numpy(codes)


def interpolate(self: Autoencoder, a: ArrayLike, b: ArrayLike, steps: int = 9) -> np.ndarray:
    """Reconstructions along the straight line between two rows' latent codes.

    Args:
        a, b: Arrays of shape `input_shape`, one row each.
        steps: How many points, ends included.

    Returns:
        NumPy array `(steps, *input_shape)`.
    """
    check_values(self, "interpolate", a, b)
    ends = np.stack([a, b])
    start, end = self.encode(ends)
    weight = np.linspace(0.0, 1.0, steps, dtype=start.dtype).reshape(-1, *[1] * start.ndim)
    line = (1.0 - weight) * start + weight * end
    return self.decode(line, steps=_open_steps(self, ends))


def perturb(
    self: Autoencoder,
    x: Data,
    *,
    mean: ArrayLike = 0.0,
    variance: float = 1.0,
    samples: int = 1,
    seed: int | None = None,
) -> np.ndarray:
    """Reconstructions from codes drawn around those of x: z ~ N(μ + mean, variance · σ²).

    Args:
        x: What `encode` takes: array `(n, *input_shape)`.
        mean: What is added to the posterior's mean μ: a number, or one for each latent
            dimension.
        variance: Factor of the posterior's variance σ²; 0 for none. Models without a
            posterior have no variance.
        samples: Draws for each row.
        seed: Integer, to get the same draws again.

    Returns:
        NumPy array `(n, samples, *input_shape)`.

    Raises:
        ValueError: a negative variance.
    """
    if variance < 0:
        raise ValueError(f"`variance` must be 0 or more, got {variance}.")
    if samples < 1:
        raise ValueError(f"`samples` must be 1 or more, got {samples}.")
    check_values(self, "perturb", x)
    x = tuple(x) if self.needs_labels else x
    if self.posterior_family is DiagonalGaussian:
        centre, log_variance = self.posterior(x)
        deviation = np.sqrt(variance) * np.exp(0.5 * log_variance)
    else:
        centre, deviation = self.encode(x), 0.0
    noise = np.random.default_rng(seed).normal(size=(samples, *centre.shape))
    z = (centre + np.asarray(mean) + deviation * noise).astype(centre.dtype)
    if isinstance(x, tuple):
        rows = [self.decode((part, x[1])) for part in z]
    else:
        rows = [self.decode(part, steps=_open_steps(self, x)) for part in z]
    return np.stack(rows, axis=1)


def _open_steps(self, x):
    """The length of the series x, for a model that leaves it open; None for another."""
    return np.shape(x)[1] if self.row_shape[0] is None else None


def prior(self: Autoencoder) -> Prior | None:
    """The distribution that `sample` draws latent codes from, or None.

    The one that `fit_prior` fitted, before that `training_prior`.
    """
    return self.training_prior if self._fitted_prior is None else self._fitted_prior


def training_prior(self: Autoencoder) -> Prior | None:
    """The distribution towards which training draws the codes, or None."""
    parts = (self.bottleneck, *self.penalties)
    found = (part.prior for part in parts if part is not None)
    return next((prior for prior in found if prior is not None), None)
