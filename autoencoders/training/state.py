"""The state of a model's training beyond its weights: random numbers, and how its loop runs.

Keras files do not hold the state of seed generators, so that a model with as much as one dropout
layer would not resume exactly; and evaluation that samples would never repeat.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from autoencoders.training.fused import choice
from autoencoders.training.fused.choice import TrainingLoop
from autoencoders.types import Tensor

if TYPE_CHECKING:
    from autoencoders.training.phased_model import PhasedModel

# Evaluation draws from the same seeds as training, from a counter that training never reaches.
_EVALUATION_COUNTER = 2**30


# The seed generators ------------------------------------------------------------------------------


def seed_states(model: keras.Model) -> list[keras.Variable]:
    """The state variable of each seed generator in the model, in a fixed order."""
    found = {id(v): v for v in model.variables if v.name == "seed_generator_state"}
    return list(found.values())


def snapshot(model: keras.Model) -> np.ndarray:
    """The random state as one array, `(generators, 2)`: seed and counter of each."""
    states = [np.asarray(state) for state in seed_states(model)]
    return np.array(states, dtype="int64").reshape(-1, 2)


def restore(model: keras.Model, values: ArrayLike) -> None:
    """Put back what `snapshot` returned.

    Raises:
        ValueError: the model has another number of seed generators.
    """
    values, variables = np.asarray(values), seed_states(model)
    if len(values) != len(variables):
        raise ValueError(
            f"The file holds the random state of {len(values)} seed generators, "
            f"but model {model.name!r} has {len(variables)}."
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


@contextmanager
def afresh(model: keras.Model, keep: keras.Variable | None = None) -> Iterator[np.ndarray]:
    """Start every generator of the model at the same point each time; put them back after.

    Args:
        model: The model.
        keep: A state variable to leave alone.

    Yields:
        The state that is put back.
    """
    # A larger model's program may build this one. (Outside of programs there is nothing to leave,
    # and derivatives are not recorded within the scope.)
    with nullcontext() if tf.executing_eagerly() else tf.init_scope():
        before = snapshot(model)
        for variable, (seed, _) in zip(seed_states(model), before, strict=True):
            if variable is not keep:
                variable.assign((seed, _EVALUATION_COUNTER))
        try:
            yield before
        finally:
            restore(model, before)


# All that training changes ------------------------------------------------------------------------

Values: TypeAlias = list[tuple[keras.Variable, Tensor]]


def beside_weights(model: PhasedModel) -> list[keras.Variable]:
    """The variables that training changes beside weights: of optimizers, and the epochs' count."""
    optimizers = model.phase_optimizers.values()
    own = [variable for optimizer in optimizers for variable in optimizer.variables]
    return [*own, model._shuffle.state]


def updates(model: PhasedModel) -> int:
    """How many updates the model's optimizers have made, all together."""
    return sum(int(read(one.iterations)) for one in model.phase_optimizers.values())


def values(variables: Iterable[keras.Variable]) -> Values:
    """Variables with the values that they have now, for `put_back`."""
    return [(variable, read(variable)) for variable in variables]


def read(variable: keras.Variable) -> Tensor:
    """What a variable holds; of replicas, the first one's."""
    value = variable.value
    if isinstance(value, tf.distribute.DistributedValues):
        return tf.convert_to_tensor(value)
    # This is several times as fast. TensorFlow copies what is held when the variable is changed.
    return tf.raw_ops.ReadVariableOp(resource=value.handle, dtype=value.dtype)


def put_back(values: Values) -> None:
    """Give variables the values that they had."""
    for variable, value in values:
        variable.assign(value)


# How training stands: methods and properties of `PhasedModel` -------------------------------------


def epochs_trained(self: PhasedModel) -> int:
    """How many epochs `fit` has trained this model, in all processes together.

    A run goes on where a saved model left it with `initial_epoch=model.epochs_trained`.
    """
    return int(self._shuffle.state.numpy()[1])


def training_loop(self: PhasedModel) -> TrainingLoop | None:
    """How the last `fit` ran; None before the first.

    `compile` overrides it: `jit_compile=True` or `False` for or against XLA, and
    `steps_per_execution` (1, for example) for Keras's own loop.
    """
    return self._launches.training_loop


# What a file holds --------------------------------------------------------------------------------

_RANDOM_STATE, _TRAINING_LOOP = "random_state", "training_loop"


@contextmanager
def sampling_afresh(model: PhasedModel) -> Iterator[None]:
    """`afresh` for an evaluation, in the middle of which a callback may save the model."""
    outer = model._set_aside
    with afresh(model, keep=model._shuffle.state) as before:
        model._set_aside = before if outer is None else outer
        try:
            yield
        finally:
            model._set_aside = outer


def save_own_variables(self: PhasedModel, store: MutableMapping[str, Any]) -> None:
    """Keras's, and for a compiled model the random state, so that training resumes exactly."""
    keras.Model.save_own_variables(self, store)
    if self.compiled:
        save(self, store)


def load_own_variables(self: PhasedModel, store: Mapping[str, Any]) -> None:
    """The inverse of `save_own_variables`."""
    values, of_training = separated(store)
    keras.Model.load_own_variables(self, values)
    if self.compiled:
        resume(self, of_training)


def save(model: PhasedModel, store: MutableMapping[str, Any]) -> None:
    """Write a compiled model's state of training into the store of a file."""
    evaluating = model._set_aside is not None
    store[_RANDOM_STATE] = model._set_aside if evaluating else snapshot(model)
    if model.training_loop not in (None, choice.KERAS):
        store[_TRAINING_LOOP] = choice.saved(model.training_loop)


def separated(store: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a store holds: Keras's own values, and those that `save` wrote."""
    values = {key: store[key] for key in store.keys()}  # noqa: SIM118
    ours = {key: values.pop(key) for key in (_RANDOM_STATE, _TRAINING_LOOP) if key in values}
    return values, ours


def resume(model: PhasedModel, saved: dict[str, Any]) -> None:
    """Let a compiled model have the state of training that `save` wrote, as far as it is there."""
    if _TRAINING_LOOP in saved:
        model._launches.training_loop = choice.resumed(saved[_TRAINING_LOOP])
    if _RANDOM_STATE in saved:
        try:
            restore(model, saved[_RANDOM_STATE])
        except ValueError as error:
            warnings.warn(f"The random state was not loaded. {error}", stacklevel=3)
