"""How well the dimensions of a code tell factors of variation apart.

The scores are used by name: `autoencoders.metrics.mig`. All but the FactorVAE score take arrays:
codes `(n, d)`, float, and the factors of the same rows `(n, k)`, integers that name the values.
None depends on the order of the dimensions, nor on their scales (but for the FactorVAE score's
threshold). The protocols are those of Locatello et al., "Challenging common assumptions in the
unsupervised learning of disentangled representations" (2019, arXiv:1811.12359), unless it is said
otherwise; like theirs, they count all factors as discrete.
"""

from autoencoders.metrics.disentanglement.classifiers import dci, sap
from autoencoders.metrics.disentanglement.factor_vae import factor_vae_score
from autoencoders.metrics.disentanglement.information import mig, modularity, mutual_information
from autoencoders.metrics.disentanglement.scores import disentanglement_scores

__all__ = [
    "dci",
    "disentanglement_scores",
    "factor_vae_score",
    "mig",
    "modularity",
    "mutual_information",
    "sap",
]
