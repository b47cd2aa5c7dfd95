"""Pictures of models. Each function returns a `matplotlib.figure.Figure`; `savefig` writes it."""

from autoencoders.plots.curves import errors, history
from autoencoders.plots.images import manifold, reconstructions, samples
from autoencoders.plots.scatter import latent

__all__ = ["errors", "history", "latent", "manifold", "reconstructions", "samples"]
