"""Pictures of models. Each function returns a `matplotlib.figure.Figure`; `savefig` writes it."""

from autoencoders.plots.curves import anomalies, errors, history
from autoencoders.plots.explanations import explanation
from autoencoders.plots.images import (
    interpolation,
    manifold,
    perturbation,
    reconstructions,
    samples,
)
from autoencoders.plots.scatter import latent

__all__ = [
    "anomalies",
    "errors",
    "explanation",
    "history",
    "interpolation",
    "latent",
    "manifold",
    "perturbation",
    "reconstructions",
    "samples",
]
