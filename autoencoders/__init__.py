"""The Keras autoencoder zoo.

    >>> import autoencoders
    >>> model = autoencoders.get("vae_mlp", weights="mnist")

Importing this package and listing its models imports neither Keras nor TensorFlow; each name
below is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from autoencoders import serialization

if TYPE_CHECKING:  # what `__getattr__` gives, for editors and type checkers
    from autoencoders import callbacks, datasets, layers, losses, metrics, networks, plots
    from autoencoders.anomaly.detector import AnomalyDetector
    from autoencoders.anomaly.series.detector import SeriesAnomalyDetector
    from autoencoders.autoencoder import Autoencoder
    from autoencoders.registry import register
    from autoencoders.zoo import get, info, list_models, list_weights, load

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
_SUBMODULES = ("callbacks", "datasets", "layers", "losses", "metrics", "networks", "plots")

__all__ = [
    "AnomalyDetector",
    "Autoencoder",
    "SeriesAnomalyDetector",
    "__version__",
    "callbacks",
    "datasets",
    "get",
    "info",
    "layers",
    "list_models",
    "list_weights",
    "load",
    "losses",
    "metrics",
    "networks",
    "plots",
    "register",
]

serialization.announce_classes()


if not TYPE_CHECKING:  # type checkers would take any name for one that this function gives

    def __getattr__(name: str) -> Any:
        if name in _MODULE_OF:
            value = getattr(import_module(_MODULE_OF[name]), name)
        elif name in _SUBMODULES:
            value = import_module(f"autoencoders.{name}")
        else:
            raise AttributeError(f"module 'autoencoders' has no attribute {name!r}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
