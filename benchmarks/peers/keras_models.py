"""The tasks' models in Keras: this package's, and the same written by hand."""

import keras
import tensorflow as tf
from keras import layers

import autoencoders
from autoencoders import networks


def ours(task):
    """The task as a compiled model of this package."""
    if task == "dense_small":
        model = autoencoders.get(
            "vae_mlp", input_shape=(784,), latent_dim=2, hidden_units=(256,), compile=False
        )
        model.compile("rmsprop")
    elif task == "dense_large":
        model = autoencoders.get("ae_deep", input_shape=(784,))
    elif task == "adversarial":
        model = autoencoders.get("aae_mlp", input_shape=(784,))
    else:
        model = autoencoders.Autoencoder(*parts(task))
        model.compile("adam")
    return model


def hand_written(model, **options):
    """A model with the same networks, loss and optimizer, but a `train_step` written by hand."""
    if model.bottleneck is not None:
        own = HandWrittenVAE(model.encoder, model.decoder, *model.latent_shape)
    elif hasattr(model, "discriminator"):
        own = HandWrittenAAE(model.encoder, model.decoder, model.discriminator)
    else:
        own = HandWrittenAutoencoder(model.encoder, model.decoder, model.corruption)
    own.compile(type(model.optimizer).from_config(model.optimizer.get_config()), **options)
    return own


def parts(task):
    """Encoder and decoder of the tasks that are plain autoencoders."""
    if task == "dense_large":
        return networks.mlp((784,), 30, (1000, 500, 250))
    if task == "convolutional":
        convolution = {"padding": "same", "activation": "relu", "strides": 2}
        encoder = [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, **convolution),
            layers.Conv2D(64, 3, **convolution),
            layers.Flatten(),
            layers.Dense(16),
        ]
        decoder = [
            keras.Input((16,)),
            layers.Dense(7 * 7 * 64, activation="relu"),
            layers.Reshape((7, 7, 64)),
            layers.Conv2DTranspose(64, 3, **convolution),
            layers.Conv2DTranspose(32, 3, **convolution),
            layers.Conv2DTranspose(1, 3, padding="same"),
        ]
    else:
        encoder = [keras.Input((28, 28)), layers.LSTM(64)]
        decoder = [
            keras.Input((64,)),
            layers.RepeatVector(28),
            layers.LSTM(64, return_sequences=True),
            layers.TimeDistributed(layers.Dense(28)),
        ]
    return keras.Sequential(encoder), keras.Sequential(decoder)


class HandWrittenAutoencoder(keras.Model):
    """Encoder, decoder, mean squared error."""

    def __init__(self, encoder, decoder, corruption=None):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.corruption = corruption
        self.loss_tracker = keras.metrics.Mean(name="loss")

    @property
    def metrics(self):
        return [self.loss_tracker]

    def call(self, x):
        return self.decoder(self.encoder(x))

    def train_step(self, x):
        with tf.GradientTape() as tape:
            corrupted = x if self.corruption is None else self.corruption(x, training=True)
            loss = tf.reduce_mean(tf.square(x - self(corrupted)))
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        self.loss_tracker.update_state(loss)
        return {"loss": self.loss_tracker.result()}


class HandWrittenVAE(keras.Model):
    """The variational autoencoder as tutorials write it."""

    def __init__(self, encoder, decoder, latent_dim):
        super().__init__()
        self.encoder = encoder
        self.mean = layers.Dense(latent_dim)
        self.log_variance = layers.Dense(latent_dim)
        self.decoder = decoder
        self.seed_generator = keras.random.SeedGenerator(0)
        self.trackers = [
            keras.metrics.Mean(name=name) for name in ("loss", "reconstruction_loss", "kl_loss")
        ]

    @property
    def metrics(self):
        return self.trackers

    def call(self, x):
        return self.decoder(self.mean(self.encoder(x)))

    def train_step(self, x):
        with tf.GradientTape() as tape:
            features = self.encoder(x)
            mean, log_variance = self.mean(features), self.log_variance(features)
            noise = keras.random.normal(tf.shape(mean), seed=self.seed_generator)
            logits = self.decoder(mean + tf.exp(0.5 * log_variance) * noise)
            cross_entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=x, logits=logits)
            cross_entropy = tf.reshape(cross_entropy, (tf.shape(x)[0], -1))
            reconstruction = tf.reduce_mean(tf.reduce_sum(cross_entropy, axis=-1))
            kl = 1 + log_variance - tf.square(mean) - tf.exp(log_variance)
            kl = tf.reduce_mean(-0.5 * tf.reduce_sum(kl, axis=-1))
            loss = reconstruction + kl
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        for tracker, value in zip(self.trackers, (loss, reconstruction, kl), strict=True):
            tracker.update_state(value)
        return {tracker.name: tracker.result() for tracker in self.trackers}


class HandWrittenAAE(keras.Model):
    """An adversarial autoencoder: reconstruction, then discriminator, then generator."""

    def __init__(self, encoder, decoder, discriminator):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.discriminator = discriminator
        self.cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)
        self.seed_generator = keras.random.SeedGenerator(0)
        names = ("loss", "discriminator_loss", "generator_loss")
        self.trackers = [keras.metrics.Mean(name=name) for name in names]

    @property
    def metrics(self):
        return self.trackers

    def call(self, x):
        return self.decoder(self.encoder(x))

    def compile(self, optimizer, **kwargs):
        super().compile(optimizer, **kwargs)
        self.phases = [
            self.encoder.trainable_weights + self.decoder.trainable_weights,
            self.discriminator.trainable_weights,
            self.encoder.trainable_weights,
        ]
        config = self.optimizer.get_config()
        more = (type(self.optimizer).from_config(config) for _ in range(2))
        self.optimizers = [self.optimizer, *more]
        for own, weights in zip(self.optimizers, self.phases, strict=True):
            own.build(weights)

    def train_step(self, x):
        losses = []
        for number, phase in enumerate((self._reconstruct, self._discriminate, self._generate)):
            with tf.GradientTape() as tape:
                loss = phase(x)
            weights = self.phases[number]
            gradients = tape.gradient(loss, weights)
            self.optimizers[number].apply_gradients(zip(gradients, weights, strict=True))
            losses.append(loss)
        for tracker, value in zip(self.trackers, losses, strict=True):
            tracker.update_state(value)
        return {tracker.name: tracker.result() for tracker in self.trackers}

    def _reconstruct(self, x):
        return tf.reduce_mean(tf.square(x - self(x)))

    def _discriminate(self, x):
        codes = self.encoder(x)
        draws = keras.random.normal(tf.shape(codes), seed=self.seed_generator)
        real, fake = self.discriminator(draws), self.discriminator(codes)
        ones, zeros = tf.ones_like(real), tf.zeros_like(fake)
        return 0.5 * (self.cross_entropy(ones, real) + self.cross_entropy(zeros, fake))

    def _generate(self, x):
        fake = self.discriminator(self.encoder(x))
        return self.cross_entropy(tf.ones_like(fake), fake)
