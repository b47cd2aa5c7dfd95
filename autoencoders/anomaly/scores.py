"""What makes a row anomalous: functions of a model and a row, high for anomalies.

Each score learns what it needs from the rows that the model was trained on, and is then one
function of a batch of rows, in one graph with the model. What it says of a row depends on that row
alone: samples of a posterior are drawn with the same noise for every row.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from keras import ops

from autoencoders import registry
from autoencoders.distributions.posteriors import DiagonalGaussian
from autoencoders.distributions.priors import described

# Draws of the latent code behind an expected likelihood, and the seed of their noise. Its mean is
# exactly 0 and its variance 1, since the draws' error does not average out over rows.
_DRAWS = 10
_NOISE_SEED = 0
_LARGEST_LOG_VARIANCE = 30.0

# Nats for each unit by which a value lies outside the range that its likelihood has.
_OUTSIDE = 100.0

# The score of a row whose error is beyond all numbers: no row is less normal.
LOWEST = -float(np.finfo("float32").max)

# Runs a function of a batch of rows, under a name, over all training rows; and yields its results
# for some rows at a time, as NumPy arrays.
OverRows = Callable[[str, Callable[[Any], Any]], Iterable[np.ndarray]]

# Mean squared errors below this, in standardised units, are the arithmetic's, not the data's.
TINY = 1e-8


class Score:
    """Base class of the scores.

    A subclass gives `of(x)`, from a batch of rows `(batch, *row_shape)` to `(batch,)` at double
    precision; `contributions(x)`, what each feature adds to it, `(batch, *row_shape)`, if it can be
    told; and `learn(over_rows)`, if it needs statistics.

    Args:
        model: The trained `Autoencoder` (or `DenoisingEnsemble`).

    Attributes:
        name: What detectors are told to have this score; of a sum, the names of its parts.
        needs_statistics: Whether there is something to learn.
        decomposes: Whether there are `contributions`.
        statistics: Arrays by name: all that was learnt.
    """

    name: Any  # A word, or a tuple of words.
    needs_statistics: bool = False
    decomposes: bool = True

    def __init__(self, model: Any) -> None:
        self.model = model
        self.statistics: Any = {}

    def learn(self, over_rows: OverRows) -> None:
        """Learn statistics of the training rows.

        Args:
            over_rows: Takes a name and a function of a batch of rows, and yields its results in
                chunks of rows, as NumPy arrays.
        """

    def of(self, x: Any) -> Any:
        """The score of each row, `(batch,)`."""
        raise NotImplementedError

    def contributions(self, x: Any) -> Any:
        """What each feature adds to the score; `decomposes` says whether it can be told."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """What a detector's file says of its score, beside the statistics."""
        return {"score": self.name}


class ReconstructionError(Score):
    """The mean squared error over a row's features.

    Sakurada & Yairi, "Anomaly detection using autoencoders with nonlinear dimensionality reduction"
    (MLSDA 2014).
    """

    name: str = "reconstruction_error"

    def of(self, x: Any) -> Any:
        """The mean squared error of each row."""
        return _sum(self.contributions(x))

    def contributions(self, x: Any) -> Any:
        """Its squared errors, each divided by their number."""
        return _double(ops.square(x - self.model(x))) / _divisor(self.model, x, rank=len(x.shape))


class MultiScale(Score):
    """The errors of denoising autoencoders at several noise levels, on a logarithmic scale.

    score = Σ over levels of log(E / B) / s, where E is the row's mean squared error at a level (see
    `DenoisingEnsemble.squared_errors`), B its mean over the training rows, and s the standard
    deviation of log E over the training rows. (B in place of the mean of log E shifts all scores
    alike.) The share of feature f, of errors e and training mean b, is
    (e − b) · log(E / B) / (E − B), which adds up exactly.
    """

    name: str = "multi_scale"
    needs_statistics = True

    def learn(self, over_rows: OverRows) -> None:
        """Learn the mean error of each feature, and the spread of log E, at each level."""
        total: Any = 0.0
        logs = []
        for errors in over_rows("squared errors", self._errors):
            total = total + errors.sum(axis=0)
            logs.append(np.log(errors.reshape(*errors.shape[:2], -1).sum(axis=-1)))
        logs = np.concatenate(logs)
        spread = logs.std(axis=0)
        self.statistics: dict[str, np.ndarray] = {
            "mean_error": total / len(logs),
            # Rows that are all alike have no spread to measure others by.
            "spread": np.where(spread > 1e-6, spread, 1.0),
        }

    def _errors(self, x):
        """Each feature's share of the mean squared error: `(batch, levels, *row_shape)`."""
        errors = _double(self.model.squared_errors(x))
        divisor = _divisor(self.model, x, rank=len(errors.shape))
        return errors / divisor + TINY / math.prod(errors.shape[2:])

    def of(self, x: Any) -> Any:
        """The sum of the standardised logarithms."""
        errors = self._errors(x)
        errors = ops.sum(ops.reshape(errors, (*ops.shape(errors)[:2], -1)), axis=-1)
        base = self.statistics["mean_error"]
        base = base.reshape(len(base), -1).sum(axis=-1)
        return ops.sum(ops.log(errors / base) / self.statistics["spread"], axis=-1)

    def contributions(self, x: Any) -> Any:
        """Each feature's shares, added over the levels."""
        errors, mean = self._errors(x), self.statistics["mean_error"]
        axes = tuple(range(2, len(errors.shape)))
        base = mean.sum(axis=tuple(range(1, mean.ndim)), keepdims=True)
        slope = log_slope(ops.sum(errors, axis=axes, keepdims=True), base)
        spread = self.statistics["spread"].reshape(-1, *[1] * len(axes))
        return ops.sum((errors - mean) * slope / spread, axis=1)


