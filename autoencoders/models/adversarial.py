"""Adversarial autoencoders: a discriminator shapes the codes, or judges the reconstructions.

Adversarial autoencoder (`aae_*`): Makhzani et al., "Adversarial Autoencoders" (2015,
arXiv:1511.05644), with the deterministic encoder. Every step has the paper's two parts: a
reconstruction phase, then a regularisation phase in which the discriminator learns to tell draws
from the prior from codes, and then the encoder, as its generator, learns to fool it. Losses, each
with an optimizer of its own:

- `reconstruction_loss`: mean squared error, for encoder and decoder;
- `discriminator_loss`: −½ E_p(z)[log D(z)] − ½ E_x[log(1 − D(E(x)))], for the discriminator;
- `generator_loss`: −E_x[log D(E(x))], for the encoder (the non-saturating form).

Semi-supervised (`semi_supervised_aae_mlp`, the paper's section 5): the code is a class and a style,
each with a discriminator of its own, the class against the uniform categorical distribution; a
fourth phase learns from what labels there are, by `classification_loss`, the cross-entropy of the
encoder's class over the batch's labelled rows.

VAE-GAN (`vae_gan_conv`): Larsen, Sønderby, Larochelle & Winther, "Autoencoding beyond pixels using
a learned similarity metric" (2016, arXiv:1512.09300). `reconstruction_loss` is the squared error of
the discriminator's features, ½ ‖D_l(x) − D_l(x̂)‖², which with `kl_loss` trains the encoder;
`similarity_loss`, gamma times it, and `generator_loss` train the decoder; `discriminator_loss` the
discriminator, which is to tell rows from reconstructions and from decoded draws of the prior.
"""

import keras
import numpy as np
from keras import ops

from autoencoders import draws, layers, networks, priors
from autoencoders.arguments import Number, Part
from autoencoders.autoencoder.discriminated import DiscriminatedAutoencoder, cross_entropy
from autoencoders.registry import register
from autoencoders.serialization import PACKAGE
from autoencoders.training.labels import Labels
from autoencoders.training.step import Phase


@keras.saving.register_keras_serializable(PACKAGE)
class AdversarialAutoencoder(DiscriminatedAutoencoder):
    """An autoencoder with a discriminator on its codes.

    A step runs the encoder three times, once in each phase, as the paper's procedure does; batch
    normalisation in it updates its averages as often.

    Args:
        encoder, decoder: As in `Autoencoder`.
        discriminator: Keras model from codes `(batch, latent_dim)` to logits `(batch, 1)`.
        prior: The distribution that the codes are to follow; a standard normal unless given.
        kwargs: As in `DiscriminatedAutoencoder`.
    """

    _prior = Part(argument="prior")

    def __init__(self, encoder, decoder, *, discriminator, prior=None, **kwargs):
        super().__init__(encoder, decoder, discriminator=discriminator, **kwargs)
        if prior is not None and not hasattr(prior, "sample"):
            raise TypeError(f"`prior` must have a `sample` method, got {prior!r}.")
        self._prior = prior or priors.StandardNormal()

    @property
    def training_prior(self):
        """The distribution that the codes are trained to follow."""
        return self._prior

    def run_discriminators(self, code, reconstruction, training):
        """Call the discriminator once, and the prior, which has to have the code's dimensions."""
        super().run_discriminators(code, reconstruction, training)
        self.training_prior.sample((1, code.shape[-1]), seed=0)

    @property
    def phases(self):
        """Reconstruction, then discriminator and generator."""
        encoder = self.encoder.trainable_variables
        if self.bottleneck is not None:
            encoder = encoder + self.bottleneck.trainable_variables
        generator = Phase("generator", self.generator_phase, ("generator_loss",), encoder)
        return [*super().phases, generator]

    def discriminator_losses(self, batch, training):
        """Tell draws from the prior (1) from codes (0): one loss per row."""
        codes = self.codes(batch, training)
        drawn = self.training_prior.sample(ops.shape(codes), seed=self.seed_generator)
        real = self.discriminator(drawn, training=training)
        fake = self.discriminator(codes, training=training)
        return {"discriminator_loss": 0.5 * (cross_entropy(1, real) + cross_entropy(0, fake))}

    def generator_phase(self, batch, training):
        """Make the discriminator take codes for draws from the prior: one loss per row."""
        fake = self.discriminator(self.codes(batch, training), training=training)
        return {"generator_loss": cross_entropy(1, fake)}


