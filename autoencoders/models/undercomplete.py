"""Undercomplete autoencoders: a code smaller than the input is the only constraint.

Loss: the mean squared error between input and reconstruction, over rows and features, as Keras
scales it, unless `compile` is given another; with a `mask_value` over the steps that are not
padding, for each row. What the networks are makes the rest:

- dense: with no hidden layers the optimum is the subspace of the leading principal components
  (Baldi & Hornik, "Neural networks and principal component analysis", Neural Networks 2, 1989);
  with several it is the deep autoencoder of Hinton & Salakhutdinov, "Reducing the dimensionality of
  data with neural networks" (Science 313, 2006), here trained without pre-training;
- convolutional: Masci, Meier, Cireşan & Schmidhuber, "Stacked convolutional auto-encoders for
  hierarchical feature extraction" (ICANN 2011), with strides in the place of max-pooling, and
  transposed convolutions in that of unpooling (Zeiler et al., "Deconvolutional networks", CVPR
  2010);
- recurrent: Srivastava, Mansimov & Salakhutdinov, "Unsupervised learning of video representations
  using LSTMs" (2015, arXiv:1502.04681); Cho et al., "Learning phrase representations using RNN
  encoder-decoder for statistical machine translation" (2014, arXiv:1406.1078);
- recursive, which merge and split instead of going step by step: Socher et al., "Dynamic pooling
  and unfolding recursive autoencoders for paraphrase detection" (NIPS 2011).
"""

from autoencoders.autoencoder import Autoencoder
from autoencoders.networks import Architecture
from autoencoders.registry import register
from autoencoders.types import Activation


@register
def ae(
    network: Architecture, latent_dim: int = 32, *, output: Activation = "linear", name: str = "ae"
) -> Autoencoder:
    """Autoencoder.

    Args:
        network: The encoder and the decoder, still to be made.
        latent_dim: Number of linear code units.
        output: Activation of the decoder's output; "linear" for data of any range.
        name: Name of the model.
    """
    return Autoencoder(**network.build(latent_dim, output=output), name=name)
