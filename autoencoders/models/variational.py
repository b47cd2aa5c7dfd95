"""Variational autoencoders: a probabilistic encoder, a prior, and the evidence lower bound.

Loss: −ELBO = −E_q(z|x)[log p(x|z)] + KL(q(z|x) ‖ p(z)), in nats, summed over features and latent
dimensions, averaged over rows, with reparameterised samples of z. `reconstruction_loss` is the
first term, `kl_loss` the second. Kingma & Welling, "Auto-Encoding Variational Bayes" (2013,
arXiv:1312.6114). Its kin are made of the same builders with other arguments, or other parts:

- β-VAE (`beta_vae_*`): beta · KL. Higgins et al., "beta-VAE" (ICLR 2017); with `capacity`,
  beta · |KL − C|: Burgess et al. (2018, arXiv:1804.03599).
- β-TCVAE (`beta_tcvae_*`): the KL as `mutual_information_loss` + beta · total correlation
  (`total_correlation_loss`) + `dimension_wise_kl_loss`. Chen et al. (2018, arXiv:1802.04942).
- FactorVAE (`factor_vae_*`): −ELBO + gamma · total correlation, estimated by a discriminator that
  a phase of its own trains (`discriminator_loss`). Kim & Mnih (2018, arXiv:1802.05983).
- InfoVAE (`info_vae_*`): (1 − α) KL + (α + λ − 1) MMD (`mmd_loss`): `beta` and `mmd` here. Zhao,
  Song & Ermon (2017, arXiv:1706.02262).
- DIP-VAE (`dip_vae_*`): −ELBO + `dip_loss`, the distance of the codes' covariance from the
  identity. Kumar, Sattigeri & Balakrishnan (2018, arXiv:1711.00848).
- Importance-weighted (`iwae_mlp`): −log 1/k Σ_i p(x, z_i) / q(z_i|x). Burda, Grosse & Salakhutdinov
  (2015, arXiv:1509.00519).
- Wasserstein (`wae_mlp`): squared error + λ MMD between codes and prior, with a deterministic
  encoder. Tolstikhin et al. (2018, arXiv:1711.01558).
- VampPrior (`vamp_vae_mlp`): a mixture of posteriors at learned inputs is the prior, and the KL is
  that of the drawn samples. Tomczak & Welling (2018, arXiv:1705.07120).
- Conditional (`cvae_mlp`): −E_q(z|x,y)[log p(x|z,y)] + KL(q(z|x,y) ‖ p(z)). Sohn, Lee & Yan,
  "Learning structured output representation" (NIPS 2015).
"""

import math

import keras
import numpy as np
from keras import ops

from autoencoders import draws, layers, losses, networks, priors
from autoencoders.arguments import Number, Structure, is_on
from autoencoders.autoencoder import Autoencoder
from autoencoders.autoencoder.discriminated import DiscriminatedAutoencoder, cross_entropy
from autoencoders.distributions.priors import described
from autoencoders.registry import register
from autoencoders.serialization import PACKAGE
from autoencoders.training.labels import Labels


