"""Reconstruction likelihoods: the negative log-likelihood of a target under the decoder's output.

Each is a `keras.losses.Loss`. It sums over an event's features and averages over the batch, so
that with a KL term beside it the loss is −ELBO in nats and `beta` means what its paper says.
"""

import math

import keras
from keras import ops

from autoencoders.registry import unknown
from autoencoders.serialization import PACKAGE


class Likelihood(keras.losses.Loss):
    """Base class of the reconstruction likelihoods.

    A subclass gives `call(y_true, y_pred)`: the negative log-likelihood of each row in nats, and
    `mean(y_pred)`: the reconstruction, where `y_pred` is what the decoder put out (logits, say).
    `support` is the range that targets must lie in.
    """

    support = (-math.inf, math.inf)

    def mean(self, y_pred):
        """The expected value of the target, given the decoder's output."""
        return y_pred


@keras.saving.register_keras_serializable(PACKAGE)
class Bernoulli(Likelihood):
    """Binary cross-entropy of targets in [0, 1]; the decoder puts out logits.

    Grey values are taken as probabilities, as in Kingma & Welling (2013, arXiv:1312.6114).
    """

    support = (0.0, 1.0)

    def __init__(self, name="bernoulli", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        """Negative log-likelihood in nats: `(batch, ...)` twice to `(batch,)`."""
        return _sum_event(ops.binary_crossentropy(y_true, y_pred, from_logits=True))

    def mean(self, y_pred):
        """The probabilities."""
        return ops.sigmoid(y_pred)


@keras.saving.register_keras_serializable(PACKAGE)
class Gaussian(Likelihood):
    """Normal likelihood with a fixed standard deviation; the decoder puts out the mean.

    Args:
        stddev: Positive float, in the units of the data.
    """

    def __init__(self, stddev=1.0, name="gaussian", **kwargs):
        super().__init__(name=name, **kwargs)
        if not stddev > 0:
            raise ValueError(f"`stddev` must be positive, got {stddev}.")
        self.stddev = stddev

    def call(self, y_true, y_pred):
        """Negative log-likelihood in nats: `(batch, ...)` twice to `(batch,)`."""
        log_normaliser = math.log(self.stddev) + 0.5 * math.log(2.0 * math.pi)
        return _sum_event(0.5 * ops.square((y_true - y_pred) / self.stddev) + log_normaliser)

    def get_config(self):
        """The arguments of the constructor."""
        return {**super().get_config(), "stddev": self.stddev}


_LIKELIHOODS = {"bernoulli": Bernoulli, "gaussian": Gaussian}


def get(likelihood):
    """A `Likelihood` from itself or from its name: "bernoulli" or "gaussian"."""
    if isinstance(likelihood, Likelihood):
        return likelihood
    if likelihood not in _LIKELIHOODS:
        raise ValueError(unknown("likelihood", likelihood, _LIKELIHOODS))
    return _LIKELIHOODS[likelihood]()


def _sum_event(values):
    return ops.sum(ops.reshape(values, (ops.shape(values)[0], -1)), axis=-1)


class _FunctionLoss(keras.losses.Loss):
    """A function of `(y_true, y_pred)` as a loss, with Keras's reduction and weighting."""

    def __init__(self, function):
        super().__init__(name=getattr(function, "__name__", None))
        self.call = function


def as_loss(loss):
    """What `compile` was given as `loss`, by name or itself, as a `keras.losses.Loss`."""
    if isinstance(loss, Likelihood):
        raise ValueError("A likelihood belongs to the model: build it with `likelihood=...`.")
    loss = keras.losses.get(loss)
    return loss if isinstance(loss, keras.losses.Loss) else _FunctionLoss(loss)
