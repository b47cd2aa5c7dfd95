"""What `build` and `compile` set up: an optimizer for each phase, a mean for each logged term.

The functions that take `self` are methods of `PhasedModel`, whose class body names them.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import keras

from autoencoders import registry
from autoencoders.checks import from_file
from autoencoders.training import evidence, sources, weight_decay
from autoencoders.training.frozen import AsCompiled
from autoencoders.training.loss_terms import LossTrackers
from autoencoders.types import Data

if TYPE_CHECKING:
    from autoencoders.training.phased_model import PhasedModel

Optimizer: TypeAlias = keras.optimizers.Optimizer


def phase_optimizers(
    names: Sequence[str],
    optimizer: Optimizer | str | dict[str, Any] | None,
    own: Mapping[str, Optimizer | str | dict[str, Any]],
) -> dict[str, Optimizer]:
    """An optimizer for each phase.

    Args:
        names: The phases.
        optimizer: For the phases without one of their own: itself for the first, copies for others.
        own: Optimizers by phase.

    Raises:
        ValueError: an unknown phase, no optimizer, or one for several phases.
    """
    for name in own:
        if name not in names:
            raise ValueError(registry.unknown("phase", name, names))
    optimizer = keras.optimizers.get(optimizer)
    if optimizer is None:
        raise ValueError("`optimizer` must be a Keras optimizer or the name of one, got None.")
    shared = [name for name in names if name not in own]
    optimizers = {
        name: keras.optimizers.get(own[name])
        if name in own
        else (optimizer if name == shared[0] else weight_decay.copied(optimizer))
        for name in names
    }
    if len({id(optimizer) for optimizer in optimizers.values()}) < len(names):
        raise ValueError("Each phase needs an optimizer of its own; one is given for several.")
    return optimizers


def as_keras_took(optimizers: dict[str, Optimizer], first: Optimizer) -> dict[str, Optimizer]:
    """The phases' optimizers once Keras has taken the first phase's.

    In mixed precision Keras scales the loss for it; so do then the others for theirs.

    Args:
        optimizers: Optimizers by phase.
        first: The first phase's, as Keras keeps it.
    """
    if isinstance(first, keras.optimizers.LossScaleOptimizer):
        optimizers = {name: _scaling(own) for name, own in optimizers.items()}
    return {**optimizers, next(iter(optimizers)): first}


def _scaling(optimizer):
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return optimizer
    return keras.optimizers.LossScaleOptimizer(optimizer)


def assert_compile_called(self: PhasedModel, method_name: str | None = None) -> None:
    """As Keras's; and that the optimizer is the one that `compile` was given.

    Raises:
        ValueError: another took its place, which no phase would use.
    """
    keras.Model._assert_compile_called(self, method_name)
    if self.optimizer is not next(iter(self.phase_optimizers.values())):
        raise ValueError(
            f"The `optimizer` of {self.name!r} was replaced after `compile`: compile again with "
            "it, so that it is built for the weights. (`model.optimizer.learning_rate = ...` "
            "changes the rate alone.)"
        )


def ensure_built(self: PhasedModel, x: Data = None) -> None:
    """Build the model if it is not built: from what it knows, or from the data `x`.

    Raises:
        ValueError: neither tells the shape of the input.
    """
    if self.built:
        return
    shape = self.known_input_shape or sources.batch_shape(x)
    if shape is None:
        raise ValueError(
            f"{self.name!r} does not know the shape of its input yet. Build it first: "
            "`model.build((None, *input_shape))`."
        )
    with self.distribute_strategy.scope():
        self.build(shape)


def prepare(self: PhasedModel) -> None:
    """Set up what depends on the built parts: every optimizer and the term trackers.

    All optimizers have to exist before anything restores their state.
    """
    phases = self.phases
    for phase in phases:
        if not self.phase_optimizers[phase.name].built:
            self.phase_optimizers[phase.name].build(phase.variables)
    self._trackers = LossTrackers(_logged(self))
    self._as_compiled = AsCompiled(self)
    self._optimized = frozenset(id(v) for phase in phases for v in phase.variables)


def begin_anew(model: PhasedModel) -> None:
    """Let a compiled model have optimizers for the weights that it has now.

    They have the settings of those before, and no state; and what was traced is forgotten.
    """
    if not model.compiled:
        return
    evidence.keep(model)
    before = model.phase_optimizers
    with model.distribute_strategy.scope():
        optimizers = {name: weight_decay.copied(one) for name, one in before.items()}
        model.phase_optimizers = optimizers
        model.optimizer = next(iter(optimizers.values()))
        model._prepare()
    model._launches.forget()
    model.train_function = model.test_function = model.predict_function = None


def follow_settings(self: PhasedModel) -> None:
    """Log what the phases log now that a switch of one of the parts was turned."""
    if self.compiled and self.built and _logged(self) != self._trackers.names:
        with self.distribute_strategy.scope():
            self._trackers = LossTrackers(_logged(self), self._trackers)


def _logged(model):
    """The names under which the phases log."""
    names = [name for phase in model.phases for name in phase.logged]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"Several parts of {model.name!r} log the loss terms {repeated}.")
    return names


def completed(model: PhasedModel, config: dict[str, Any]) -> dict[str, Any]:
    """Keras's config of `compile`, with what this package's takes: as `compile` was given it."""
    config = dict(config)
    config.pop("loss_weights", None)
    config["loss"] = keras.saving.serialize_keras_object(model._loss_argument)
    config["jit_compile"] = model._launches.jit_compile
    config["steps_per_execution"] = model._launches.steps_per_execution
    _, *later = model.phase_optimizers.items()
    config["phase_optimizers"] = {
        name: keras.saving.serialize_keras_object(optimizer) for name, optimizer in later
    }
    if model.built and (excluded := weight_decay.excluded(model)):
        config["excluded_from_weight_decay"] = excluded
    return config


def compile_from_config(self: PhasedModel, config: dict[str, Any]) -> None:
    """The inverse of `get_compile_config`; the optimizers are built for their state."""
    config = keras.saving.deserialize_keras_object(config)
    excluded = config.pop("excluded_from_weight_decay", None)
    try:
        inspect.signature(self.compile).bind(**config)
    except TypeError:  # A subclass whose `compile` takes other arguments: Keras warns of it.
        return keras.Model.compile_from_config(self, config)
    if excluded:
        first, *_ = self.phases
        own = {first.name: config["optimizer"], **config["phase_optimizers"]}
        weight_decay.exclude(self, own, excluded)
    with from_file():
        self.compile(**config)
