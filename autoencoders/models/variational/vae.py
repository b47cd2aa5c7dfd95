"""The variational autoencoder, and its kin that weigh the terms of its loss in other ways.

Loss: −ELBO = −E_q(z|x)[log p(x|z)] + KL(q(z|x) ‖ p(z)), in nats, summed over features and latent
dimensions, averaged over rows, with reparameterised samples of z. `reconstruction_loss` is the
first term, `kl_loss` the second. Kingma & Welling, "Auto-Encoding Variational Bayes" (2013,
arXiv:1312.6114); for series Fabius & van Amersfoort, "Variational Recurrent Auto-Encoders" (2014,
arXiv:1412.6581).

The first term is computed by the likelihood (`losses`), which
`autoencoder.objective.reconstruction_loss` calls; the second by `GaussianBottleneck.kl_terms`
(`layers.gaussian`), whose closed form is `distributions.divergences.gaussian_kl`;
`training.step.total` adds them.

These models differ in their arguments alone:

- β-VAE (`beta_vae_*`): beta · KL. Higgins et al., "beta-VAE" (ICLR 2017); with `capacity`,
  beta · |KL − C|: Burgess et al. (2018, arXiv:1804.03599), taken for each row, where
  `disentanglement_lib` (Locatello et al. 2019, arXiv:1811.12359) has the batch's mean KL;
- β-TCVAE (`beta_tcvae_*`): the KL as `mutual_information_loss` + beta · total correlation
  (`total_correlation_loss`) + `dimension_wise_kl_loss`. Chen et al. (2018, arXiv:1802.04942), whose
  code (https://github.com/rtqichen/beta-tcvae) trains for 50 epochs in batches of 2,048 rows;
- InfoVAE (`info_vae_*`): (1 − α) KL + (α + λ − 1) MMD (`mmd_loss`): `beta` and `mmd` here. Zhao,
  Song & Ermon (2017, arXiv:1706.02262);
- DIP-VAE (`dip_vae_*`): −ELBO + `dip_loss`, the distance of the codes' covariance from the
  identity. Kumar, Sattigeri & Balakrishnan (2018, arXiv:1711.00848).
"""

from autoencoders import layers, losses
from autoencoders.autoencoder import Autoencoder
from autoencoders.networks import Architecture
from autoencoders.registry import register


@register
def vae(
    network: Architecture,
    latent_dim: int = 2,
    *,
    beta: float = 1.0,
    warm_up: int = 0,
    free_bits: float = 0.0,
    capacity: float | None = None,
    capacity_steps: int = 0,
    total_correlation: float | None = None,
    dataset_size: int = 60_000,
    mmd: float = 0.0,
    dip: tuple[float, float] | None = None,
    dip_kind: int = 1,
    num_samples: int = 1,
    likelihood: str | losses.Likelihood = "bernoulli",
    name: str = "vae",
) -> Autoencoder:
    """Variational autoencoder.

    Args:
        network: The encoder and the decoder, still to be made. Two linear maps of the encoder's
            output give the posterior's mean and log-variance.
        latent_dim: Number of latent dimensions.
        beta: Weight of the KL term; 1 for the ELBO.
        warm_up: Training steps in which that weight grows linearly from 0.
        free_bits: Nats of each latent dimension that cost nothing.
        capacity: The nats towards which the KL is drawn.
        capacity_steps: Training steps in which the capacity grows from 0.
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
        name: Name of the model.
    """
    likelihood = losses.get(likelihood)
    parts = network.build(latent_dim, code=False, likelihood=likelihood)
    schedule = {"warm_up": warm_up, "free_bits": free_bits, "capacity": capacity}
    schedule |= {"capacity_steps": capacity_steps, "num_samples": num_samples}
    if total_correlation is None:
        bottleneck = layers.GaussianBottleneck(latent_dim, beta=beta, **schedule, name="bottleneck")
    else:
        weights = {"alpha": beta, "beta": total_correlation, "gamma": beta, **schedule}
        bottleneck = layers.TotalCorrelationBottleneck(
            latent_dim, dataset_size=dataset_size, **weights, name="bottleneck"
        )
    penalties = []
    if mmd:
        penalties.append(layers.MMDPenalty(mmd, kernel="radial_basis", name="mmd_penalty"))
    if dip is not None:
        if not isinstance(dip, (list, tuple)) or len(dip) != 2:
            raise ValueError(f"`dip` must be two weights such as (10, 100), got {dip!r}.")
        penalties.append(layers.DIPPenalty(*dip, kind=dip_kind, name="dip_penalty"))
    return Autoencoder(
        **parts, bottleneck=bottleneck, penalties=penalties, likelihood=likelihood, name=name
    )