class ReconstructionProbability(Score):
    """−E log p(x|z) in nats, z ~ q(z|x): how improbable the row is, given its own code.

    An & Cho, "Variational autoencoder based anomaly detection using reconstruction probability"
    (SNU Data Mining Center, 2015). A model without a posterior has one code for each row.
    """

    name: str = "reconstruction_probability"

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        if model.likelihood is None:
            raise ValueError(
                f"{model.name!r} has no likelihood, so rows have no probability: build it with "
                "`likelihood=...`, or choose a model that has one, or another `score`."
            )

    def of(self, x: Any) -> Any:
        """The negative log-likelihood of each row, in nats."""
        return _sum(self.contributions(x))

    def contributions(self, x: Any) -> Any:
        """The negative log-likelihood of each element, in nats."""
        codes = [z for z, *_ in _draws(self.model, x)] if _variational(self.model) else None
        codes = codes or [self.model.encode(x)]
        return sum(self._negative_log_likelihood(x, z) for z in codes) / len(codes)

    def _negative_log_likelihood(self, x, z):
        output = ops.cast(self.model.decoder_output(z, self.model.inputs_of(x), False), x.dtype)
        low, high = self.model.likelihood.support
        inside = ops.clip(x, low, high) if np.isfinite([low, high]).any() else x
        values = _double(self.model.likelihood.elementwise(inside, output))
        # Impossible values have no finite log-likelihood.
        values = values + _OUTSIDE * _double(ops.abs(x - inside))
        mask = self.model.padding_mask(x)
        return values if mask is None else values * _double(mask)[..., None]


class NegativeELBO(ReconstructionProbability):
    """−ELBO in nats: the reconstruction's improbability plus the KL of the posterior to the prior.

    An upper bound of −log p(x) (Kingma & Welling 2013, arXiv:1312.6114), whatever weights the KL
    had in training.
    """

    name: str = "elbo"
    decomposes = False

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        if not _variational(model) or not _has_kl(described(model.bottleneck.prior)):
            raise ValueError(
                f"{model.name!r} has no posterior with a prior that has a density, and so no "
                "ELBO: choose a variational model, or another `score`."
            )

    def of(self, x: Any) -> Any:
        """The bound of each row, in nats."""
        prior = described(self.model.bottleneck.prior)
        drawn = list(_draws(self.model, x))
        reconstruction = sum(_sum(self._negative_log_likelihood(x, z)) for z, _ in drawn)
        _, posterior = drawn[0]
        kl = prior.kl(*posterior)
        if kl is None:
            divergence = sum(_double(posterior.log_ratio(prior, z)) for z, _ in drawn)
        else:
            divergence = _DRAWS * _double(kl)
        return (reconstruction + divergence) / _DRAWS


class Mahalanobis(Score):
    """The squared Mahalanobis distance of a row's code from those of the training rows.

    Denouden et al., "Improving reconstruction autoencoder out-of-distribution detection with
    Mahalanobis distance" (2018, arXiv:1812.02765). The covariance is shrunk as Ledoit & Wolf (2004)
    do, so that there is an inverse however few the rows.
    """

    name: str = "mahalanobis"
    needs_statistics = True
    decomposes = False

    def learn(self, over_rows: OverRows) -> None:
        """Learn the codes' mean and covariance."""
        from sklearn.covariance import LedoitWolf

        codes = np.concatenate(list(over_rows("codes", self._codes)))
        fitted = LedoitWolf().fit(codes)
        values, vectors = np.linalg.eigh(fitted.covariance_)
        # Codes that never vary (all rows alike) span no distance.
        scale = np.where(values > 1e-12, values, 1.0) ** -0.5
        self.statistics: dict[str, np.ndarray] = {
            "location": fitted.location_,
            "whitening": vectors * scale,
        }

    def _codes(self, x):
        codes = self.model.encode(x)
        return _double(ops.reshape(codes, (ops.shape(codes)[0], -1)))

    def of(self, x: Any) -> Any:
        """The squared distance of each row."""
        distance = self._codes(x) - self.statistics["location"]
        return ops.sum(ops.square(distance @ self.statistics["whitening"]), axis=-1)


