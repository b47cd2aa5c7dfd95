"""The VampPrior: a mixture of posteriors at learned inputs is the prior.

The KL is that of the drawn samples. Tomczak & Welling, "VAE with a VampPrior" (2018,
arXiv:1705.07120). The pseudo-inputs start evenly spread over the range of the data; in the authors'
code (https://github.com/jmtomczak/vae_vampprior) they start close to each other, or at training
rows.
"""

import numpy as np

from autoencoders import layers, losses, networks, priors
from autoencoders.autoencoder import Autoencoder
from autoencoders.networks import Architecture
from autoencoders.registry import register


@register
def vamp_vae(
    network: Architecture,
    latent_dim: int = 40,
    *,
    num_pseudo_inputs: int = 500,
    beta: float = 1.0,
    warm_up: int = 0,
    likelihood: str | losses.Likelihood = "bernoulli",
    name: str = "vamp_vae",
) -> Autoencoder:
    """Variational autoencoder with a VampPrior.

    The pseudo-inputs stay within the likelihood's support, and where that has no bounds within
    three standard deviations of standardised data.

    Args:
        network, latent_dim, beta, warm_up, likelihood, name: As in `vae`.
        num_pseudo_inputs: Components of the prior.
    """
    likelihood = losses.get(likelihood)
    parts = network.build(latent_dim, code=False, likelihood=likelihood)
    low, high = np.clip(likelihood.support, -3.0, 3.0).tolist()
    row_shape = networks.sizes(network.input_shape, "input_shape")
    prior = priors.VampPrior(row_shape, num_pseudo_inputs, low, high, name="prior")
    bottleneck = layers.GaussianBottleneck(
        latent_dim, beta=beta, warm_up=warm_up, prior=prior, name="bottleneck"
    )
    return Autoencoder(**parts, bottleneck=bottleneck, likelihood=likelihood, name=name)
