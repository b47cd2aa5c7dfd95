"""The Wasserstein autoencoder: a reconstruction's cost + λ · MMD between codes and prior.

The encoder is deterministic. Tolstikhin, Bousquet, Gelly & Schölkopf, "Wasserstein auto-encoders"
(2018, arXiv:1711.01558). The authors' code (https://github.com/tolstikhin/wae) also pre-trains the
encoder and adds noise to the images, which is not done here.
"""

from autoencoders import layers, losses
from autoencoders.autoencoder import Autoencoder
from autoencoders.networks import Architecture
from autoencoders.registry import register


@register
def wae(
    network: Architecture,
    latent_dim: int = 8,
    *,
    mmd: float = 200.0,
    likelihood: str | losses.Likelihood = "squared_error",
    name: str = "wae",
) -> Autoencoder:
    """Wasserstein autoencoder, by maximum mean discrepancy.

    Args:
        network, name: As in `ae`.
        latent_dim: Number of linear code units.
        mmd: Weight of the discrepancy between codes and prior: 20 times the paper's λ, which is 10
            beside 0.05 times the squared error in the authors' code.
        likelihood: The cost of a reconstruction, as a likelihood: "squared_error" is the paper's,
            summed over features; "bernoulli" or "continuous_bernoulli" for data in [0, 1];
            "gaussian", "learned_gaussian" or "laplace" for standardised data; or a
            `losses.Likelihood`.
    """
    likelihood = losses.get(likelihood)
    parts = network.build(latent_dim, likelihood=likelihood)
    penalty = layers.MMDPenalty(mmd, name="mmd_penalty")
    return Autoencoder(**parts, penalties=[penalty], likelihood=likelihood, name=name)
