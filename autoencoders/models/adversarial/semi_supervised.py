"""The semi-supervised adversarial autoencoder: the code is a class and a style.

Makhzani et al., "Adversarial Autoencoders" (2015, arXiv:1511.05644), section 5: class and style
have a discriminator each, the class against the uniform categorical distribution; a fourth phase
learns from what labels there are, by `classification_loss`, the cross-entropy of the encoder's
class over the batch's labelled rows.
"""

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from autoencoders import draws, layers, networks, priors
from autoencoders.arguments import Part
from autoencoders.autoencoder import fitting
from autoencoders.autoencoder.discriminated import cross_entropy
from autoencoders.models.adversarial.codes import AdversarialAutoencoder
from autoencoders.networks import Architecture, endings
from autoencoders.registry import register
from autoencoders.serialization import PACKAGE
from autoencoders.training.labels import Labels
from autoencoders.training.step import Batch, Phase
from autoencoders.types import Activation, Data, Sizes, Tensor


@keras.saving.register_keras_serializable(PACKAGE)
class SemiSupervisedAdversarialAutoencoder(AdversarialAutoencoder):
    """An adversarial autoencoder whose code is a class and a style.

    `fit(x, labels)` takes integer labels, −1 for rows without one; where labels are few, repeat
    their rows, so that most batches hold some. `encode` gives the class probabilities and then
    the style, `(n, num_classes + latent_dim)`; `classify` the probabilities alone.

    Args:
        encoder, decoder, discriminator, prior: As in `AdversarialAutoencoder`, for the style.
        bottleneck: A `layers.ClassAndStyle`.
        label_discriminator: Keras model from class probabilities `(batch, num_classes)` to logits.
        kwargs: As in `Autoencoder`.
    """

    discriminator_terms = ("style_discriminator_loss", "class_discriminator_loss")
    label_discriminator = Part(endings.is_network)

    def __init__(
        self,
        encoder: keras.Layer,
        decoder: keras.Layer,
        *,
        bottleneck: layers.ClassAndStyle,
        label_discriminator: keras.Layer,
        **kwargs: Any,
    ) -> None:
        super().__init__(encoder, decoder, bottleneck=bottleneck, **kwargs)
        self.label_discriminator = label_discriminator

    @property
    def labels(self) -> Labels:
        """The labels that the model takes, where rows have them."""
        return Labels(self.bottleneck.num_classes, needed=False)

    def run_discriminators(self, code: Tensor, reconstruction: Tensor, training: bool) -> None:
        """Call each discriminator once."""
        classes, style = self.bottleneck.split(code)
        super().run_discriminators(style, reconstruction, training)
        logit = self.label_discriminator(classes, training=training)
        fitting.check_logit(self.label_discriminator, logit)

    @property
    def batch_statistics(self) -> tuple[str, ...]:
        """The classification's among them: 0 for a batch without a labelled row."""
        return (*super().batch_statistics, "classification_loss")

    @property
    def discriminators(self) -> list[keras.Layer]:
        """The discriminators of the style and of the class."""
        return [self.discriminator, self.label_discriminator]

    @property
    def phases(self) -> list[Phase]:
        """Reconstruction, discriminators, generator, and classification."""
        *others, generator = super().phases
        terms = ("style_generator_loss", "class_generator_loss")
        classifier = [*self.encoder.trainable_variables, *self.bottleneck.logit.trainable_variables]
        terms_of_class = ("classification_loss",)
        supervised = Phase(
            "classification",
            self.classification_phase,
            terms_of_class,
            classifier,
            concerns=_has_labelled_rows,
        )
        return [*others, generator._replace(terms=terms), supervised]

    def discriminator_losses(self, batch: Batch, training: bool) -> dict[str, Tensor]:
        """Tell draws from the prior and one-hot classes (1) from codes (0): a loss per row each."""
        classes, style = self.bottleneck.split(self.codes(batch, training))
        drawn = self.training_prior.sample(ops.shape(style), seed=self.seed_generator)
        rows, num_classes = ops.shape(classes)
        labels = draws.randint((rows,), 0, num_classes, seed=self.seed_generator)
        pairs = {
            "style_discriminator_loss": (self.discriminator, drawn, style),
            "class_discriminator_loss": (
                self.label_discriminator,
                ops.one_hot(labels, num_classes, dtype=classes.dtype),
                classes,
            ),
        }
        return {
            term: 0.5
            * (
                cross_entropy(1, network(real, training=training))
                + cross_entropy(0, network(fake, training=training))
            )
            for term, (network, real, fake) in pairs.items()
        }

    def generator_phase(self, batch: Batch, training: bool) -> dict[str, Tensor]:
        """Make the discriminators take codes for draws: one loss per row each."""
        classes, style = self.bottleneck.split(self.codes(batch, training))
        return {
            "style_generator_loss": cross_entropy(1, self.discriminator(style, training=training)),
            "class_generator_loss": cross_entropy(
                1, self.label_discriminator(classes, training=training)
            ),
        }

    def classification_phase(self, batch: Batch, training: bool) -> dict[str, Tensor]:
        """The cross-entropy of the class, a mean over the labelled rows of the batch."""
        features = self.features(self.inputs_of_batch(batch), training)
        logits = self.bottleneck.logits(features)
        logits = ops.cast(logits, keras.backend.result_type(logits.dtype, "float32"))
        weight = ops.cast(batch.labels >= 0, logits.dtype)
        errors = ops.sparse_categorical_crossentropy(
            ops.maximum(batch.labels, 0), logits, from_logits=True
        )
        if batch.sample_weight is not None:
            errors = errors * ops.reshape(batch.sample_weight, (-1,))
        loss = ops.divide_no_nan(ops.sum(weight * errors), ops.sum(weight))
        return {"classification_loss": loss}

    def classify(self, x: Data) -> np.ndarray | Tensor:
        """Class probabilities: `(n, *input_shape)` to `(n, num_classes)`."""
        return self.encode(x)[:, : self.bottleneck.num_classes]

    def sample_codes(self, n: int, seed: int | None = None) -> np.ndarray:
        """Codes of a random class each, with a style from the prior."""
        labels = np.random.default_rng(seed).integers(self.bottleneck.num_classes, size=n)
        return self._codes_of(labels, seed)

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
        if labels is None:
            return super().sample(n, seed=seed, steps=steps)
        labels = Labels(self.bottleneck.num_classes).array_or_one(labels, n)
        return self.decode(self._codes_of(labels, seed))

    def _codes_of(self, labels, seed):
        seed = int(np.random.default_rng(seed).integers(2**31 - 1))
        shape = (len(labels), self.bottleneck.latent_dim)
        style = ops.convert_to_numpy(self.prior.sample(shape, seed=seed))
        return np.concatenate([np.eye(self.bottleneck.num_classes)[labels], style], axis=1).astype(
            style.dtype
        )


