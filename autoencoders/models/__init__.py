"""The models: a builder for each objective, over any network it makes sense with.

    >>> from autoencoders import models, networks
    >>> model = models.vae(networks.Conv((28, 28, 1), filters=(32, 64)), latent_dim=10)

A name of the zoo is a card in `zoo_configs/`: a builder, an architecture, and the arguments of
both. One file holds one family, or one paper of a family that has many.
"""

from autoencoders.models.adversarial import aae, semi_supervised_aae, vae_gan
from autoencoders.models.denoising import denoising_ae
from autoencoders.models.discrete import dvae, vq_vae
from autoencoders.models.regularized import contractive_ae, k_sparse_ae, kl_sparse_ae, sparse_ae
from autoencoders.models.stacked import stacked_ae, stacked_rbm
from autoencoders.models.undercomplete import ae
from autoencoders.models.variational import cvae, factor_vae, iwae, vae, vamp_vae, wae

__all__ = [
    "aae",
    "ae",
    "contractive_ae",
    "cvae",
    "denoising_ae",
    "dvae",
    "factor_vae",
    "iwae",
    "k_sparse_ae",
    "kl_sparse_ae",
    "semi_supervised_aae",
    "sparse_ae",
    "stacked_ae",
    "stacked_rbm",
    "vae",
    "vae_gan",
    "vamp_vae",
    "vq_vae",
    "wae",
]
