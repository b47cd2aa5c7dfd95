"""Bottlenecks: how the encoder's features become the latent code."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from autoencoders.arguments import Declared, Structure, Switch
from autoencoders.checks import positive_integer, positive_integer_or_none
from autoencoders.distributions.posteriors import Categorical, DiagonalGaussian
from autoencoders.layers.encoding import Drawn
from autoencoders.serialization import PACKAGE
from autoencoders.types import Shape, Tensor

if TYPE_CHECKING:
    from autoencoders.layers.encoding import Encoding


class Bottleneck(keras.layers.Layer):
    """Base class of the bottlenecks.

    A subclass gives

    - `call(features)`: the deterministic latent code, for `encode` and `predict`;
    - `draw(features, training)`: a `Drawn`, the latent code as the loss sees it, sampled where the
      model samples, and a dict of loss terms and measures, each `(batch,)` or a scalar;
    - `advance(encoding)`, where schedules or moving averages follow training: called once at the
      end of each training step's first phase;
    - `loss_terms` and `measures`: the names in that dict, declared beforehand. Measures are logged
      beside the loss. `batch_statistics` are those among them that are estimated from the batch as
      a whole, so that they vary with its size;
    - `num_samples`: how many codes, one after the other, `draw` gives for each row;
    - `posterior(features)`, where the code is uncertain: q(z|x) as a value of `posterior_family`
      (`distributions.posteriors`; a `DiagonalGaussian`, or mean and log-variance, unless another
      is named), and `prior`, the distribution towards which it is drawn;
    - `num_codes`, for a bottleneck with a codebook: how many codes that has. It then has
      `indices(features)` and `lookup(indices)`;
    - `schedule_under_way`: whether the loss still changes with the number of steps.
    """

    # A subclass gives values, arguments or properties, which have no type in common.
    loss_terms: Any = ()
    measures: tuple[str, ...] = ()
    batch_statistics: Any = ()
    num_samples: Any = 1
    posterior_family: type[DiagonalGaussian] | type[Categorical] | None = None
    prior: Any = None
    num_codes: Any = None
    schedule_under_way: Any = False

    def draw(self, features: Tensor, training: bool) -> Drawn:
        """The latent code as the loss sees it, and the loss terms and measures by name."""
        return Drawn(self(features), {})

    def advance(self, encoding: Encoding) -> None:
        """Go on with what follows the steps of training, after a batch's `Encoding`."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.posterior_family is None and cls.posterior is not Bottleneck.posterior:
            cls.posterior_family = DiagonalGaussian

    def posterior(self, features: Tensor) -> Any:
        """The posterior q(z|x); None where the code is certain."""

    def nearest(self, code: Tensor) -> Tensor:
        """The code that the bottleneck could have given, nearest to one drawn from a density."""
        return code

    def code_layer(self) -> keras.layers.Layer:
        """A layer that does what `call` does, with the weights that it takes and no others."""
        return self

    def keep_weight(self, name: str, needed: bool, **arguments: Any) -> None:
        """Create the weight of this name where it is needed, and forget it where it is not.

        A file holds it only where it is needed, so that it comes and goes with what needs it, in a
        layer that is built as well.

        Args:
            name: Name of the weight and of the attribute, which is None without it.
            needed: Whether there is to be one.
            arguments: As in `add_weight`.
        """
        weight = getattr(self, name)
        if needed and weight is None:
            locked = self._tracker.locked
            self._tracker.unlock()
            try:
                with _strategy_scope(self):
                    setattr(self, name, self.add_weight(name=name, **arguments))
            finally:
                if locked:
                    self._tracker.lock()
        elif not needed and weight is not None:
            setattr(self, name, None)
            self._untrack_variable(weight)


