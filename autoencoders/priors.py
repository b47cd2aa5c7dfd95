"""Prior distributions over the latent space, and `get`, which knows them by name."""

from autoencoders.distributions.mixture import GaussianMixture
from autoencoders.distributions.priors import (
    Prior,
    StandardNormal,
    SwissRoll,
    UniformCodes,
    VampPrior,
)
from autoencoders.registry import unknown

__all__ = [
    "GaussianMixture",
    "Prior",
    "StandardNormal",
    "SwissRoll",
    "UniformCodes",
    "VampPrior",
    "get",
]

_PRIORS = {
    "normal": StandardNormal,
    "mixture": GaussianMixture.flower,
    "swiss_roll": SwissRoll,
}


def get(prior: Prior | str) -> Prior:
    """A prior from itself or from its name: "normal", or in the plane "mixture", "swiss_roll"."""
    if not isinstance(prior, str) and hasattr(prior, "sample"):
        return prior
    if not isinstance(prior, str) or prior not in _PRIORS:
        raise ValueError(unknown("prior", prior, _PRIORS))
    return _PRIORS[prior]()