@register
def vae_mlp(
    input_shape=(28, 28, 1),
    latent_dim=2,
    hidden_units=(256,),
    *,
    beta=1.0,
    warm_up=0,
    free_bits=0.0,
    capacity=None,
    capacity_steps=0,
    total_correlation=None,
    dataset_size=60_000,
    mmd=0.0,
    dip=None,
    dip_kind=1,
    num_samples=1,
    likelihood="bernoulli",
    activation="relu",
    encoder=None,
    decoder=None,
    name="vae_mlp",
):
    """Dense variational autoencoder.

    Args:
        input_shape: Shape of one row, without the batch axis.
        latent_dim: Number of latent dimensions.
        hidden_units: Units of the encoder's hidden layers; the decoder mirrors them.
        beta: Weight of the KL term; 1 for the ELBO.
        warm_up: Training steps in which that weight grows linearly from 0.
        free_bits: Nats of each latent dimension that cost nothing.
        capacity, capacity_steps: The nats towards which the KL is drawn, and the training steps in
            which they grow from 0.
        total_correlation: Weight of the total correlation, where the KL is split in three. The
            other two parts have the weight `beta`. Each part, and so the loss, is off by a constant
            of the training data's and the batch's size.
        dataset_size: Rows in the training data, for that constant alone.
        mmd: Weight of the maximum mean discrepancy between codes and prior.
        dip: Weights of the off-diagonal and the diagonal distance of the codes' covariance from
            the identity, (10, 100) for instance.
        dip_kind: 1 for the covariance of the posteriors' means, 2 for that of z.
        num_samples: Samples of z drawn for each row while training.
        likelihood: p(x|z): "bernoulli" or "continuous_bernoulli" for data in [0, 1]; "gaussian"
            (unit variance), "learned_gaussian" or "laplace" for standardised data; or a
            `losses.Likelihood`.
        activation: Activation of the hidden layers.
        encoder: Your own network in place of the dense one; two linear maps of its output give
            the posterior's mean and log-variance.
        decoder: Your own network, from `latent_dim` to the parameters of the likelihood: logits
            (no sigmoid) for "bernoulli", means for "gaussian".
        name: Name of the model.
    """
    likelihood = losses.get(likelihood)
    encoder, decoder = networks.mlp(
        input_shape,
        latent_dim,
        hidden_units,
        activation=activation,
        code=False,
        parameters=likelihood.parameters,
        encoder=encoder,
        decoder=decoder,
    )
    bottleneck, penalties = _objective(
        latent_dim,
        beta,
        total_correlation,
        dataset_size,
        mmd,
        dip,
        dip_kind,
        warm_up=warm_up,
        free_bits=free_bits,
        capacity=capacity,
        capacity_steps=capacity_steps,
        num_samples=num_samples,
    )
    parts = {"bottleneck": bottleneck, "penalties": penalties, "likelihood": likelihood}
    return Autoencoder(encoder, decoder, **parts, name=name)


@register
def vae_conv(
    input_shape=(28, 28, 1),
    latent_dim=10,
    filters=(32, 64),
    *,
    beta=1.0,
    warm_up=0,
    free_bits=0.0,
    capacity=None,
    capacity_steps=0,
    total_correlation=None,
    dataset_size=60_000,
    mmd=0.0,
    dip=None,
    dip_kind=1,
    num_samples=1,
    likelihood="bernoulli",
    kernel_size=3,
    activation="relu",
    encoder=None,
    decoder=None,
    name="vae_conv",
):
    """Convolutional variational autoencoder of images.

    Args:
        input_shape: `(height, width, channels)`.
        latent_dim: Number of latent dimensions.
        filters: Filters of the encoder's layers, each of which halves height and width; the
            decoder mirrors them.
        beta, warm_up, free_bits, capacity, capacity_steps, total_correlation, dataset_size, mmd,
            dip, dip_kind, num_samples, likelihood: As in `vae_mlp`.
        kernel_size: Height and width of every kernel.
        activation: Activation of the hidden layers.
        encoder, decoder: Your own networks, as in `vae_mlp`.
        name: Name of the model.
    """
    likelihood = losses.get(likelihood)
    encoder, decoder = networks.conv(
        input_shape,
        latent_dim,
        filters,
        kernel_size=kernel_size,
        activation=activation,
        code=False,
        parameters=likelihood.parameters,
        encoder=encoder,
        decoder=decoder,
    )
    bottleneck, penalties = _objective(
        latent_dim,
        beta,
        total_correlation,
        dataset_size,
        mmd,
        dip,
        dip_kind,
        warm_up=warm_up,
        free_bits=free_bits,
        capacity=capacity,
        capacity_steps=capacity_steps,
        num_samples=num_samples,
    )
    parts = {"bottleneck": bottleneck, "penalties": penalties, "likelihood": likelihood}
    return Autoencoder(encoder, decoder, **parts, name=name)


