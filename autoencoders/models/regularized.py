"""Regularized autoencoders: a penalty or a rule on the code, which may be wider than the input.

Loss: the mean squared error between input and reconstruction, as Keras scales it, plus

- `activity_loss`: l1 · Σ|z| + l2 · Σz² of a row's code units (`sparse_mlp`, `l2_mlp`): an L1 norm
  as in Ranzato et al., "Efficient learning of sparse representations" (NIPS 2006);
- `sparsity_loss`: weight · Σ_j KL(ρ ‖ ρ̂_j), with ρ̂_j the mean activation of code unit j in the
  batch (`kl_sparse_mlp`): Ng, "Sparse autoencoder" (CS294A lecture notes, 2011);
- nothing, but only the k largest code units pass (`k_sparse_mlp`): Makhzani & Frey, "k-Sparse
  autoencoders" (2013, arXiv:1312.5663);
- `contractive_loss`: weight · ‖∂z/∂x‖² (`contractive_mlp`): Rifai et al., "Contractive
  auto-encoders" (ICML 2011).

In the last two, as in their papers, the decoder's weights are the encoder's, transposed. A
contractive encoder could else shrink, and the decoder undo it, until the penalty says nothing.

The terms are sums over code units and means over rows. A weight that the papers give beside a
squared error summed over features is as many times smaller here as a row has features.
"""

import keras
from keras import ops

from autoencoders import layers, networks
from autoencoders.autoencoder import Autoencoder
from autoencoders.registry import register


@register
def sparse_mlp(
    input_shape=(28, 28, 1),
    latent_dim=64,
    hidden_units=(),
    *,
    l1=1e-4,
    l2=0.0,
    activation="relu",
    code_activation="relu",
    output="linear",
    encoder=None,
    decoder=None,
    name="sparse_mlp",
):
    """Dense autoencoder with a penalty on the activity of its code.

    Args:
        input_shape: Shape of one row, without the batch axis.
        latent_dim: Number of code units.
        hidden_units: Units of the encoder's hidden layers; the decoder mirrors them.
        l1, l2: Weights of the code's L1 norm and of its squared L2 norm.
        activation: Activation of the hidden layers.
        code_activation: Activation of the code.
        output: Activation of the decoder's output; "linear" for data of any range.
        encoder, decoder: Your own networks in place of the dense ones.
        name: Name of the model.
    """
    encoder, decoder = networks.mlp(
        input_shape,
        latent_dim,
        hidden_units,
        activation=activation,
        code_activation=code_activation,
        output=output,
        encoder=encoder,
        decoder=decoder,
    )
    penalty = layers.ActivityPenalty(l1=l1, l2=l2, name="activity_penalty")
    return Autoencoder(encoder, decoder, penalties=[penalty], name=name)


@register
def kl_sparse_mlp(
    input_shape=(28, 28, 1),
    latent_dim=256,
    hidden_units=(),
    *,
    sparsity=0.05,
    weight=0.01,
    activation="sigmoid",
    output="linear",
    encoder=None,
    decoder=None,
    name="kl_sparse_mlp",
):
    """Dense autoencoder whose code units are rarely active, each about as often.

    Args:
        input_shape: Shape of one row, without the batch axis.
        latent_dim: Number of sigmoid code units.
        hidden_units: Units of the encoder's hidden layers; the decoder mirrors them.
        sparsity: The mean activation ρ that every code unit is to have.
        weight: Weight of the penalty.
        activation: Activation of the hidden layers.
        output: Activation of the decoder's output; "linear" for data of any range.
        encoder: Your own network; its code must lie between 0 and 1.
        decoder: Your own network.
        name: Name of the model.
    """
    encoder, decoder = networks.mlp(
        input_shape,
        latent_dim,
        hidden_units,
        activation=activation,
        code_activation="sigmoid",
        output=output,
        encoder=encoder,
        decoder=decoder,
    )
    penalty = layers.SparsityPenalty(sparsity, weight, name="sparsity_penalty")
    return Autoencoder(encoder, decoder, penalties=[penalty], name=name)


@register
def k_sparse_mlp(
    input_shape=(28, 28, 1),
    latent_dim=1000,
    hidden_units=(),
    *,
    k=25,
    inference_k=None,
    tied_weights=True,
    activation="relu",
    output="linear",
    encoder=None,
    decoder=None,
    name="k_sparse_mlp",
):
    """Dense autoencoder that keeps the k largest of its linear code units.

    Centre the rows: else units that respond to the mean row are among the largest everywhere, and
    many others never fire.

    Args:
        input_shape: Shape of one row, without the batch axis.
        latent_dim: Number of linear code units, or the shape of several vectors, of each of which
            k units are kept.
        hidden_units: Units of the encoder's hidden layers; the decoder mirrors them.
        k: Code units kept while training.
        inference_k: Code units kept by `encode` and `predict`; `k` unless given.
        tied_weights: Whether the decoder's kernels are the encoder's, transposed; otherwise that of
            its first layer begins so, by which fewer units never fire (Gao et al., "Scaling and
            evaluating sparse autoencoders", 2024, arXiv:2406.04093). Of no effect where one of the
            networks is your own.
        activation: Activation of the hidden layers.
        output: Activation of the decoder's output; "linear" for data of any range.
        encoder, decoder: Your own networks in place of the dense ones.
        name: Name of the model.
    """
    own = encoder is None and decoder is None
    encoder, decoder = networks.mlp(
        input_shape,
        latent_dim,
        hidden_units,
        activation=activation,
        output=output,
        tied_weights=tied_weights,
        encoder=encoder,
        decoder=decoder,
    )
    if own and not tied_weights:
        first = next(layer for layer in decoder.layers if isinstance(layer, keras.layers.Dense))
        first.kernel.assign(ops.transpose(encoder.get_layer("code").kernel))
    bottleneck = layers.TopK(k, inference_k, name="bottleneck")
    return Autoencoder(encoder, decoder, bottleneck=bottleneck, name=name)


@register
def contractive_mlp(
    input_shape=(28, 28, 1),
    latent_dim=256,
    hidden_units=(),
    *,
    weight=1e-3,
    tied_weights=True,
    activation="sigmoid",
    output="linear",
    encoder=None,
    decoder=None,
    name="contractive_mlp",
):
    """Dense autoencoder whose code changes little where the input does.

    The penalty is exact without hidden layers, and estimated without bias with them.

    Args:
        input_shape: Shape of one row, without the batch axis.
        latent_dim: Number of code units.
        hidden_units: Units of the encoder's hidden layers; the decoder mirrors them.
        weight: Weight of the squared Frobenius norm of the code's Jacobian.
        tied_weights: Whether the decoder's kernels are the encoder's, transposed; of no effect
            where one of the networks is your own.
        activation: Activation of the hidden layers and of the code.
        output: Activation of the decoder's output; "linear" for data of any range.
        encoder, decoder: Your own networks in place of the dense ones.
        name: Name of the model.
    """
    encoder, decoder = networks.mlp(
        input_shape,
        latent_dim,
        hidden_units,
        activation=activation,
        code_activation=activation,
        output=output,
        tied_weights=tied_weights,
        encoder=encoder,
        decoder=decoder,
    )
    penalty = layers.ContractivePenalty(weight, name="contractive_penalty")
    return Autoencoder(encoder, decoder, penalties=[penalty], name=name)