def _has_labelled_rows(batch):
    labelled = batch.labels >= 0
    if batch.sample_weight is not None:
        labelled = labelled & (ops.reshape(batch.sample_weight, (-1,)) != 0)
    return ops.any(labelled)


@register
def semi_supervised_aae(
    network: Architecture,
    latent_dim: int = 10,
    *,
    num_classes: int = 10,
    discriminator_units: Sizes = (1000, 1000),
    prior: "str | priors.Prior" = "normal",
    output: Activation = "linear",
    name: str = "semi_supervised_aae",
) -> SemiSupervisedAdversarialAutoencoder:
    """Semi-supervised adversarial autoencoder.

    Networks of your own are an encoder to features, linear maps of which give class and style, and
    a decoder from `num_classes + latent_dim` units.

    Args:
        network, output, name: As in `ae`.
        latent_dim: Number of linear style units.
        num_classes: Number of classes; labels are integers from 0, and −1 where there is none.
        discriminator_units: Units of the hidden layers of both discriminators.
        prior: As in `aae`. It is the style that follows it.
    """
    encoder = network.build(latent_dim, code=False)["encoder"]
    parts = network.build(num_classes + latent_dim, output=output)
    label_discriminator = networks.discriminator(
        num_classes, discriminator_units, name="label_discriminator"
    )
    return SemiSupervisedAdversarialAutoencoder(
        **{**parts, "encoder": encoder},
        bottleneck=layers.ClassAndStyle(num_classes, latent_dim, name="bottleneck"),
        discriminator=networks.discriminator(latent_dim, discriminator_units),
        label_discriminator=label_discriminator,
        prior=priors.get(prior),
        name=name,
    )