@register
def aae_mlp(
    input_shape=(28, 28, 1),
    latent_dim=8,
    hidden_units=(1000, 1000),
    *,
    discriminator_units=(1000, 1000),
    prior="normal",
    activation="relu",
    output="linear",
    encoder=None,
    decoder=None,
    name="aae_mlp",
):
    """Dense adversarial autoencoder.

    Args:
        input_shape: Shape of one row, without the batch axis.
        latent_dim: Number of linear code units.
        hidden_units: Units of the encoder's hidden layers; the decoder mirrors them.
        discriminator_units: Units of the discriminator's hidden layers.
        prior: The distribution that the codes are to follow: "normal"; with two code units
            "mixture" or "swiss_roll"; or any object with a method `sample(shape, seed)`.
        activation: Activation of the hidden layers.
        output: Activation of the decoder's output; "linear" for data of any range.
        encoder, decoder: Your own networks in place of the dense ones.
        name: Name of the model.
    """
    encoder, decoder = networks.mlp(
        input_shape,
        latent_dim,
        hidden_units,
        activation=activation,
        output=output,
        encoder=encoder,
        decoder=decoder,
    )
    return AdversarialAutoencoder(
        encoder,
        decoder,
        discriminator=networks.discriminator(latent_dim, discriminator_units),
        prior=priors.get(prior),
        name=name,
    )


@register
def aae_conv(
    input_shape=(28, 28, 1),
    latent_dim=8,
    filters=(32, 64),
    *,
    discriminator_units=(256, 256),
    prior="normal",
    kernel_size=3,
    activation="relu",
    output="linear",
    encoder=None,
    decoder=None,
    name="aae_conv",
):
    """Convolutional adversarial autoencoder of images.

    Args:
        input_shape: `(height, width, channels)`.
        latent_dim: Number of linear code units.
        filters: Filters of the encoder's layers, each of which halves height and width; the
            decoder mirrors them.
        discriminator_units: Units of the discriminator's hidden layers.
        prior: The distribution that the codes are to follow, as in `aae_mlp`.
        kernel_size: Height and width of every kernel.
        activation: Activation of the hidden layers.
        output: Activation of the decoder's output; "linear" for data of any range.
        encoder, decoder: Your own networks in place of the convolutional ones.
        name: Name of the model.
    """
    encoder, decoder = networks.conv(
        input_shape,
        latent_dim,
        filters,
        kernel_size=kernel_size,
        activation=activation,
        output=output,
        encoder=encoder,
        decoder=decoder,
    )
    return AdversarialAutoencoder(
        encoder,
        decoder,
        discriminator=networks.discriminator(latent_dim, discriminator_units),
        prior=priors.get(prior),
        name=name,
    )


# Semi-supervised ----------------------------------------------------------------------------------


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
    label_discriminator = Part()

    def __init__(self, encoder, decoder, *, bottleneck, label_discriminator, **kwargs):
        super().__init__(encoder, decoder, bottleneck=bottleneck, **kwargs)
        self.label_discriminator = label_discriminator

    @property
    def labels(self):
        """The labels that the model takes, where rows have them."""
        return Labels(self.bottleneck.num_classes, needed=False)

    def run_discriminators(self, code, reconstruction, training):
        """Call each discriminator once."""
        classes, style = self.bottleneck.split(code)
        super().run_discriminators(style, reconstruction, training)
        self.label_discriminator(classes, training=training)

    @property
    def batch_statistics(self):
        """The classification's among them: 0 for a batch without a labelled row."""
        return (*super().batch_statistics, "classification_loss")

    @property
    def discriminators(self):
        """Of the style, and of the class."""
        return [self.discriminator, self.label_discriminator]

    @property
    def phases(self):
        """Reconstruction, discriminators, generator, and classification."""
        *others, generator = super().phases
        terms = ("style_generator_loss", "class_generator_loss")
        classifier = [*self.encoder.trainable_variables, *self.bottleneck.logit.trainable_variables]
        supervised = Phase(
            "classification", self.classification_phase, ("classification_loss",), classifier
        )
        return [*others, generator._replace(terms=terms), supervised]

    def discriminator_losses(self, batch, training):
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

    def generator_phase(self, batch, training):
        """Make the discriminators take codes for draws: one loss per row each."""
        classes, style = self.bottleneck.split(self.codes(batch, training))
        return {
            "style_generator_loss": cross_entropy(1, self.discriminator(style, training=training)),
            "class_generator_loss": cross_entropy(
                1, self.label_discriminator(classes, training=training)
            ),
        }

    def classification_phase(self, batch, training):
        """The cross-entropy of the class, a mean over the labelled rows of the batch."""
        features = self.features(self.inputs_of_batch(batch), training)
        logits = ops.cast(self.bottleneck.logits(features), "float32")
        weight = ops.cast(batch.labels >= 0, "float32")
        errors = ops.sparse_categorical_crossentropy(
            ops.maximum(batch.labels, 0), logits, from_logits=True
        )
        if batch.sample_weight is not None:
            errors = errors * ops.reshape(batch.sample_weight, (-1,))
        loss = ops.divide_no_nan(ops.sum(weight * errors), ops.sum(weight))
        return {"classification_loss": loss}

    def classify(self, x):
        """Class probabilities: `(n, *input_shape)` to `(n, num_classes)`."""
        return self.encode(x)[:, : self.bottleneck.num_classes]

    def sample_codes(self, n, seed=None):
        """Codes of a random class each, with a style from the prior."""
        labels = np.random.default_rng(seed).integers(self.bottleneck.num_classes, size=n)
        return self._codes_of(labels, seed)

    def sample(self, n, *, labels=None, seed=None, steps=None):
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