class Sum(Score):
    """Several scores added, each divided by its standard deviation over the training rows."""

    needs_statistics = True

    def __init__(self, model: Any, parts: Sequence[Score]) -> None:
        self._parts = parts
        self._scales: Any = None
        super().__init__(model)
        self.name: tuple[str, ...] = tuple(part.name for part in parts)
        self.decomposes: bool = all(part.decomposes for part in parts)

    @property
    def statistics(self) -> dict[str, np.ndarray]:
        """The parts' statistics, under their numbers, and the standard deviations."""
        if self._scales is None:
            return {}
        parts = enumerate(self._parts)
        own = {f"{i}_{name}": value for i, part in parts for name, value in part.statistics.items()}
        return {"scales": self._scales, **own}

    @statistics.setter
    def statistics(self, values: dict[str, np.ndarray]) -> None:
        self._scales = values.get("scales")
        for number, part in enumerate(self._parts):
            start = f"{number}_"
            part.statistics = {
                name.removeprefix(start): value
                for name, value in values.items()
                if name.startswith(start)
            }

    def learn(self, over_rows: OverRows) -> None:
        """Learn the parts' statistics and standard deviations."""
        scales = []
        for number, part in enumerate(self._parts):
            part.learn(over_rows)
            spread = np.concatenate(list(over_rows(f"part {number}", part.of))).std()
            scales.append(spread if spread > 1e-12 else 1.0)
        self._scales = np.array(scales)

    def of(self, x: Any) -> Any:
        """The sum for each row."""
        return sum(
            part.of(x) / scale for part, scale in zip(self._parts, self._scales, strict=True)
        )

    def contributions(self, x: Any) -> Any:
        """The parts' contributions, added."""
        return sum(
            part.contributions(x) / scale
            for part, scale in zip(self._parts, self._scales, strict=True)
        )


_KINDS = (MultiScale, ReconstructionError, ReconstructionProbability, NegativeELBO, Mahalanobis)
SCORES: dict[str, type[Score]] = {kind.name: kind for kind in _KINDS}


def check(score: Any) -> None:
    """Raise a ValueError unless it is the name of a score, or a tuple of names."""
    names = (score,) if isinstance(score, str) else score
    if not isinstance(names, (list, tuple)) or not names:
        raise ValueError(f"`score` must be the name of a score or a tuple of them, got {score!r}.")
    for name in names:
        if name not in SCORES:
            raise ValueError(registry.unknown("score", name, SCORES))
    if len(names) > 1 and "multi_scale" in names:
        raise ValueError("The `score` 'multi_scale' has networks of its own: no sum with others.")


def wanted(score: Any, model: Any) -> Any:
    """What a detector's argument `score` means for its `model`, a name of the zoo or a model."""
    if score != "auto":
        return tuple(score) if isinstance(score, list) else score
    denoising = isinstance(model, str) and registry.card(model)["family"] == "denoising"
    return MultiScale.name if denoising else ReconstructionError.name


def get(score: str | Sequence[str], model: Any) -> Score:
    """The score of this name for a model; or, of several names, their sum.

    Raises:
        ValueError: no score has such a name, or the model lacks what it needs.
    """
    check(score)
    names = (score,) if isinstance(score, str) else score
    parts = [SCORES[name](model) for name in names]
    return parts[0] if isinstance(score, str) else Sum(model, parts)


def log_slope(error: Any, base: Any) -> Any:
    """log(E / B) / (E − B), which is 1 / B where both are equal, at double precision."""
    excess = error / base - 1.0
    near = ops.abs(excess) < 1e-6
    excess = ops.where(near, 1.0, excess)
    return ops.where(near, 1.0, ops.log1p(excess) / excess) / base


def _double(x):
    return ops.cast(x, "float64")


def _sum(values):
    """The sum over all axes but the first."""
    return ops.sum(ops.reshape(values, (ops.shape(values)[0], -1)), axis=-1)


def _divisor(model, x, rank):
    """How many features of each row count, shaped for values of this rank."""
    mask = model.padding_mask(x)
    if mask is None:
        return float(math.prod(x.shape[1:]))
    steps = ops.maximum(_sum(_double(mask)), 1.0)
    return ops.reshape(steps * x.shape[-1], (-1, *[1] * (rank - 1)))


def _variational(model):
    return model.posterior_family is DiagonalGaussian


def _has_kl(prior):
    """Whether there is a KL to a prior, in closed form or from its density."""
    one = ops.zeros((1, 1))
    return prior.has_density or prior.kl(one, one) is not None


def _draws(model: Any, x: Any) -> Iterator[tuple[Any, DiagonalGaussian]]:
    """Codes drawn from the posterior, the same noise for all rows; and the posterior."""
    mean, log_variance = model.posterior(x)
    # Far from all that it has learnt, a network's log-variance may be too large to exponentiate.
    log_variance = ops.clip(log_variance, -_LARGEST_LOG_VARIANCE, _LARGEST_LOG_VARIANCE)
    half = np.random.default_rng(_NOISE_SEED).standard_normal((_DRAWS // 2, *mean.shape[1:]))
    noise = np.concatenate([half, -half]) / np.sqrt(np.mean(half**2, axis=0))
    for draw in noise.astype(mean.dtype.name):
        yield mean + ops.exp(0.5 * log_variance) * draw, DiagonalGaussian(mean, log_variance)
