"""Lets `keras.saving.load_model` find every class of this package after a bare import.

Keras deserialises only classes that are registered when loading begins, and registering a class
means importing it, and Keras with it, which takes seconds. So `import autoencoders` announces the
names alone: as soon as Keras is imported, by whomever, each name gets a stand-in whose
`from_config` imports the real class.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

import wrapt

PACKAGE = "autoencoders"

# Every serialisable class -> the module that defines and registers it. A test keeps it complete.
MODULE_OF_CLASS = {
    "Autoencoder": "autoencoders.autoencoder.base",
    "AnomalyDetector": "autoencoders.anomaly.detector",
    "SeriesAnomalyDetector": "autoencoders.anomaly.series.detector",
    "DenoisingEnsemble": "autoencoders.anomaly.ensemble",
    "RestrictedBoltzmannMachine": "autoencoders.models.stacked.machine",
    "AdversarialAutoencoder": "autoencoders.models.adversarial.codes",
    "SemiSupervisedAdversarialAutoencoder": "autoencoders.models.adversarial.semi_supervised",
    "VAEGAN": "autoencoders.models.adversarial.similarity",
    "ConditionalAutoencoder": "autoencoders.models.variational.conditional",
    "FactorVAE": "autoencoders.models.variational.factor",
    "ImportanceWeightedAutoencoder": "autoencoders.models.variational.importance",
    "ClassAndStyle": "autoencoders.layers.bottlenecks",
    "TopK": "autoencoders.layers.bottlenecks",
    "GaussianBottleneck": "autoencoders.layers.gaussian",
    "TotalCorrelationBottleneck": "autoencoders.layers.gaussian",
    "StackedAutoencoder": "autoencoders.models.stacked.autoencoders",
    "StackedBoltzmannMachines": "autoencoders.models.stacked.boltzmann",
    "GumbelSoftmax": "autoencoders.layers.gumbel",
    "VectorQuantizer": "autoencoders.layers.codebook",
    "GaussianNoise": "autoencoders.layers.corruption",
    "MaskingNoise": "autoencoders.layers.corruption",
    "SaltAndPepperNoise": "autoencoders.layers.corruption",
    "ActivityPenalty": "autoencoders.layers.penalties",
    "ContractivePenalty": "autoencoders.layers.penalties",
    "DIPPenalty": "autoencoders.layers.penalties",
    "MMDPenalty": "autoencoders.layers.penalties",
    "SparsityPenalty": "autoencoders.layers.penalties",
    "Bernoulli": "autoencoders.losses",
    "ContinuousBernoulli": "autoencoders.losses",
    "Gaussian": "autoencoders.losses",
    "Laplace": "autoencoders.losses",
    "SquaredError": "autoencoders.losses",
    "DenseTranspose": "autoencoders.networks.dense",
    "RecurrentDecoder": "autoencoders.networks.recurrent",
    "RecursiveDecoder": "autoencoders.networks.recursive",
    "RecursiveEncoder": "autoencoders.networks.recursive",
    "GaussianMixture": "autoencoders.distributions.mixture",
    "StandardNormal": "autoencoders.distributions.priors",
    "SwissRoll": "autoencoders.distributions.priors",
    "UniformCodes": "autoencoders.distributions.priors",
    "VampPrior": "autoencoders.distributions.priors",
    "MaskedConv2D": "autoencoders.distributions.pixelcnn",
    "PixelCNN": "autoencoders.distributions.pixelcnn",
}


def announce_classes() -> None:
    """Announce the classes now if Keras is imported already, otherwise when it will be."""
    wrapt.when_imported("keras")(_register_stand_ins)


def _register_stand_ins(keras: ModuleType) -> None:
    known = keras.saving.get_custom_objects()
    for name, module in MODULE_OF_CLASS.items():
        known.setdefault(f"{PACKAGE}>{name}", _stand_in(name, module))


def _stand_in(name: str, module: str) -> type:
    def from_config(cls: type, config: dict[str, object]) -> object:
        return getattr(import_module(module), name).from_config(config)

    # A plain class, never instantiated: the real class replaces it in Keras's table once imported.
    return type(name, (), {"from_config": classmethod(from_config)})
