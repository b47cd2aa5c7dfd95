"""Reconstruction likelihoods: the negative log-likelihood of a target under the decoder's output.

Each is a `keras.losses.Loss`. It sums over a row's features and averages over the batch, so that
with a KL term beside it the loss is −ELBO in nats and `beta` means what its paper says.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import keras
from keras import KerasTensor, ops

from autoencoders.arguments import Declared, Derived, Number, fixed
from autoencoders.registry import unknown
from autoencoders.serialization import PACKAGE

if TYPE_CHECKING:
    # Keras has no types, and a class whose base has none tells a type checker nothing. This is what
    # a likelihood has of its base.
    class _Loss:
        name: str
        dtype: str
        reduction: str | None

        def __init__(
            self,
            name: str | None = None,
            reduction: str | None = "sum_over_batch_size",
            dtype: Any = None,
        ) -> None: ...

        def __call__(
            self,
            y_true: KerasTensor,
            y_pred: KerasTensor,
            sample_weight: KerasTensor | None = None,
        ) -> KerasTensor: ...

        def get_config(self) -> dict[str, Any]: ...

else:
    _Loss = keras.losses.Loss


class Likelihood(_Loss):
    """Base class of the reconstruction likelihoods.

    A subclass gives `elementwise(y_true, y_pred)`: the negative log-likelihood of each element of
    the target in nats, and `mean(y_pred)`: the reconstruction, where `y_pred` is what the decoder
    put out (logits, for example). `support` is the range that targets must lie in, and `parameters`
    how many numbers the decoder puts out for each element, one after the other along the last axis.
    `logits` says that it puts out logits, any numbers, of which the likelihood makes probabilities.
    """

    support: tuple[float, float] = (-math.inf, math.inf)
    parameters: int = 1
    logits: bool = False

    def call(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        """Negative log-likelihood of each row in nats: `(batch, ...)` twice to `(batch,)`."""
        return self.masked(y_true, y_pred, None)

    def masked(
        self, y_true: KerasTensor, y_pred: KerasTensor, mask: KerasTensor | None
    ) -> KerasTensor:
        """As `call`, of those steps alone where `mask`, `(batch, steps)`, is True; None for all."""
        values = self.elementwise(y_true, y_pred)
        values = ops.reshape(values, (ops.shape(values)[0], -1))
        if mask is not None:
            values = ops.reshape(values, (*ops.shape(mask), -1))
            values = ops.sum(values, axis=-1) * ops.cast(mask, values.dtype)
        return ops.sum(values, axis=-1)

    def elementwise(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        """Negative log-likelihood of each element in nats; a subclass gives it."""
        raise NotImplementedError

    def mean(self, y_pred: KerasTensor) -> KerasTensor:
        """The expected value of the target, given the decoder's output."""
        return y_pred


