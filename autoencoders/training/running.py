"""Keras's loops while they run on a source: what is launched, counted and put back afterwards."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from autoencoders import arguments
from autoencoders.training import frozen, state
from autoencoders.training.divergence import DivergenceGuard, guard_among
from autoencoders.training.expectation import value_errors
from autoencoders.training.fused import choice
from autoencoders.training.fused.launches import Launch
from autoencoders.training.shuffle import first
from autoencoders.training.sources import Source
from autoencoders.training.step import terms_of
from autoencoders.types import Data

if TYPE_CHECKING:
    from autoencoders.training.phased_model import PhasedModel

# The batch of `train_on_batch` and the like, which Keras hands to a step unchecked.
ONE_BATCH = Source({})


@contextmanager
def training(
    model: PhasedModel, x: Data, source: Source, validation: Source, callbacks: Any
) -> Iterator[tuple[Any, DivergenceGuard]]:
    """Within it Keras's `fit`, which was given x, trains on one source and evaluates on the other.

    Yields:
        The callbacks for it; and the guard among them.
    """
    frozen.check(model)
    if source.feed is None:
        model._launches.training_loop = choice.KERAS
    say_directions(model, callbacks)
    passed = guard_among(callbacks)
    guard = passed or DivergenceGuard()
    guard.begin(x if isinstance(x, np.ndarray) else None)
    ours = (source.counter, None if passed else guard)
    own = [callback for callback in ours if callback is not None]
    outer, model._validation_feed = model._validation_feed, validation.feed
    try:
        with (
            value_errors(),
            first(own, callbacks, model) as callbacks,
            model._launches.under_way("train", source.feed, callbacks, source.checked),
        ):
            yield callbacks, guard
    finally:
        model._validation_feed = outer


# Keras's callbacks that look whether a logged value gets better.
_WATCHING = (
    keras.callbacks.EarlyStopping,
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.ReduceLROnPlateau,
)


def say_directions(model, callbacks):
    """Tell callbacks that are to find out by themselves that loss terms get better downwards.

    Keras knows it of "loss" and of compiled metrics alone.
    """
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = callbacks.callbacks
    for callback in keras.tree.flatten(callbacks or []):
        to_find_out = isinstance(callback, _WATCHING) and callback.mode == "auto"
        if to_find_out and callback.monitor.removeprefix("val_") in terms_of(model):
            callback.mode = "min"


def finish(model: PhasedModel, history: Any, guard: DivergenceGuard) -> None:
    """Do what is left once `fit` has trained all epochs, whose `History` this is."""
    frozen.warn(model)
    history.diverged = guard.diverged
    guard.release()
    if guard.diverged is not None:
        warnings.warn(guard.message, stacklevel=4)
        return
    # With `use_ema` an optimizer's averages take the place of the weights. Keras does that for the
    # first phase's optimizer alone.
    for phase in model.phases[1:]:
        model.phase_optimizers[phase.name].finalize_variable_values(phase.variables)
    logs = history.history
    # A schedule of `callbacks.Anneal` that is still under way changes what training is to reach.
    annealed = (logs[number] for number in arguments.numbers(model) if number in logs)
    if history.epoch and not any(values[-2:-1] not in ([], values[-1:]) for values in annealed):
        model.review({name: values[-1] for name, values in logs.items()})


@contextmanager
def evaluation(
    model: PhasedModel, source: Source = ONE_BATCH, callbacks: Any = None, within_fit: bool = False
) -> Iterator[None]:
    """Within it Keras's `evaluate` reads this source, and samples as it does each time.

    One evaluation of a model waits for another, in another thread: they would count in the same
    metrics, and put back each other's random state.
    """
    with (
        model._evaluating,
        state.sampling_afresh(model),
        launching(model, "test", source, callbacks) as launch,
    ):
        if within_fit:  # Keras made this iterator for the launches of training.
            model._eval_epoch_iterator.steps_per_execution = launch.steps
        yield


@contextmanager
def launching(
    model: PhasedModel, loop: str, source: Source = ONE_BATCH, callbacks: Any = None
) -> Iterator[Launch]:
    """Within it `loop` ("train", "test" or "predict") of Keras's launches steps on this source.

    Yields:
        The `Launch`.

    Raises:
        ValueError: bad data, which a step has found.
    """
    launches = model._launches
    with (
        value_errors(),
        launches.under_way(loop, source.feed, callbacks, source.checked) as launch,
    ):
        yield launch
