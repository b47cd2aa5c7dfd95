"""Discrete autoencoders: the code is made of vectors of a codebook, so that it can be counted.

- VQ-VAE (`vq_vae`): −log p(x|z) + `commitment_loss` [+ `codebook_loss`], with z the codebook's
  vectors nearest to the features, and the codebook the moving averages of what is near them (or
  trained by gradient, with `codebook_loss`). Van den Oord, Vinyals & Kavukcuoglu, "Neural discrete
  representation learning" (2017, arXiv:1711.00937). The likelihood is summed over a row's features
  and the other terms over its places. Common implementations take means of both, and divide the
  squared error by the variance of the data. With a likelihood that divides by it, too
  (`losses.Gaussian(stddev)` with the data's deviation), the terms weigh much the same against each
  other here.
- Discrete VAE (`dvae`): −ELBO = −E_q(z|x)[log p(x|z)] + beta · KL(q(z|x) ‖ uniform), in nats
  (`kl_loss`), with z relaxed by Gumbel noise. Jang, Gu & Poole (2017, arXiv:1611.01144), Maddison,
  Mnih & Teh (2017, arXiv:1611.00712); with a codebook of 8,192 vectors Ramesh et al., "Zero-shot
  text-to-image generation" (2021, arXiv:2102.12092). `evaluate` draws categories, as they are.

New data: a discrete VAE draws codes from the uniform prior. Better, and the only way of a VQ-VAE,
is the autoregressive prior over codes of training data that `fit_prior` fits.
"""

from autoencoders import layers, losses
from autoencoders.autoencoder import Autoencoder
from autoencoders.networks import Architecture
from autoencoders.registry import register


@register
def vq_vae(
    network: Architecture,
    *,
    num_codes: int = 128,
    code_dim: int = 16,
    commitment: float = 0.25,
    decay: float | None = 0.99,
    revive: float | None = 0.1,
    likelihood: str | losses.Likelihood = "bernoulli",
    name: str = "vq_vae",
) -> Autoencoder:
    """Vector-quantised variational autoencoder: a grid of codes.

    Networks of your own are an encoder to features `(batch, ..., channels)`, each place of which
    gets a code, and a decoder from `(batch, ..., code_dim)`.

    Args:
        network, name: As in `ae`.
        num_codes: Vectors in the codebook.
        code_dim: Their size.
        commitment: Weight of the features' distance from their codes.
        decay: Decay of the moving averages that are the codebook; None trains it by gradient.
        revive: The share of an even use below which a code starts again; None for never.
        likelihood: As in `vae`. For instance `losses.Gaussian(stddev)` with the data's deviation.
    """
    likelihood = losses.get(likelihood)
    bottleneck = {"commitment": commitment, "decay": decay, "revive": revive, "name": "bottleneck"}
    parts = network.build_grid(code_dim, likelihood=likelihood)
    return Autoencoder(
        **parts,
        bottleneck=layers.VectorQuantizer(num_codes, code_dim, **bottleneck),
        likelihood=likelihood,
        name=name,
    )


@register
def dvae(
    network: Architecture,
    *,
    num_codes: int = 8192,
    code_dim: int | None = 32,
    beta: float = 1.0,
    warm_up: int = 0,
    temperature: float = 1.0,
    min_temperature: float = 0.5,
    anneal_steps: int = 10_000,
    straight_through: bool = True,
    likelihood: str | losses.Likelihood = "bernoulli",
    name: str = "dvae",
) -> Autoencoder:
    """Discrete variational autoencoder: categorical variables at several places.

    Without `code_dim` the encoder puts out the logits, and the decoder sees one-hot codes: the
    784-(20×10)-200 network of Jang et al. is `latent_dim=20, num_codes=10, code_dim=None,
    hidden_units=(), decoder_units=(200,)` of `dvae_mlp`. With it the variables share one codebook,
    and one map of `code_dim` features to logits, so that thousands of codes cost little.

    A batch has as many logits as rows, places and codes multiplied, several times over: with
    8,192 codes, halve the height and width of images once more rather than once less.

    Networks of your own are those of `vq_vae`; without a codebook the decoder is one from
    `(batch, ..., num_codes)`.

    Args:
        network, name: As in `ae`.
        num_codes: Categories of each variable.
        code_dim: Size of the codebook's vectors, and of the features of each variable; None for
            no codebook.
        beta, warm_up, likelihood: As in `vae`.
        temperature: Temperature of the relaxation, at first.
        min_temperature: What the temperature falls to.
        anneal_steps: The training steps in which it falls.
        straight_through: Whether the decoder sees categories in training as in evaluation, with
            the relaxed sample's gradient; otherwise it sees that sample, and learns to read more
            out of it than a category says.
    """
    likelihood = losses.get(likelihood)
    width = num_codes if code_dim is None else code_dim
    parts = network.build_grid(width, likelihood=likelihood)
    bottleneck = layers.GumbelSoftmax(
        num_codes,
        code_dim,
        beta=beta,
        warm_up=warm_up,
        temperature=temperature,
        min_temperature=min_temperature,
        anneal_steps=anneal_steps,
        straight_through=straight_through,
        name="bottleneck",
    )
    return Autoencoder(**parts, bottleneck=bottleneck, likelihood=likelihood, name=name)
