"""`DiscriminatedAutoencoder`: what models that train beside a discriminator have in common."""

from typing import Any

import keras
from keras import ops

from autoencoders.arguments import Part, Structure
from autoencoders.autoencoder import Autoencoder, fitting
from autoencoders.layers.encoding import Inputs
from autoencoders.networks import endings
from autoencoders.training.step import Batch, Phase
from autoencoders.types import Tensor


class DiscriminatedAutoencoder(Autoencoder):
    """An autoencoder with a discriminator on its codes, which a phase of its own trains.

    A subclass gives `discriminator_losses(batch, training)`, a dict of one loss per row under the
    names in `discriminator_terms`, and adds what it makes of the discriminator to other phases.

    Args:
        encoder, decoder: As in `Autoencoder`.
        discriminator: Keras model from codes `(batch, latent_dim)` to logits `(batch, 1)`.
        seed: Integer, for a fixed sequence of draws.
        kwargs: As in `Autoencoder`.
    """

    discriminator_terms: tuple[str, ...] = ("discriminator_loss",)
    discriminator = Part(endings.is_network)
    seed = Structure()

    def __init__(
        self,
        encoder: keras.layers.Layer,
        decoder: keras.layers.Layer,
        *,
        discriminator: keras.layers.Layer,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(encoder, decoder, **kwargs)
        self.discriminator = discriminator
        self.seed = seed
        self.seed_generator: keras.random.SeedGenerator = keras.random.SeedGenerator(seed)
        self._discriminator_has_losses = False

    def run_parts(self, inputs: Inputs, training: bool) -> tuple[Tensor, Tensor]:
        """Call every part once, the discriminator included."""
        code, reconstruction = super().run_parts(inputs, training)
        self.run_discriminators(code, reconstruction, training)
        return code, reconstruction

    def run_discriminators(self, code: Tensor, reconstruction: Tensor, training: bool) -> None:
        """Call each discriminator once; a subclass adds its own."""
        fitting.check_logit(self.discriminator, self.discriminator(code, training=training))

    @property
    def discriminators(self) -> list[keras.layers.Layer]:
        """The networks that the discriminator's phase trains."""
        return [self.discriminator]

    def note_layer_losses(self) -> None:
        """Note which parts have losses of their own, the discriminator included."""
        super().note_layer_losses()
        self._discriminator_has_losses = bool(self._regularizers())

    def _regularizers(self):
        return [loss for network in self.discriminators for loss in network.losses]

    @property
    def phases(self) -> list[Phase]:
        """The autoencoder's, without the discriminator's variables; and the discriminator's."""
        (reconstruction,) = super().phases
        discriminator = [v for network in self.discriminators for v in network.trainable_variables]
        others = {id(variable) for variable in discriminator}
        rest = [v for v in reconstruction.variables if id(v) not in others]
        terms = self.discriminator_terms
        if self._discriminator_has_losses:
            terms = (*terms, "discriminator_regularization_loss")
        return [
            reconstruction._replace(variables=rest),
            Phase("discriminator", self.discriminator_phase, terms, discriminator),
        ]

    def discriminator_phase(self, batch: Batch, training: bool) -> dict[str, Tensor]:
        """The discriminator's losses, and its regularizers'."""
        values = self.discriminator_losses(batch, training)
        if self._discriminator_has_losses:
            values = {**values, "discriminator_regularization_loss": sum(self._regularizers())}
        return values

    def discriminator_losses(self, batch: Batch, training: bool) -> dict[str, Tensor]:
        """A dict of one loss per row, `(batch,)`, under the names in `discriminator_terms`."""
        raise NotImplementedError

    def codes(self, batch: Batch, training: bool) -> Tensor:
        """One code for each row as the discriminator sees it, `(batch, latent_dim)`."""
        features = self.features(self.inputs_of_batch(batch), training)
        return self.drawn(features, training=False).latent[:: self.num_samples]


def cross_entropy(label: int, logits: Tensor) -> Tensor:
    """−log of the probability that logits `(batch, 1)` give to `label`, 0 or 1: `(batch,)`."""
    precision = keras.backend.result_type(logits.dtype, "float32")
    logits = ops.cast(ops.squeeze(logits, axis=-1), precision)
    return ops.binary_crossentropy(ops.full_like(logits, label), logits, from_logits=True)
