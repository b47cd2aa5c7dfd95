"""Keras's loops while they run on a source: what is launched, counted and put back afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import keras

from autoencoders.training import state
from autoencoders.training.expectation import value_errors
from autoencoders.training.fused import choice
from autoencoders.training.fused.launches import Launch
from autoencoders.training.shuffle import first
from autoencoders.training.sources import Source

if TYPE_CHECKING:
    from autoencoders.training.phased_model import PhasedModel

# The batch of `train_on_batch` and the like, which Keras hands to a step unchecked.
ONE_BATCH = Source({})


@contextmanager
def training(
    model: PhasedModel, source: Source, validation: Source, callbacks: Any
) -> Iterator[Any]:
    """Within it Keras's `fit` trains on one source and evaluates on the other.

    Yields:
        The callbacks for it.
    """
    if source.feed is None:
        model._launches.training_loop = choice.KERAS
    say_directions(model, callbacks)
    outer, model._validation_feed = model._validation_feed, validation.feed
    try:
        with (
            value_errors(),
            first(source.counter, callbacks, model) as callbacks,
            model._launches.under_way("train", source.feed, callbacks, source.checked),
        ):
            yield callbacks
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
    falling = {term for phase in model.phases for term in phase.terms}
    for callback in keras.tree.flatten(callbacks or []):
        to_find_out = isinstance(callback, _WATCHING) and callback.mode == "auto"
        if to_find_out and callback.monitor.removeprefix("val_") in falling:
            callback.mode = "min"


def finish(model: PhasedModel, history: Any) -> None:
    """Do what is left once `fit` has trained all epochs, whose `History` this is."""
    # With `use_ema` an optimizer's averages take the place of the weights. Keras does that for the
    # first phase's optimizer alone.
    for phase in model.phases[1:]:
        model.phase_optimizers[phase.name].finalize_variable_values(phase.variables)
    if history.epoch:
        model.review({name: values[-1] for name, values in history.history.items()})


@contextmanager
def evaluation(
    model: PhasedModel, source: Source = ONE_BATCH, callbacks: Any = None, within_fit: bool = False
) -> Iterator[None]:
    """Within it Keras's `evaluate` reads this source, and samples as it does each time."""
    with state.sampling_afresh(model), launching(model, "test", source, callbacks) as launch:
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
