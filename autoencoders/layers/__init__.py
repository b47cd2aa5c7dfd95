"""The parts that go into an autoencoder's slots: corruption, bottleneck, penalties."""

from autoencoders.layers.bottlenecks import Bottleneck, GaussianBottleneck
from autoencoders.layers.corruption import GaussianNoise, MaskingNoise, SaltAndPepperNoise
from autoencoders.layers.penalties import ActivityPenalty, Penalty

__all__ = [
    "ActivityPenalty",
    "Bottleneck",
    "GaussianBottleneck",
    "GaussianNoise",
    "MaskingNoise",
    "Penalty",
    "SaltAndPepperNoise",
]