@keras.saving.register_keras_serializable(PACKAGE)
class Bernoulli(Likelihood):
    """Binary cross-entropy of targets in [0, 1]; the decoder puts out logits.

    Grey values are taken as probabilities, as in Kingma & Welling (2013, arXiv:1312.6114).
    """

    support = (0.0, 1.0)
    logits = True

    def __init__(self, name: str = "bernoulli", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def elementwise(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        """Negative log-likelihood of each element in nats."""
        return ops.binary_crossentropy(y_true, y_pred, from_logits=True)

    def mean(self, y_pred: KerasTensor) -> KerasTensor:
        """The probabilities."""
        return ops.sigmoid(y_pred)


@keras.saving.register_keras_serializable(PACKAGE)
class ContinuousBernoulli(Bernoulli):
    """The Bernoulli's density on [0, 1], normalised, for grey values; the decoder puts out logits.

    Loaiza-Ganem & Cunningham, "The continuous Bernoulli" (2019, arXiv:1907.06845). With the logit
    l, the constant that normalises λˣ(1 − λ)¹⁻ˣ is l / tanh(l/2), and the mean is
    ½ + ½ / tanh(l/2) − 1/l.
    """

    def __init__(self, name: str = "continuous_bernoulli", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def elementwise(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        """Negative log-density of each element in nats."""
        logit, small = _away_from_zero(y_pred)
        log_normaliser = ops.log(logit / ops.tanh(0.5 * logit))
        near_zero = math.log(2.0) + ops.square(y_pred) / 12.0
        return super().elementwise(y_true, y_pred) - ops.where(small, near_zero, log_normaliser)

    def mean(self, y_pred: KerasTensor) -> KerasTensor:
        """The expected values, which are not the probabilities λ."""
        logit, small = _away_from_zero(y_pred)
        mean = 0.5 + 0.5 / ops.tanh(0.5 * logit) - 1.0 / logit
        return ops.where(small, 0.5 + y_pred / 12.0, mean)


def _away_from_zero(logit: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
    """The logit, or 1 where it is so near 0 that the formulas need their series; and where."""
    small = ops.abs(logit) < 0.02
    return ops.where(small, ops.ones_like(logit), logit), small


@keras.saving.register_keras_serializable(PACKAGE)
class Gaussian(Declared, Likelihood):
    """Normal likelihood.

    Args:
        stddev: Positive float, the fixed standard deviation in the units of the data; the decoder
            puts out the mean. None for one learned for every element (Kingma & Welling 2013,
            appendix C.2): the decoder puts out means and then log-variances.
        min_stddev: Lower bound of a learned standard deviation. Without one the likelihood of
            an element that never varies has no bound (Rybkin et al., "Simple and effective VAE
            training with calibrated decoders", 2020, arXiv:2006.13202, from where the soft bound
            is).
    """

    stddev = Number(above=0, off=(None,))
    min_stddev = Number(above=0)

    def __init__(
        self,
        stddev: float | None = 1.0,
        min_stddev: float = 0.01,
        name: str = "gaussian",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.stddev = stddev
        self.min_stddev = min_stddev
        self.parameters = 2 if stddev is None else 1

    def turned(self, name: str) -> NoReturn:
        """Refuse: a decoder puts out other parameters for a learned standard deviation."""
        raise AttributeError(fixed(self, name))

    @Derived
    def _log_variance(self) -> float | None:
        return None if self.stddev is None else 2.0 * math.log(self.stddev)

    @Derived
    def _lowest_log_variance(self) -> float:
        return 2.0 * math.log(self.min_stddev)

    def elementwise(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        """Negative log-likelihood of each element in nats."""
        if self.stddev is not None:
            mean, log_variance = y_pred, self._log_variance
        else:
            mean, log_variance = ops.split(y_pred, 2, axis=-1)
            lowest = self._lowest_log_variance
            log_variance = lowest + ops.softplus(log_variance - lowest)
        log_variance = ops.cast(log_variance, y_pred.dtype)
        squares = ops.square(y_true - mean) * ops.exp(-log_variance)
        return 0.5 * (squares + log_variance + math.log(2.0 * math.pi))

    def mean(self, y_pred: KerasTensor) -> KerasTensor:
        """The mean."""
        return y_pred if self.parameters == 1 else ops.split(y_pred, 2, axis=-1)[0]


@keras.saving.register_keras_serializable(PACKAGE)
class Laplace(Declared, Likelihood):
    """Laplace likelihood, which forgives outliers; the decoder puts out the location.

    Args:
        scale: Positive float, in the units of the data.
    """

    scale = Number(above=0)

    def __init__(self, scale: float = 1.0, name: str = "laplace", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.scale = scale

    @Derived
    def _log_normaliser(self) -> float:
        return math.log(2.0 * self.scale)

    def elementwise(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        """Negative log-likelihood of each element in nats."""
        return ops.abs(y_true - y_pred) / self.scale + self._log_normaliser


@keras.saving.register_keras_serializable(PACKAGE)
class SquaredError(Likelihood):
    """The squared error, summed over features: a normal likelihood of variance ½, not normalised.

    The cost of Tolstikhin et al., "Wasserstein auto-encoders" (2018, arXiv:1711.01558).
    """

    def __init__(self, name: str = "squared_error", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def elementwise(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        """The squared error of each element."""
        return ops.square(y_true - y_pred)


_LIKELIHOODS: dict[str, Callable[[], Likelihood]] = {
    "bernoulli": Bernoulli,
    "continuous_bernoulli": ContinuousBernoulli,
    "gaussian": Gaussian,
    "laplace": Laplace,
    "learned_gaussian": lambda: Gaussian(stddev=None),
    "squared_error": SquaredError,
}


def get(likelihood: Likelihood | str) -> Likelihood:
    """A `Likelihood` from itself or from its name.

    "bernoulli" and "continuous_bernoulli" for data in [0, 1]; "gaussian" (unit variance),
    "learned_gaussian" (a variance for every element) and "laplace" (unit scale) for standardised
    data; "squared_error" for the squared error summed over features.

    Raises:
        ValueError: another name; the message suggests the nearest.
    """
    if isinstance(likelihood, Likelihood):
        return likelihood
    if likelihood not in _LIKELIHOODS:
        raise ValueError(unknown("likelihood", likelihood, _LIKELIHOODS))
    return _LIKELIHOODS[likelihood]()


class _FunctionLoss(keras.losses.Loss):
    """A function of `(y_true, y_pred)` as a loss, with Keras's reduction and weighting."""

    def __init__(self, function: Callable[[KerasTensor, KerasTensor], KerasTensor]) -> None:
        # A partial function, for example, has no name of its own.
        super().__init__(name=getattr(function, "__name__", None))
        self.call = function


def as_loss(loss: Any) -> keras.losses.Loss:
    """What `compile` was given as `loss`, by name or itself, as a `keras.losses.Loss`.

    Raises:
        ValueError: a likelihood, which is the model's; an unknown name.
    """
    if isinstance(loss, Likelihood):
        raise ValueError("A likelihood belongs to the model: build it with `likelihood=...`.")
    loss = keras.losses.get(loss)
    return loss if isinstance(loss, keras.losses.Loss) else _FunctionLoss(loss)


class Taken(NamedTuple):
    """What a loss of Keras's takes.

    Attributes:
        targets: The range of its targets.
        outputs: The range of what is compared with them.
        logits: Whether it takes logits in place of that.
        distribution: Whether it takes the last axis for a probability distribution, "as it is" or
            "normalised" by the loss; None for neither.
    """

    targets: tuple[float, float]
    outputs: tuple[float, float]
    logits: bool = False
    distribution: str | None = None


_UNIT, _POSITIVE = (0.0, 1.0), (0.0, math.inf)
_TAKEN = {
    "binary_crossentropy": Taken(_UNIT, _UNIT),
    "binary_focal_crossentropy": Taken(_UNIT, _UNIT),
    "categorical_crossentropy": Taken(_UNIT, _UNIT, distribution="normalised"),
    "categorical_focal_crossentropy": Taken(_UNIT, _UNIT, distribution="normalised"),
    "categorical_generalized_cross_entropy": Taken(_UNIT, _UNIT, distribution="as it is"),
    "dice": Taken(_UNIT, _UNIT),
    "kl_divergence": Taken(_UNIT, _UNIT, distribution="as it is"),
    # It takes other outputs for 0, from where they find back where some are above 0.
    "mean_squared_logarithmic_error": Taken(_POSITIVE, Likelihood.support),
    "poisson": Taken(_POSITIVE, _POSITIVE),
    "tversky": Taken(_UNIT, _UNIT),
}


def name_of(loss: keras.losses.Loss) -> str | None:
    """The name of the function of Keras's that a loss computes; None for another loss."""
    function = loss.call if isinstance(loss, _FunctionLoss) else vars(loss).get("fn")
    own = isinstance(function, FunctionType) and function.__module__.startswith("keras.")
    return function.__name__ if own else None


def taken_by(loss: keras.losses.Loss | None) -> Taken | None:
    """What a loss takes, where that is not any numbers; None for others."""
    taken = None if loss is None else _TAKEN.get(name_of(loss) or "")
    if taken is None:
        return None
    return taken._replace(logits=bool(vars(loss).get("_fn_kwargs", {}).get("from_logits")))