@register
def semi_supervised_aae_mlp(
    input_shape=(28, 28, 1),
    latent_dim=10,
    hidden_units=(1000, 1000),
    *,
    num_classes=10,
    discriminator_units=(1000, 1000),
    prior="normal",
    activation="relu",
    output="linear",
    encoder=None,
    decoder=None,
    name="semi_supervised_aae_mlp",
):
    """Dense semi-supervised adversarial autoencoder.

    Args:
        input_shape: Shape of one row, without the batch axis.
        latent_dim: Number of linear style units.
        hidden_units: Units of the encoder's hidden layers; the decoder mirrors them.
        num_classes: Number of classes; labels are integers from 0, and −1 where there is none.
        discriminator_units: Units of the hidden layers of both discriminators.
        prior: The distribution that the style is to follow, as in `aae_mlp`.
        activation: Activation of the hidden layers.
        output: Activation of the decoder's output; "linear" for data of any range.
        encoder: Your own network in place of the dense one; linear maps of its output give class
            and style.
        decoder: Your own network, from `num_classes + latent_dim`.
        name: Name of the model.
    """
    own_encoder, _ = networks.mlp(
        input_shape, latent_dim, hidden_units, activation=activation, code=False
    )
    _, own_decoder = networks.mlp(
        input_shape, num_classes + latent_dim, hidden_units, activation=activation, output=output
    )
    label_discriminator = networks.discriminator(
        num_classes, discriminator_units, name="label_discriminator"
    )
    return SemiSupervisedAdversarialAutoencoder(
        encoder or own_encoder,
        decoder or own_decoder,
        bottleneck=layers.ClassAndStyle(num_classes, latent_dim, name="bottleneck"),
        discriminator=networks.discriminator(latent_dim, discriminator_units),
        label_discriminator=label_discriminator,
        prior=priors.get(prior),
        name=name,
    )


# VAE-GAN ------------------------------------------------------------------------------------------


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

    def __init__(self, encoder, decoder, *, gamma=1.0, **kwargs):
        super().__init__(encoder, decoder, **kwargs)
        self.gamma = gamma
        self._decoder_has_losses = False

    def compile(self, optimizer="rmsprop", loss=None, **kwargs):
        """As `Autoencoder.compile`.

        Raises:
            ValueError: a `loss`: the reconstruction's is the discriminator's features'.
        """
        if loss is not None:
            raise ValueError(f"The loss of {self.name!r} is measured by its discriminator.")
        super().compile(optimizer, **kwargs)

    @property
    def parts(self):
        """The layers that the encoder's phase trains; the decoder has a phase of its own."""
        return [part for part in super().parts if part is not self.decoder]

    def note_layer_losses(self):
        """Note which parts have losses of their own, the decoder apart."""
        super().note_layer_losses()
        self._decoder_has_losses = bool(self.decoder.losses)

    def run_discriminators(self, code, reconstruction, training):
        """Call the discriminator once."""
        self.discriminator(reconstruction, training=training)

    @property
    def phases(self):
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

    def objective(self, batch, encoding, output):
        """The KL, and the squared error of the discriminator's features: one value per row."""
        error = self._distance(self.repeated(batch.target), self.mean_of(output))
        return {"reconstruction_loss": self.per_row(error), **encoding.terms}

    def decoder_phase(self, batch, training):
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

    def discriminator_losses(self, batch, training):
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
def vae_gan_conv(
    input_shape=(28, 28, 1),
    latent_dim=32,
    filters=(32, 64),
    *,
    gamma=1.0,
    beta=1.0,
    kernel_size=5,
    activation="relu",
    output="sigmoid",
    encoder=None,
    decoder=None,
    name="vae_gan_conv",
):
    """Convolutional VAE-GAN of images.

    Args:
        input_shape: `(height, width, channels)`.
        latent_dim: Number of latent dimensions.
        filters: Filters of the encoder's and of the discriminator's layers, each of which halves
            height and width; the decoder mirrors them.
        gamma: Weight of the reconstruction for the decoder, beside fooling the discriminator.
        beta: Weight of the KL term.
        kernel_size: Height and width of every kernel.
        activation: Activation of the hidden layers.
        output: Activation of the decoder's output: "sigmoid" for images in [0, 1].
        encoder: Your own network in place of the convolutional one; two linear maps of its output
            give the posterior's mean and log-variance.
        decoder: Your own network.
        name: Name of the model.
    """
    encoder, decoder = networks.conv(
        input_shape,
        latent_dim,
        filters,
        kernel_size=kernel_size,
        activation=activation,
        code=False,
        output=output,
        encoder=encoder,
        decoder=decoder,
    )
    return VAEGAN(
        encoder,
        decoder,
        bottleneck=layers.GaussianBottleneck(latent_dim, beta=beta, name="bottleneck"),
        discriminator=networks.conv_discriminator(input_shape, filters, kernel_size=kernel_size),
        gamma=gamma,
        name=name,
    )
