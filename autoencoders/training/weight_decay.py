"""Which variables an optimizer leaves out of its weight decay (`exclude_from_weight_decay`).

Keras's configs of optimizers do not say it: it is passed on to the copies for other phases, and
written into the config of `compile`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import keras

if TYPE_CHECKING:
    from autoencoders.training.phased_model import PhasedModel

_EXCLUSIONS = "_exclude_from_weight_decay", "_exclude_from_weight_decay_pattern"


def copied(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """A new optimizer like this one, which leaves the same variables out."""
    copy = type(optimizer).from_config(optimizer.get_config())
    source, target = _deciding(optimizer), _deciding(copy)
    for name in _EXCLUSIONS:
        if name in vars(source):
            setattr(target, name, vars(source)[name])
    return copy


def excluded(model: PhasedModel) -> dict[str, list[int]]:
    """The places of the variables that are left out among those of each phase that has such."""
    left_out = {
        phase.name: [
            number
            for number, variable in enumerate(phase.variables)
            if not _deciding(model.phase_optimizers[phase.name])._use_weight_decay(variable)
        ]
        for phase in model.phases
    }
    return {name: numbers for name, numbers in left_out.items() if numbers}


def exclude(
    model: PhasedModel,
    optimizers: Mapping[str, keras.optimizers.Optimizer],
    places: Mapping[str, list[int]],
) -> None:
    """Let optimizers that are not built yet leave out what `excluded` gave for them.

    Args:
        model: The built model whose phases they are for.
        optimizers: Optimizers by phase.
        places: The places of variables by phase.
    """
    for phase in model.phases:
        if phase.name in places:
            left_out = [phase.variables[number] for number in places[phase.name]]
            _deciding(optimizers[phase.name]).exclude_from_weight_decay(left_out)


def _deciding(optimizer):
    """The optimizer that decays: one that scales the loss leaves it to the one within."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return optimizer.inner_optimizer
    return optimizer