def _objective(latent_dim, beta, total_correlation, dataset_size, mmd, dip, dip_kind, **schedule):
    """The bottleneck and the penalties that these weights stand for."""
    schedule["name"] = "bottleneck"
    if total_correlation is None:
        bottleneck = layers.GaussianBottleneck(latent_dim, beta=beta, **schedule)
    else:
        weights = {"alpha": beta, "beta": total_correlation, "gamma": beta}
        weights["dataset_size"] = dataset_size
        bottleneck = layers.TotalCorrelationBottleneck(latent_dim, **weights, **schedule)
    penalties = []
    if mmd:
        penalties.append(layers.MMDPenalty(mmd, kernel="radial_basis", name="mmd_penalty"))
    if dip is not None:
        if not isinstance(dip, (list, tuple)) or len(dip) != 2:
            raise ValueError(f"`dip` must be two weights such as (10, 100), got {dip!r}.")
        penalties.append(layers.DIPPenalty(*dip, kind=dip_kind, name="dip_penalty"))
    return bottleneck, penalties


# FactorVAE ----------------------------------------------------------------------------------------


@keras.saving.register_keras_serializable(PACKAGE)
class FactorVAE(DiscriminatedAutoencoder):
    """A variational autoencoder whose aggregate posterior is drawn towards its marginals' product.

    The discriminator tells codes from codes whose dimensions were shuffled over the batch, each
    apart; its logit is the log-ratio of the two densities, whose mean is the total correlation.
    The shuffled codes are other samples of the same batch (the paper takes a second batch).

    Args:
        encoder, decoder: As in `Autoencoder`.
        gamma: Weight of the total correlation.
        discriminator: Keras model from codes `(batch, latent_dim)` to logits `(batch, 1)`.
        kwargs: As in `Autoencoder`, with a `layers.GaussianBottleneck` among them.
    """

    gamma = Number(at_least=0)

    def __init__(self, encoder, decoder, *, gamma=10.0, **kwargs):
        super().__init__(encoder, decoder, **kwargs)
        self.gamma = gamma

    @property
    def reconstruction_terms(self):
        """Those of a variational autoencoder, and the total correlation."""
        return (*super().reconstruction_terms, "total_correlation_loss")

    def objective(self, batch, encoding, output):
        """−ELBO and gamma · the total correlation, by the discriminator's log-ratio for a code."""
        values = super().objective(batch, encoding, output)
        log_ratio = ops.squeeze(self.discriminator(encoding.latent), axis=-1)
        log_ratio = ops.cast(log_ratio, self.variable_dtype)
        return {**values, "total_correlation_loss": self.per_row(self.gamma * log_ratio)}

    def discriminator_losses(self, batch, training):
        """Tell codes (1) from shuffled ones (0): one loss per row."""
        codes, others = (self.codes(batch, training) for _ in range(2))
        noise = draws.uniform(ops.shape(others), seed=self.seed_generator)
        shuffled = ops.take_along_axis(others, ops.argsort(noise, axis=0), axis=0)
        joint = self.discriminator(codes, training=training)
        product = self.discriminator(shuffled, training=training)
        loss = 0.5 * (cross_entropy(1, joint) + cross_entropy(0, product))
        return {"discriminator_loss": loss}


@register
def factor_vae_mlp(
    input_shape=(28, 28, 1),
    latent_dim=10,
    hidden_units=(256,),
    *,
    gamma=10.0,
    beta=1.0,
    warm_up=0,
    free_bits=0.0,
    num_samples=1,
    discriminator_units=(256, 256, 256),
    likelihood="bernoulli",
    activation="relu",
    encoder=None,
    decoder=None,
    name="factor_vae_mlp",
):
    """Dense FactorVAE.

    Args:
        input_shape: Shape of one row, without the batch axis.
        latent_dim: Number of latent dimensions.
        hidden_units: Units of the encoder's hidden layers; the decoder mirrors them.
        gamma: Weight of the total correlation.
        beta, warm_up, free_bits, num_samples, likelihood: As in `vae_mlp`.
        discriminator_units: Units of the discriminator's hidden layers.
        activation: Activation of the hidden layers.
        encoder, decoder: Your own networks, as in `vae_mlp`.
        name: Name of the model.
    """
    likelihood = losses.get(likelihood)
    encoder, decoder = networks.mlp(
        input_shape,
        latent_dim,
        hidden_units,
        activation=activation,
        code=False,
        parameters=likelihood.parameters,
        encoder=encoder,
        decoder=decoder,
    )
    parts = _factor_parts(
        latent_dim,
        discriminator_units,
        beta=beta,
        warm_up=warm_up,
        free_bits=free_bits,
        num_samples=num_samples,
    )
    return FactorVAE(encoder, decoder, gamma=gamma, likelihood=likelihood, **parts, name=name)


