"""Encoder and decoder networks, as Keras models: each function gives `(encoder, decoder)`.

The classes of `architectures` are the same networks still to be made, as values that the functions
of `autoencoders.models` build their models from.
"""

from autoencoders.networks.architectures import (
    MLP,
    Architecture,
    Conv,
    Conv1D,
    MLPGrid,
    Recurrent,
    Recursive,
)
from autoencoders.networks.convolutional import conv, conv1d, conv_discriminator
from autoencoders.networks.dense import DenseTranspose, discriminator, mlp, sizes, tie
from autoencoders.networks.recurrent import RecurrentDecoder, recurrent
from autoencoders.networks.recursive import RecursiveDecoder, RecursiveEncoder, recursive
from autoencoders.networks.sequences import SequenceDecoder

__all__ = [
    "MLP",
    "Architecture",
    "Conv",
    "Conv1D",
    "DenseTranspose",
    "MLPGrid",
    "Recurrent",
    "RecurrentDecoder",
    "Recursive",
    "RecursiveDecoder",
    "RecursiveEncoder",
    "SequenceDecoder",
    "conv",
    "conv1d",
    "conv_discriminator",
    "discriminator",
    "mlp",
    "recurrent",
    "recursive",
    "sizes",
    "tie",
]
