"""Stacked autoencoders: pre-trained greedily, layer by layer, then unrolled and fine-tuned."""

from autoencoders.models.stacked.autoencoders import StackedAutoencoder, stacked_ae
from autoencoders.models.stacked.boltzmann import StackedBoltzmannMachines, stacked_rbm
from autoencoders.models.stacked.machine import RestrictedBoltzmannMachine

__all__ = [
    "RestrictedBoltzmannMachine",
    "StackedAutoencoder",
    "StackedBoltzmannMachines",
    "stacked_ae",
    "stacked_rbm",
]
