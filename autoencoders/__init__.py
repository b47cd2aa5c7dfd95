"""The Keras autoencoder zoo.

    >>> import autoencoders
    >>> model = autoencoders.get("vae_mlp", weights="mnist")

Importing this package and listing its models imports neither Keras nor TensorFlow; each name
below is loaded when it is first used.
"""

from importlib import import_module

from autoencoders import serialization

__version__ = "0.1.0"

_MODULE_OF = {
    "AnomalyDetector": "autoencoders.anomaly.detector",
    "SeriesAnomalyDetector": "autoencoders.anomaly.series.detector",
    "Autoencoder": "autoencoders.autoencoder",
    "get": "autoencoders.zoo",
    "info": "autoencoders.zoo",
    "list_models": "autoencoders.zoo",
    "list_weights": "autoencoders.zoo",
    "load": "autoencoders.zoo",
    "register": "autoencoders.registry",
}
_SUBMODULES = ("datasets", "layers", "losses", "metrics", "networks", "plots")

__all__ = ["__version__", *_MODULE_OF, *_SUBMODULES]

serialization.announce_classes()


def __getattr__(name):
    if name in _MODULE_OF:
        value = getattr(import_module(_MODULE_OF[name]), name)
    elif name in _SUBMODULES:
        value = import_module(f"autoencoders.{name}")
    else:
        raise AttributeError(f"module 'autoencoders' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__():
    return sorted(__all__)
