"""Variational autoencoders: a probabilistic encoder, a prior, and the evidence lower bound.

Loss: −ELBO = −E_q(z|x)[log p(x|z)] + KL(q(z|x) ‖ p(z)), in nats, summed over features and latent
dimensions, averaged over rows, with one reparameterised sample of z. `reconstruction_loss` is the
first term, `kl_loss` the second. Kingma & Welling, "Auto-Encoding Variational Bayes" (2013,
arXiv:1312.6114).
"""

from autoencoders import layers, losses, networks
from autoencoders.autoencoder import Autoencoder
from autoencoders.registry import register


@register
def vae_mlp(
    input_shape=(28, 28, 1),
    latent_dim=2,
    hidden_units=(256,),
    *,
    beta=1.0,
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
        likelihood: p(x|z): "bernoulli" for data in [0, 1], "gaussian" (unit variance) for
            standardised data, or a `losses.Likelihood`.
        activation: Activation of the hidden layers.
        encoder: Your own network in place of the dense one; two linear maps of its output give
            the posterior's mean and log-variance.
        decoder: Your own network, from `latent_dim` to the parameters of the likelihood: logits
            (no sigmoid) for "bernoulli", means for "gaussian".
        name: Name of the model.
    """
    encoder, decoder = networks.mlp(
        input_shape,
        latent_dim,
        hidden_units,
        activation=activation,
        code=False,
        encoder=encoder,
        decoder=decoder,
    )
    return Autoencoder(
        encoder,
        decoder,
        bottleneck=layers.GaussianBottleneck(latent_dim, beta=beta, name="bottleneck"),
        likelihood=losses.get(likelihood),
        name=name,
    )
