"""Regularized autoencoders: a penalty or a rule on the code, which may be wider than the input.

Loss: the mean squared error between input and reconstruction, as Keras scales it, plus

- `activity_loss`: l1 · Σ|z| + l2 · Σz² of a row's code units (`sparse_ae`). Sparse codes as in
  Ranzato et al., "Efficient learning of sparse representations" (NIPS 2006), who have no L1 norm
  but a logistic function of each unit's history. The weight of `sparse_mlp` is that of Chollet,
  "Building autoencoders in Keras" (blog.keras.io, 2016); that of `l2_mlp` is the weight decay in
  the exercise to Ng's notes;
- `sparsity_loss`: weight · Σ_j KL(ρ ‖ ρ̂_j), with ρ̂_j the mean activation of code unit j in the
  batch (`kl_sparse_ae`): Ng, "Sparse autoencoder" (CS294A lecture notes, 2011);
- nothing, but only the k largest code units pass (`k_sparse_ae`): Makhzani & Frey, "k-Sparse
  autoencoders" (2013, arXiv:1312.5663);
- `contractive_loss`: weight · ‖∂z/∂x‖² (`contractive_ae`): Rifai et al., "Contractive
  auto-encoders" (ICML 2011).

In the last two, as in their papers, the decoder's weights are the encoder's, transposed. A
contractive encoder could otherwise shrink, and the decoder undo it, until the penalty says nothing.

The terms are sums over code units and means over rows. A weight that the papers give beside a
squared error summed over features is as many times smaller here as a row has features.
"""

from typing import Any

import keras
from keras import ops

from autoencoders import layers
from autoencoders.autoencoder import Autoencoder
from autoencoders.networks import MLP, Architecture, Conv, Recursive
from autoencoders.registry import register
from autoencoders.types import Activation, Sizes


@register
def sparse_ae(
    network: Architecture,
    latent_dim: int = 64,
    *,
    l1: float = 1e-4,
    l2: float = 0.0,
    code_activation: Activation = "relu",
    output: Activation = "linear",
    name: str = "sparse_ae",
) -> Autoencoder:
    """Autoencoder with a penalty on the activity of its code.

    Args:
        network, output, name: As in `ae`.
        latent_dim: Number of code units.
        l1: Weight of the code's L1 norm.
        l2: Weight of the code's squared L2 norm.
        code_activation: Activation of the code.
    """
    parts = network.build(latent_dim, code_activation=code_activation, output=output)
    penalty = layers.ActivityPenalty(l1=l1, l2=l2, name="activity_penalty")
    return Autoencoder(**parts, penalties=[penalty], name=name)


@register
def kl_sparse_ae(
    network: Architecture,
    latent_dim: int = 256,
    *,
    sparsity: float = 0.05,
    weight: float = 0.01,
    output: Activation = "linear",
    name: str = "kl_sparse_ae",
) -> Autoencoder:
    """Autoencoder whose code units are rarely active, each about as often.

    The code of an encoder of your own must lie between 0 and 1.

    Args:
        network, output, name: As in `ae`.
        latent_dim: Number of sigmoid code units.
        sparsity: The mean activation ρ that every code unit is to have.
        weight: Weight of the penalty.
    """
    parts = network.build(latent_dim, code_activation="sigmoid", output=output)
    penalty = layers.SparsityPenalty(sparsity, weight, name="sparsity_penalty")
    return Autoencoder(**parts, penalties=[penalty], name=name)


@register
def k_sparse_ae(
    network: Architecture,
    latent_dim: Sizes = 1000,
    *,
    k: int = 25,
    inference_k: int | None = None,
    tied_weights: bool = True,
    output: Activation = "linear",
    name: str = "k_sparse_ae",
) -> Autoencoder:
    """Autoencoder that keeps the k largest of its linear code units.

    Centre the rows: otherwise units that respond to the mean row are among the largest everywhere,
    and many others never fire.

    Args:
        network, output, name: As in `ae`.
        latent_dim: Number of linear code units; with dense networks also the shape of several
            vectors, of each of which k units are kept.
        k: Code units kept while training.
        inference_k: Code units kept by `encode` and `predict`; `k` unless given.
        tied_weights: Whether the decoder's kernels are the encoder's, transposed; otherwise that of
            the first dense layer of dense and convolutional decoders begins so, by which fewer
            units never fire (Gao et al., "Scaling and evaluating sparse autoencoders", 2024,
            arXiv:2406.04093). Of no effect where one of the networks is your own.
    """
    parts = network.build(latent_dim, output=output, tied_weights=tied_weights)
    own = network.encoder is not None or network.decoder is not None
    if isinstance(network, (MLP, Conv)) and not (tied_weights or own):
        dense = keras.layers.Dense
        first = next(layer for layer in parts["decoder"].layers if isinstance(layer, dense))
        first.kernel.assign(ops.transpose(parts["encoder"].get_layer("code").kernel))
    return Autoencoder(
        **parts, bottleneck=layers.TopK(k, inference_k, name="bottleneck"), name=name
    )


@register
def contractive_ae(
    network: Architecture,
    latent_dim: int = 256,
    *,
    weight: float = 1e-3,
    code_activation: Activation = None,
    tied_weights: bool = True,
    output: Activation = "linear",
    name: str = "contractive_ae",
) -> Autoencoder:
    """Autoencoder whose code changes little where the input does.

    The penalty is exact for dense networks without hidden layers, and otherwise estimated without
    bias.

    Args:
        network, output, name: As in `ae`.
        latent_dim: Number of code units.
        weight: Weight of the squared Frobenius norm of the code's Jacobian.
        code_activation: Activation of the code; that of the hidden layers unless given.
        tied_weights: Whether the decoder's kernels are the encoder's, transposed; of no effect
            where one of the networks is your own.
    """
    if code_activation is None:
        # Recurrent layers are tanh, and networks of one's own end with a code already.
        described = isinstance(network, (MLP, Conv, Recursive))
        code_activation = network.activation if described else "tanh"
    ends: dict[str, Any] = {"code_activation": code_activation, "output": output}
    parts = network.build(latent_dim, tied_weights=tied_weights, **ends)
    penalty = layers.ContractivePenalty(weight, name="contractive_penalty")
    return Autoencoder(**parts, penalties=[penalty], name=name)