@register
def factor_vae_conv(
    input_shape=(28, 28, 1),
    latent_dim=10,
    filters=(32, 64),
    *,
    gamma=10.0,
    beta=1.0,
    warm_up=0,
    free_bits=0.0,
    num_samples=1,
    discriminator_units=(256, 256, 256),
    likelihood="bernoulli",
    kernel_size=3,
    activation="relu",
    encoder=None,
    decoder=None,
    name="factor_vae_conv",
):
    """Convolutional FactorVAE of images.

    Args:
        input_shape: `(height, width, channels)`.
        latent_dim: Number of latent dimensions.
        filters: Filters of the encoder's layers, each of which halves height and width; the
            decoder mirrors them.
        gamma: Weight of the total correlation.
        beta, warm_up, free_bits, num_samples, likelihood: As in `vae_mlp`.
        discriminator_units: Units of the discriminator's hidden layers.
        kernel_size: Height and width of every kernel.
        activation: Activation of the hidden layers.
        encoder, decoder: Your own networks, as in `vae_mlp`.
        name: Name of the model.
    """
    likelihood = losses.get(likelihood)
    encoder, decoder = networks.conv(
        input_shape,
        latent_dim,
        filters,
        kernel_size=kernel_size,
        activation=activation,
        code=False,
        parameters=likelihood.parameters,
        encoder=encoder,
        decoder=decoder,
    )
    parts = _factor_parts(
        latent_dim,
        discriminator_units,
        beta=beta,
        warm_up=warm_up,
        free_bits=free_bits,
        num_samples=num_samples,
    )
    return FactorVAE(encoder, decoder, gamma=gamma, likelihood=likelihood, **parts, name=name)


def _factor_parts(latent_dim, discriminator_units, **objective):
    return {
        "bottleneck": layers.GaussianBottleneck(latent_dim, **objective, name="bottleneck"),
        "discriminator": networks.discriminator(
            latent_dim, discriminator_units, activation="leaky_relu"
        ),
    }


# Importance-weighted ------------------------------------------------------------------------------


@keras.saving.register_keras_serializable(PACKAGE)
class ImportanceWeightedAutoencoder(Autoencoder):
    """A variational autoencoder trained on the importance-weighted bound.

    With weights w_i = p(x, z_i) / q(z_i|x) the loss is −log 1/k Σ w_i. It is logged as the two
    terms of −ELBO, `reconstruction_loss` and `kl_loss`, both over the k samples, and
    `importance_loss`, by how much the bound is tighter: zero for k = 1, otherwise negative.

    Args:
        kwargs: As in `Autoencoder`; its bottleneck is a `layers.GaussianBottleneck` with
            `num_samples=k`, and it has a likelihood.
    """

    def __init__(self, encoder, decoder, *, bottleneck, likelihood, **kwargs):
        super().__init__(encoder, decoder, bottleneck=bottleneck, likelihood=likelihood, **kwargs)
        self._check_bound()

    def _check_bound(self):
        if is_on(self.bottleneck.free_bits) or self.bottleneck.capacity is not None:
            raise ValueError("An importance-weighted bound has no `free_bits` and no `capacity`.")

    @property
    def reconstruction_terms(self):
        """Those of a variational autoencoder, and the gain of the importance weights."""
        return (*super().reconstruction_terms, "importance_loss")

    def objective(self, batch, encoding, output):
        """The terms of the bound: one value per row."""
        self._check_bound()  # the bottleneck's arguments may have been set since
        prior, posterior = described(self.bottleneck.prior), encoding.posterior
        log_ratio = posterior.repeated(self.num_samples).log_ratio(prior, encoding.latent)
        log_ratio = self.bottleneck.weight(encoding.training) * log_ratio
        target, mask = self.repeated(batch.target), self.repeated(encoding.inputs.mask)
        target, output = (ops.cast(part, self.likelihood.dtype) for part in (target, output))
        error = self.likelihood.masked(target, output, mask)
        k = self.num_samples
        error, log_ratio = (ops.reshape(part, (-1, k)) for part in (error, log_ratio))
        bound = math.log(k) - ops.logsumexp(-error - log_ratio, axis=-1)
        error, log_ratio = ops.mean(error, axis=-1), ops.mean(log_ratio, axis=-1)
        return {
            **encoding.terms,
            "reconstruction_loss": error,
            "kl_loss": log_ratio,
            "importance_loss": bound - error - log_ratio,
        }


