"""Callbacks for `fit`, and the schedules that they follow.

>>> from autoencoders import callbacks
>>> anneal = callbacks.Anneal("bottleneck.beta", callbacks.Linear(0.0, 1.0, over=10))
>>> model.fit(x, epochs=50, callbacks=[anneal])
"""

from autoencoders.callbacks.anneal import Anneal
from autoencoders.callbacks.backup import Backup
from autoencoders.callbacks.schedules import Cosine, Cyclical, Linear, Schedule, Sigmoid
from autoencoders.training.divergence import DivergenceGuard

__all__ = [
    "Anneal",
    "Backup",
    "Cosine",
    "Cyclical",
    "DivergenceGuard",
    "Linear",
    "Schedule",
    "Sigmoid",
]
