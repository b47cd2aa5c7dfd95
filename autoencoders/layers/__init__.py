"""The parts that go into an autoencoder's slots: corruption, bottleneck, penalties."""

from autoencoders.layers.bottlenecks import Bottleneck, ClassAndStyle, TopK
from autoencoders.layers.codebook import VectorQuantizer
from autoencoders.layers.corruption import GaussianNoise, MaskingNoise, SaltAndPepperNoise
from autoencoders.layers.encoding import Drawn, Encoding, Inputs
from autoencoders.layers.gaussian import GaussianBottleneck, TotalCorrelationBottleneck
from autoencoders.layers.gumbel import GumbelSoftmax
from autoencoders.layers.penalties import (
    ActivityPenalty,
    ContractivePenalty,
    DIPPenalty,
    MMDPenalty,
    Penalty,
    SparsityPenalty,
)

__all__ = [
    "ActivityPenalty",
    "Bottleneck",
    "ClassAndStyle",
    "ContractivePenalty",
    "DIPPenalty",
    "Drawn",
    "Encoding",
    "GaussianBottleneck",
    "GaussianNoise",
    "GumbelSoftmax",
    "Inputs",
    "MMDPenalty",
    "MaskingNoise",
    "Penalty",
    "SaltAndPepperNoise",
    "SparsityPenalty",
    "TopK",
    "TotalCorrelationBottleneck",
    "VectorQuantizer",
]