@register
def iwae_mlp(
    input_shape=(28, 28, 1),
    latent_dim=50,
    hidden_units=(200, 200),
    *,
    num_samples=5,
    beta=1.0,
    warm_up=0,
    likelihood="bernoulli",
    activation="tanh",
    encoder=None,
    decoder=None,
    name="iwae_mlp",
):
    """Dense importance-weighted autoencoder.

    Args:
        input_shape: Shape of one row, without the batch axis.
        latent_dim: Number of latent dimensions.
        hidden_units: Units of the encoder's hidden layers; the decoder mirrors them.
        num_samples: The bound's k: samples of z drawn for each row.
        beta: Weight of log q(z|x) / p(z) in the importance weights; 1 for the bound.
        warm_up: Training steps in which that weight grows linearly from 0.
        likelihood: p(x|z), as in `vae_mlp`.
        activation: Activation of the hidden layers.
        encoder, decoder: Your own networks, as in `vae_mlp`.
        name: Name of the model.
    """
    likelihood = losses.get(likelihood)
    encoder, decoder = networks.mlp(
        input_shape,
        latent_dim,
        hidden_units,
        activation=activation,
        code=False,
        parameters=likelihood.parameters,
        encoder=encoder,
        decoder=decoder,
    )
    bottleneck = layers.GaussianBottleneck(
        latent_dim, beta=beta, warm_up=warm_up, num_samples=num_samples, name="bottleneck"
    )
    return ImportanceWeightedAutoencoder(
        encoder, decoder, bottleneck=bottleneck, likelihood=likelihood, name=name
    )


# Other priors, and none ---------------------------------------------------------------------------


@register
def vamp_vae_mlp(
    input_shape=(28, 28, 1),
    latent_dim=40,
    hidden_units=(300, 300),
    *,
    num_pseudo_inputs=500,
    beta=1.0,
    warm_up=0,
    likelihood="bernoulli",
    activation="relu",
    encoder=None,
    decoder=None,
    name="vamp_vae_mlp",
):
    """Dense variational autoencoder with a VampPrior.

    Args:
        input_shape: Shape of one row, without the batch axis.
        latent_dim: Number of latent dimensions.
        hidden_units: Units of the encoder's hidden layers; the decoder mirrors them.
        num_pseudo_inputs: Components of the prior.
        beta: Weight of the KL term; 1 for the ELBO.
        warm_up: Training steps in which that weight grows linearly from 0.
        likelihood: p(x|z), as in `vae_mlp`. The pseudo-inputs stay within its support, and where
            that has no bounds within three standard deviations of standardised data.
        activation: Activation of the hidden layers.
        encoder, decoder: Your own networks, as in `vae_mlp`.
        name: Name of the model.
    """
    likelihood = losses.get(likelihood)
    encoder, decoder = networks.mlp(
        input_shape,
        latent_dim,
        hidden_units,
        activation=activation,
        code=False,
        parameters=likelihood.parameters,
        encoder=encoder,
        decoder=decoder,
    )
    low, high = np.clip(likelihood.support, -3.0, 3.0).tolist()
    row_shape = networks.sizes(input_shape, "input_shape")
    prior = priors.VampPrior(row_shape, num_pseudo_inputs, low, high, name="prior")
    bottleneck = layers.GaussianBottleneck(
        latent_dim, beta=beta, warm_up=warm_up, prior=prior, name="bottleneck"
    )
    return Autoencoder(encoder, decoder, bottleneck=bottleneck, likelihood=likelihood, name=name)