@keras.saving.register_keras_serializable(PACKAGE)
class TopK(Declared, Bottleneck):
    """Keeps the k largest units of the code and sets the others to zero.

    Makhzani & Frey, "k-Sparse autoencoders" (2013, arXiv:1312.5663).

    Args:
        k: Units kept while training.
        inference_k: Units kept by `encode` and `predict`: the paper's αk, with α ≥ 1. As many as
            while training, unless given.
    """

    k = Switch(positive_integer)
    inference_k = Switch(positive_integer_or_none)

    def __init__(self, k: int, inference_k: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._units = None
        self.k = k
        self.inference_k = inference_k

    def build(self, features_shape: Shape) -> None:
        """Check that the code has as many units."""
        self._units = features_shape[-1]
        self.check_arguments()

    def check_arguments(self) -> None:
        """Raise a ValueError if there are fewer units than are to be kept."""
        largest = max(self.k, self.inference_k or 0)
        if self._units is not None and self._units < largest:
            raise ValueError(f"Cannot keep {largest} of {self._units} code units.")

    def call(self, features: Tensor) -> Tensor:
        """The sparse code, of the shape of the features."""
        return _largest(features, self.inference_k or self.k)

    def draw(self, features: Tensor, training: bool) -> Drawn:
        """The sparse code, with the k that belongs to training or inference."""
        return Drawn(_largest(features, self.k) if training else self(features), {})

    def nearest(self, code: Tensor) -> Tensor:
        """The code with its largest units alone."""
        return _largest(code, self.inference_k or self.k)

    def compute_output_shape(self, features_shape: Shape) -> Shape:
        """That of the features."""
        return features_shape


@keras.saving.register_keras_serializable(PACKAGE)
class ClassAndStyle(Declared, Bottleneck):
    """A code of two parts: the probabilities of classes, and a linear style.

    Section 5 of Makhzani et al., "Adversarial Autoencoders" (2015, arXiv:1511.05644).

    Args:
        num_classes: Number of classes.
        latent_dim: Number of style units.
    """

    num_classes = Structure(positive_integer)
    latent_dim = Structure(positive_integer)

    def __init__(self, num_classes: int, latent_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.latent_dim = latent_dim
        self.flatten = keras.layers.Flatten("channels_last", dtype=self.dtype_policy)
        self.logit = keras.layers.Dense(num_classes, dtype=self.dtype_policy, name="logit")
        self.style = keras.layers.Dense(latent_dim, dtype=self.dtype_policy, name="style")

    def build(self, features_shape: Shape) -> None:
        """Create the two linear maps for features of shape `(batch, ...)`."""
        flat_shape = self.flatten.compute_output_shape(features_shape)
        self.logit.build(flat_shape)
        self.style.build(flat_shape)

    def logits(self, features: Tensor) -> Tensor:
        """The classes' logits: `(batch, ...)` to `(batch, num_classes)`."""
        return self.logit(self.flatten(features))

    def call(self, features: Tensor) -> Tensor:
        """Probabilities and then style: `(batch, ...)` to `(batch, num_classes + latent_dim)`."""
        style = self.style(self.flatten(features))
        return ops.concatenate([ops.softmax(self.logits(features)), style], axis=-1)

    def split(self, code: Tensor) -> tuple[Tensor, Tensor]:
        """A code's two parts, `(batch, num_classes)` and `(batch, latent_dim)`."""
        return code[:, : self.num_classes], code[:, self.num_classes :]

    def compute_output_shape(self, features_shape: Shape) -> Shape:
        """`(batch, num_classes + latent_dim)`."""
        return (features_shape[0], self.num_classes + self.latent_dim)


def counting_dtype(layer: keras.layers.Layer) -> str:
    """The type of what a layer counts or averages over many steps: single precision at least.

    In half precision a count of steps would stay at 2,048, and a moving average would soon stop.
    """
    return keras.backend.result_type(layer.variable_dtype, "float32")


def replicas(layer: keras.layers.Layer) -> int:
    """How many replicas of the layer train, each on a part of the batch."""
    strategy = _strategy(layer)
    return 1 if strategy is None else strategy.num_replicas_in_sync


def _strategy(layer):
    """The distribution strategy that the layer's variables were made in; None without one."""
    strategies = (getattr(v.value, "distribute_strategy", None) for v in layer.variables)
    return next(strategies, None)


def _strategy_scope(layer):
    """The scope of that strategy, for the layer's other variables."""
    strategy = _strategy(layer)
    return nullcontext() if strategy is None else strategy.scope()


def _largest(features, k):
    _, places = ops.top_k(features, k)
    # Units are kept by place, not by value: of equal values no more than k are kept.
    kept = ops.sum(ops.one_hot(places, features.shape[-1], dtype=features.dtype), axis=-2)
    return features * kept
