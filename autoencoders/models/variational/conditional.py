"""The conditional variational autoencoder: −E_q(z|x,y)[log p(x|z,y)] + KL(q(z|x,y) ‖ p(z)).

Sohn, Lee & Yan, "Learning structured output representation using deep conditional generative
models" (NIPS 2015).
"""

import math
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from autoencoders import layers, losses
from autoencoders.arguments import Structure
from autoencoders.autoencoder import Autoencoder
from autoencoders.autoencoder.inference import check_values
from autoencoders.layers.encoding import Inputs
from autoencoders.networks import Architecture
from autoencoders.registry import register
from autoencoders.serialization import PACKAGE
from autoencoders.training.labels import Labels
from autoencoders.types import Tensor


@keras.saving.register_keras_serializable(PACKAGE)
class ConditionalAutoencoder(Autoencoder):
    """An autoencoder of labelled rows, whose decoder is given the label beside the code.

    So the code need not hold what the label says.

    `fit(x, labels)` takes integer labels in the place of the target, `predict((x, labels))`,
    `encode((x, labels))` and their like take pairs, `decode((z, labels))` too. The label, as one of
    `num_classes` units, joins the features on their way into the bottleneck, and the code on its
    way into the decoder.

    Args:
        encoder: Keras model, `(batch, *input_shape)` to features, as in `Autoencoder`.
        decoder: Keras model from `(batch, latent_dim + num_classes)`.
        num_classes: Number of classes.
        kwargs: As in `Autoencoder`.
    """

    num_classes = Structure()

    def __init__(
        self, encoder: keras.Layer, decoder: keras.Layer, *, num_classes: int, **kwargs: Any
    ) -> None:
        super().__init__(encoder, decoder, **kwargs)
        self.num_classes = num_classes

    @property
    def labels(self) -> Labels:
        """The labels that the model needs."""
        return Labels(self.num_classes)

    def features(self, inputs: Inputs, training: bool, corrupt: bool = True) -> Tensor:
        """As in `Autoencoder`, with the class behind them."""
        features = super().features(inputs, training, corrupt)
        features = ops.reshape(features, (-1, math.prod(features.shape[1:])))
        return self._with_class(features, inputs.labels)

    def decoder_output(
        self, latent: Tensor, inputs: Inputs, training: bool | None, target: Tensor | None = None
    ) -> Tensor:
        """As in `Autoencoder`, for codes beside the labels of the inputs."""
        labels = inputs.labels if target is None else self.repeated(inputs.labels)
        return super().decoder_output(self._with_class(latent, labels), inputs, training, target)

    def decode_codes(self, codes: tuple[Tensor, Tensor], steps: int | None = None) -> Tensor:
        """As in `Autoencoder`, of pairs of codes and labels."""
        return super().decode_codes(self._with_class(*codes), steps)

    def _with_class(self, values, labels):
        one_hot = ops.one_hot(labels, self.num_classes, dtype=values.dtype)
        return ops.concatenate([values, one_hot], axis=-1)

    def sample(
        self,
        n: int,
        *,
        labels: ArrayLike | None = None,
        seed: int | None = None,
        steps: int | None = None,
    ) -> np.ndarray:
        """New data: `n` draws from the prior, decoded as rows of the given classes.

        Args:
            n: How many.
            labels: Their classes: integers `(n,)`, or one for all. Drawn evenly unless given.
            seed: Integer, to get the same draws again.
            steps: As in `Autoencoder`.

        Returns:
            NumPy array `(n, *input_shape)`.
        """
        codes = self.sample_codes(n, seed)
        if labels is None:
            labels = np.random.default_rng(seed).integers(self.num_classes, size=n)
        return self.decode((codes, self.labels.array_or_one(labels, n)))

    def interpolate(
        self, a: tuple[ArrayLike, int], b: tuple[ArrayLike, int], steps: int = 9
    ) -> np.ndarray:
        """Reconstructions along the straight line between two labelled rows' codes, and classes.

        Args:
            a, b: Pairs of a row, of shape `input_shape`, and its label.
            steps: How many points, ends included.

        Returns:
            NumPy array `(steps, *input_shape)`.
        """
        check_values(self, "interpolate", a, b)
        rows, labels = zip(a, b, strict=True)
        labels = np.asarray(labels)
        ends = self.encode((np.stack(rows), labels))
        ends = np.concatenate([ends, np.eye(self.num_classes, dtype=ends.dtype)[labels]], axis=1)
        weight = np.linspace(0.0, 1.0, steps, dtype=ends.dtype)[:, None]
        line = (1.0 - weight) * ends[0] + weight * ends[1]
        return self._rows.run("line", lambda z: self.mean_of(self.decoder(z, training=False)), line)


@register
def cvae(
    network: Architecture,
    latent_dim: int = 2,
    *,
    num_classes: int = 10,
    beta: float = 1.0,
    warm_up: int = 0,
    free_bits: float = 0.0,
    num_samples: int = 1,
    likelihood: str | losses.Likelihood = "bernoulli",
    name: str = "cvae",
) -> ConditionalAutoencoder:
    """Conditional variational autoencoder.

    A decoder of your own is one from `latent_dim + num_classes` units.

    Args:
        network, latent_dim, beta, warm_up, free_bits, num_samples, likelihood, name: As in `vae`.
        num_classes: Number of classes; labels are integers from 0.
    """
    likelihood = losses.get(likelihood)
    encoder = network.build(latent_dim, code=False, likelihood=likelihood)["encoder"]
    parts = network.build(latent_dim + num_classes, likelihood=likelihood)
    schedule = {"beta": beta, "warm_up": warm_up, "free_bits": free_bits}
    bottleneck = layers.GaussianBottleneck(
        latent_dim, **schedule, num_samples=num_samples, name="bottleneck"
    )
    return ConditionalAutoencoder(
        **{**parts, "encoder": encoder},
        num_classes=num_classes,
        bottleneck=bottleneck,
        likelihood=likelihood,
        name=name,
    )
