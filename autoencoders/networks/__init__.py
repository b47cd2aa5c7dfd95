"""Encoder and decoder networks, as Keras models: each function gives `(encoder, decoder)`."""

from autoencoders.networks.convolutional import conv, conv1d, conv_discriminator
from autoencoders.networks.dense import DenseTranspose, discriminator, mlp, sizes, tie
from autoencoders.networks.recurrent import RecurrentDecoder, recurrent
from autoencoders.networks.recursive import RecursiveDecoder, RecursiveEncoder, recursive
from autoencoders.networks.sequences import SequenceDecoder

__all__ = [
    "DenseTranspose",
    "RecurrentDecoder",
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
