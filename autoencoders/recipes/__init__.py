"""Carrying out a card's recipe: train a model, write its weights, measure them, judge them.

What `autoencoders train`, `reproduce` and `verify` have in common, so that a figure on a card, its
reproduction and its verification are one computation.
"""

from autoencoders.recipes.figures import (
    SAME_WEIGHTS,
    Baseline,
    baseline,
    deviations,
    measure,
    passes,
    same,
    same_bar,
    within,
)
from autoencoders.recipes.publishing import publish, published, save_weights
from autoencoders.recipes.runs import Data, Run, checkpoint, load, train

__all__ = [
    "SAME_WEIGHTS",
    "Baseline",
    "Data",
    "Run",
    "baseline",
    "checkpoint",
    "deviations",
    "load",
    "measure",
    "passes",
    "publish",
    "published",
    "same",
    "same_bar",
    "save_weights",
    "train",
    "within",
]
