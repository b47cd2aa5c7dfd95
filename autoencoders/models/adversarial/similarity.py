"""VAE-GAN: a discriminator's features measure the reconstructions of a variational autoencoder.

Larsen, Sønderby, Larochelle & Winther, "Autoencoding beyond pixels using a learned similarity
metric" (2016, arXiv:1512.09300). `reconstruction_loss` is the squared error of the discriminator's
features, ½ ‖D_l(x) − D_l(x̂)‖², which with `kl_loss` trains the encoder; `similarity_loss`, gamma
times it, and `generator_loss` train the decoder; `discriminator_loss` the discriminator, which is
to tell rows from reconstructions and from decoded draws of the prior.

In two things the paper is another: its decoder minimises log(1 − D) in place of −log D, and its
features are of an inner layer (in the authors' code,
https://github.com/andersbll/autoencoding_beyond_pixels, the third strided convolution), where
`networks.conv_discriminator` gives those of the last hidden layer, normalised for each row.
"""

from functools import partial
from typing import Any

import keras
from keras import ops

from autoencoders import layers, networks
from autoencoders.arguments import Number, Part
from autoencoders.autoencoder import fitting
from autoencoders.autoencoder.discriminated import DiscriminatedAutoencoder, cross_entropy
from autoencoders.layers.encoding import Encoding
from autoencoders.networks import endings
from autoencoders.registry import register
from autoencoders.serialization import PACKAGE
from autoencoders.training.step import Batch, Phase
from autoencoders.types import Activation, Tensor


@keras.saving.register_keras_serializable(PACKAGE)
class VAEGAN(DiscriminatedAutoencoder):
    """A variational autoencoder that measures its reconstructions by a discriminator's features.

    Args:
        encoder, decoder: As in `Autoencoder`; the decoder puts out rows.
        discriminator: Keras model from rows to `(features, logits)`: `(batch, any)`, `(batch, 1)`.
        gamma: Weight of the reconstruction for the decoder, beside fooling the discriminator.
        kwargs: As in `Autoencoder`, with a `layers.GaussianBottleneck` among them.
    """

    gamma = Number(at_least=0)
    discriminator = Part(partial(endings.is_network, outputs=2))

    def __init__(
        self, encoder: keras.Layer, decoder: keras.Layer, *, gamma: float = 1.0, **kwargs: Any
    ) -> None:
        super().__init__(encoder, decoder, **kwargs)
        self.gamma = gamma
        self._decoder_has_losses = False

    def compile(self, optimizer: Any = "rmsprop", loss: None = None, **kwargs: Any) -> None:
        """As `Autoencoder.compile`.

        Raises:
            ValueError: a `loss`: the reconstruction's is the discriminator's features'.
        """
        if loss is not None:
            raise ValueError(f"The loss of {self.name!r} is measured by its discriminator.")
        super().compile(optimizer, **kwargs)

    @property
    def parts(self) -> list[keras.Layer]:
        """The layers that the encoder's phase trains; the decoder has a phase of its own."""
        return [part for part in super().parts if part is not self.decoder]

    @property
    def sums_over_elements(self) -> bool:
        """True: the reconstruction loss is a sum over the discriminator's features."""
        return True

    def note_layer_losses(self) -> None:
        """Note which parts have losses of their own, the decoder apart."""
        super().note_layer_losses()
        self._decoder_has_losses = bool(self.decoder.losses)

    def run_discriminators(self, code: Tensor, reconstruction: Tensor, training: bool) -> None:
        """Call the discriminator once."""
        _, logit = self.discriminator(reconstruction, training=training)
        fitting.check_logit(self.discriminator, logit)

    @property
    def phases(self) -> list[Phase]:
        """Encoder (with `reconstruction_loss`), decoder, discriminator."""
        reconstruction, discriminator = super().phases
        decoder = self.decoder.trainable_variables
        others = {id(variable) for variable in decoder}
        encoder = [v for v in reconstruction.variables if id(v) not in others]
        terms = ("similarity_loss", "generator_loss")
        if self._decoder_has_losses:
            terms = (*terms, "decoder_regularization_loss")
        return [
            reconstruction._replace(variables=encoder),
            Phase("decoder", self.decoder_phase, terms, decoder),
            discriminator,
        ]

    def objective(self, batch: Batch, encoding: Encoding, output: Tensor) -> dict[str, Tensor]:
        """The KL, and the squared error of the discriminator's features: one value per row."""
        error = self._distance(self.repeated(batch.target), self.mean_of(output))
        return {"reconstruction_loss": self.per_row(error), **encoding.terms}

    def decoder_phase(self, batch: Batch, training: bool) -> dict[str, Tensor]:
        """Reconstruct, and make the discriminator take what is decoded for rows."""
        reconstruction, generated = self._decoded(batch, training)
        fooled = [self.discriminator(x, training=False)[1] for x in (reconstruction, generated)]
        values = {
            "similarity_loss": self.gamma * self._distance(batch.target, reconstruction),
            "generator_loss": sum(cross_entropy(1, logits) for logits in fooled),
        }
        if self._decoder_has_losses:
            values["decoder_regularization_loss"] = sum(self.decoder.losses)
        return values

    def discriminator_losses(self, batch: Batch, training: bool) -> dict[str, Tensor]:
        """Tell rows (1) from reconstructions and from decoded draws of the prior (0)."""
        fake = self._decoded(batch, training)
        loss = cross_entropy(1, self.discriminator(batch.target, training=training)[1])
        for x in fake:
            loss = loss + cross_entropy(0, self.discriminator(x, training=training)[1])
        return {"discriminator_loss": loss}

    def _decoded(self, batch, training):
        """Reconstructions, and decoded draws from the prior."""
        codes = self.codes(batch, training)
        drawn = self.training_prior.sample(ops.shape(codes), seed=self.seed_generator)
        return [self.mean_of(self.decoder(z, training=training)) for z in (codes, drawn)]

    def _distance(self, target, reconstruction):
        a, b = (
            ops.cast(self.discriminator(x, training=False)[0], self.variable_dtype)
            for x in (target, reconstruction)
        )
        return 0.5 * ops.sum(ops.square(a - b), axis=-1)


@register
def vae_gan(
    network: networks.Conv,
    latent_dim: int = 32,
    *,
    gamma: float = 1.0,
    beta: float = 1.0,
    output: Activation = "sigmoid",
    name: str = "vae_gan",
) -> VAEGAN:
    """VAE-GAN of images.

    Args:
        network: As in `vae`. The discriminator has its filters and kernels, too.
        latent_dim, beta, name: As in `vae`.
        gamma: Weight of the reconstruction for the decoder, beside fooling the discriminator.
        output: Activation of the decoder's output: "sigmoid" for images in [0, 1].
    """
    if not isinstance(network, networks.Conv) or isinstance(network, networks.Conv1D):
        raise ValueError("A VAE-GAN is one of images: pass a `networks.Conv` as its network.")
    return VAEGAN(
        **network.build(latent_dim, code=False, output=output),
        bottleneck=layers.GaussianBottleneck(latent_dim, beta=beta, name="bottleneck"),
        discriminator=networks.conv_discriminator(
            network.input_shape, network.filters, kernel_size=network.kernel_size
        ),
        gamma=gamma,
        name=name,
    )
