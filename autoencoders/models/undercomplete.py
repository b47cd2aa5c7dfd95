"""Undercomplete autoencoders: a code smaller than the input is the only constraint.

Loss: the mean squared error between input and reconstruction, over rows and features, as Keras
scales it, unless `compile` is given another. With no hidden layers the optimum is the subspace of
the leading principal components (Baldi & Hornik, "Neural networks and principal component
analysis", Neural Networks 2, 1989); with several it is the deep autoencoder of Hinton &
Salakhutdinov, "Reducing the dimensionality of data with neural networks" (Science 313, 2006),
here trained without pre-training.
"""

from autoencoders import networks
from autoencoders.autoencoder import Autoencoder
from autoencoders.registry import register


@register
def ae_mlp(
    input_shape=(28, 28, 1),
    latent_dim=32,
    hidden_units=(256,),
    *,
    activation="relu",
    output="linear",
    encoder=None,
    decoder=None,
    name="ae_mlp",
):
    """Dense autoencoder.

    Args:
        input_shape: Shape of one row, without the batch axis.
        latent_dim: Number of linear code units.
        hidden_units: Units of the encoder's hidden layers; the decoder mirrors them.
        activation: Activation of the hidden layers.
        output: Activation of the decoder's output; "linear" for data of any range.
        encoder, decoder: Your own networks in place of the dense ones.
        name: Name of the model.
    """
    encoder, decoder = networks.mlp(
        input_shape,
        latent_dim,
        hidden_units,
        activation=activation,
        output=output,
        encoder=encoder,
        decoder=decoder,
    )
    return Autoencoder(encoder, decoder, name=name)