@register
def wae_mlp(
    input_shape=(28, 28, 1),
    latent_dim=8,
    hidden_units=(256,),
    *,
    mmd=10.0,
    likelihood="squared_error",
    activation="relu",
    encoder=None,
    decoder=None,
    name="wae_mlp",
):
    """Dense Wasserstein autoencoder, by maximum mean discrepancy.

    Args:
        input_shape: Shape of one row, without the batch axis.
        latent_dim: Number of linear code units.
        hidden_units: Units of the encoder's hidden layers; the decoder mirrors them.
        mmd: Weight of the discrepancy between codes and prior, the paper's λ.
        likelihood: The cost of a reconstruction, as a likelihood: "squared_error" is the paper's,
            summed over features; or as in `vae_mlp`.
        activation: Activation of the hidden layers.
        encoder, decoder: Your own networks in place of the dense ones; the decoder puts out the
            likelihood's parameters.
        name: Name of the model.
    """
    likelihood = losses.get(likelihood)
    encoder, decoder = networks.mlp(
        input_shape,
        latent_dim,
        hidden_units,
        activation=activation,
        parameters=likelihood.parameters,
        encoder=encoder,
        decoder=decoder,
    )
    penalty = layers.MMDPenalty(mmd, name="mmd_penalty")
    return Autoencoder(encoder, decoder, penalties=[penalty], likelihood=likelihood, name=name)


# Conditional --------------------------------------------------------------------------------------


@keras.saving.register_keras_serializable(PACKAGE)
class ConditionalAutoencoder(Autoencoder):
    """An autoencoder of labelled rows: what the label says, the code need not.

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

    def __init__(self, encoder, decoder, *, num_classes, **kwargs):
        super().__init__(encoder, decoder, **kwargs)
        self.num_classes = num_classes

    @property
    def labels(self):
        """The labels that the model needs."""
        return Labels(self.num_classes)

    def features(self, inputs, training, corrupt=True):
        """As in `Autoencoder`, with the class behind them."""
        features = super().features(inputs, training, corrupt)
        features = ops.reshape(features, (-1, math.prod(features.shape[1:])))
        return self._with_class(features, inputs.labels)

    def decoder_output(self, latent, inputs, training, target=None):
        """As in `Autoencoder`, for codes beside the labels of the inputs."""
        labels = inputs.labels if target is None else self.repeated(inputs.labels)
        return super().decoder_output(self._with_class(latent, labels), inputs, training, target)

    def decode_codes(self, codes, steps=None):
        """As in `Autoencoder`, of pairs of codes and labels."""
        return super().decode_codes(self._with_class(*codes), steps)

    def _with_class(self, values, labels):
        one_hot = ops.one_hot(labels, self.num_classes, dtype=values.dtype)
        return ops.concatenate([values, one_hot], axis=-1)

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
        codes = self.sample_codes(n, seed)
        if labels is None:
            labels = np.random.default_rng(seed).integers(self.num_classes, size=n)
        return self.decode((codes, self.labels.array_or_one(labels, n)))

    def interpolate(self, a, b, steps=9):
        """Reconstructions along the straight line between two labelled rows' codes, and classes.

        Args:
            a, b: Pairs of a row, of shape `input_shape`, and its label.
            steps: How many points, ends included.

        Returns:
            NumPy array `(steps, *input_shape)`.
        """
        rows, labels = zip(a, b, strict=True)
        labels = np.asarray(labels)
        ends = self.encode((np.stack(rows), labels))
        ends = np.concatenate([ends, np.eye(self.num_classes, dtype=ends.dtype)[labels]], axis=1)
        weight = np.linspace(0.0, 1.0, steps, dtype=ends.dtype)[:, None]
        line = (1.0 - weight) * ends[0] + weight * ends[1]
        return self._rows.run("line", lambda z: self.mean_of(self.decoder(z, training=False)), line)


@register
def cvae_mlp(
    input_shape=(28, 28, 1),
    latent_dim=2,
    hidden_units=(256,),
    *,
    num_classes=10,
    beta=1.0,
    warm_up=0,
    free_bits=0.0,
    num_samples=1,
    likelihood="bernoulli",
    activation="relu",
    encoder=None,
    decoder=None,
    name="cvae_mlp",
):
    """Dense conditional variational autoencoder.

    Args:
        input_shape: Shape of one row, without the batch axis.
        latent_dim: Number of latent dimensions.
        hidden_units: Units of the encoder's hidden layers; the decoder mirrors them.
        num_classes: Number of classes; labels are integers from 0.
        beta, warm_up, free_bits, num_samples, likelihood, activation: As in `vae_mlp`.
        encoder: Your own network in place of the dense one, as in `vae_mlp`.
        decoder: Your own network, from `latent_dim + num_classes` to the parameters of the
            likelihood.
        name: Name of the model.
    """
    likelihood = losses.get(likelihood)
    shared = {"activation": activation, "parameters": likelihood.parameters}
    own_encoder, _ = networks.mlp(input_shape, latent_dim, hidden_units, code=False, **shared)
    _, own_decoder = networks.mlp(input_shape, latent_dim + num_classes, hidden_units, **shared)
    bottleneck = layers.GaussianBottleneck(
        latent_dim,
        beta=beta,
        warm_up=warm_up,
        free_bits=free_bits,
        num_samples=num_samples,
        name="bottleneck",
    )
    return ConditionalAutoencoder(
        encoder or own_encoder,
        decoder or own_decoder,
        num_classes=num_classes,
        bottleneck=bottleneck,
        likelihood=likelihood,
        name=name,
    )


@register
def vae_lstm(
    input_shape=(140, 1),
    latent_dim=16,
    units=(64,),
    *,
    beta=1.0,
    warm_up=0,
    free_bits=0.0,
    likelihood="gaussian",
    cell="lstm",
    bidirectional=False,
    decoder_cell=None,
    decoder_bidirectional=None,
    reverse_targets=False,
    teacher_forcing=False,
    mask_value=None,
    encoder=None,
    decoder=None,
    name="vae_lstm",
):
    """Recurrent variational autoencoder: one latent code for a whole series.

    Fabius & van Amersfoort, "Variational Recurrent Auto-Encoders" (2014, arXiv:1412.6581). With
    teacher forcing, as in Bowman et al., "Generating sentences from a continuous space" (2015,
    arXiv:1511.06349), the decoder tends to do without the code, as they found; `warm_up` is what
    they do about it. `evaluate` gives the −ELBO of what it decodes from the code alone.

    Args:
        input_shape: `(steps, features)`; steps None for series of any length.
        latent_dim: Number of latent dimensions.
        units: Units of the encoder's recurrent layers; the decoder mirrors them.
        beta: Weight of the KL term; 1 for the ELBO.
        warm_up: Training steps in which that weight grows linearly from 0.
        free_bits: Nats of each latent dimension that cost nothing.
        likelihood: p(x|z): "gaussian" (unit variance) for standardised data, "bernoulli" for data
            in [0, 1], or a `losses.Likelihood`.
        cell: "lstm", "gru" or "rnn".
        bidirectional: Whether every layer reads the series from both ends.
        decoder_cell, decoder_bidirectional: The decoder's, where they differ from the encoder's.
        reverse_targets: Whether the decoder unfolds the series from its end.
        teacher_forcing: Whether the decoder sees, beside the code, the element before: the clean
            one in training, its own otherwise.
        mask_value: Number that stands for padding behind the end of a series.
        encoder: Your own network in place of the recurrent one; two linear maps of its output give
            the posterior's mean and log-variance.
        decoder: Your own network, from `latent_dim` to the parameters of the likelihood.
        name: Name of the model.
    """
    likelihood = losses.get(likelihood)
    encoder, decoder = networks.recurrent(
        input_shape,
        latent_dim,
        units,
        cell=cell,
        bidirectional=bidirectional,
        decoder_cell=decoder_cell,
        decoder_bidirectional=decoder_bidirectional,
        reverse_targets=reverse_targets,
        teacher_forcing=teacher_forcing,
        code=False,
        parameters=likelihood.parameters,
        likelihood=likelihood,
        masked=mask_value is not None,
        encoder=encoder,
        decoder=decoder,
    )
    return Autoencoder(
        encoder,
        decoder,
        bottleneck=layers.GaussianBottleneck(
            latent_dim, beta=beta, warm_up=warm_up, free_bits=free_bits, name="bottleneck"
        ),
        likelihood=likelihood,
        mask_value=mask_value,
        name=name,
    )
