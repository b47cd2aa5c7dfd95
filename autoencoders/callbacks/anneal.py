"""`Anneal`: a number of a model that follows a schedule while the model trains."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import keras

from autoencoders.arguments import Number, Structure, Switch, declared, numbers
from autoencoders.checks import check_integers, one_of
from autoencoders.registry import unknown
from autoencoders.training import state
from autoencoders.training.phased_model import PhasedModel


class Anneal(keras.callbacks.Callback):
    """Sets a number of the model along a schedule, before each epoch or each step.

    >>> anneal = Anneal("bottleneck.beta", Linear(0.0, 1.0, over=10))
    >>> model.fit(x, epochs=50, callbacks=[anneal])

    The number may be any that acts on training (`docs/training.md` lists them): it acts at once,
    and nothing is traced anew, unless the schedule turns it on or off (for some numbers 0 or None
    means off). Its value in the last step of each epoch is logged under the name that is given
    here, so that it stands in the history; None is logged as NaN.

    The time that the schedule sees is the model's own: the epochs that it has been trained for
    (`model.epochs_trained`), or the updates of its optimizer (`model.optimizer.iterations`), which
    begin anew where `compile` gives it another optimizer. Files hold both, so that a model that is
    saved, loaded and trained on follows the schedule where it was; so does a second `fit`. After
    training the number stays at its last value.

    While a weight of the loss is annealed, the losses of two epochs are losses of two different
    models: let `EarlyStopping` and `ModelCheckpoint` watch a term that is not weighted
    (`val_reconstruction_loss`), or begin after the schedule (`start_from_epoch`).

    Args:
        attribute: The way to the number from the model: "bottleneck.beta", "penalties[0].weight",
            "gamma".
        schedule: Function of the time that gives a value: one of `autoencoders.callbacks`, or any
            other.
        every: "epoch" or "step", which is what the time counts. `fit` runs many steps at once
            where nothing has to happen between them; with "step" it runs them one by one.
        begin: The time at which the schedule begins: `model.epochs_trained` for one that begins
            with this `fit`. Before it the number has the schedule's first value.

    Raises:
        ValueError: also when `fit` begins: the model has no such number, or `compile` was told to
            run several steps at once, of which a callback sees but the first.
    """

    def __init__(
        self,
        attribute: str,
        schedule: Callable[[float], float | None],
        every: str = "epoch",
        *,
        begin: int = 0,
    ) -> None:
        super().__init__()
        if not isinstance(attribute, str):
            raise ValueError(f"`attribute` must be the way to a number, got {attribute!r}.")
        if not callable(schedule):
            raise ValueError(f"`schedule` must be a function of the time, got {schedule!r}.")
        one_of("epoch", "step")("every", every)
        check_integers(0, begin=begin)
        self.attribute = attribute
        self.schedule = schedule
        self.every = every
        self.begin = begin
        # Whether `fit` has to run one step at a time for this callback.
        self.every_batch: bool = every == "step"

    def find(self) -> tuple[Any, str]:
        """The part of the model that has the number, and the number's name in it.

        Raises:
            ValueError: there is no such number.
        """
        if not isinstance(self.model, PhasedModel):
            raise ValueError(
                f"`Anneal` follows the time of an `Autoencoder`, and {self.model.name!r} is a "
                f"{type(self.model).__name__}: set `{self.attribute}` in a callback of your own."
            )
        return number_at(self.model, self.attribute)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Find the number; and refuse before the first step what it cannot be."""
        self._part, self._name = self.find()
        together = self.model.steps_per_execution
        if self.every == "step" and together > 1:
            raise ValueError(
                f"`steps_per_execution={together}` runs so many steps with one value: compile the "
                'model without it, or anneal by "epoch".'
            )
        self._set()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the value of this epoch."""
        if self.every == "epoch":
            self._set()

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the value of this step."""
        if self.every == "step":
            self._set()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Log the value."""
        if logs is not None:
            value = getattr(self._part, self._name)
            logs[self.attribute] = math.nan if value is None else value

    def _set(self):
        time = self.model.epochs_trained
        if self.every == "step":
            time = int(state.read(self.model.optimizer.iterations))
        setattr(self._part, self._name, self.schedule(max(time - self.begin, 0)))


def number_at(model: PhasedModel, attribute: str) -> tuple[Any, str]:
    """The part of the model, and the name in it, that `attribute` leads to.

    Raises:
        ValueError: there is no such number.
    """
    known = numbers(model)
    if not re.fullmatch(r"\w+(\[\d+\])*(\.\w+(\[\d+\])*)*", attribute):
        raise ValueError(_unknown(model, attribute, known))
    *way, name = re.findall(r"\w+", attribute)
    part = model
    try:
        for step in way:
            part = part[int(step)] if step.isdecimal() else getattr(part, step)
    except (AttributeError, IndexError, TypeError):
        raise ValueError(_unknown(model, attribute, known)) from None
    kind = declared(type(part)).get(name)
    if isinstance(kind, Number):
        return part, name
    if isinstance(kind, Switch | Structure):
        what = "a switch: programs are traced anew whenever it changes"
        if isinstance(kind, Structure):
            what = "structure, and fixed once the model is made"
        names = ", ".join(known) or "none"
        raise ValueError(
            f"Only numbers are annealed, and `{attribute}` is {what}. "
            f"The numbers of {model.name!r}: {names}."
        )
    raise ValueError(_unknown(model, attribute, known))


def _unknown(model, attribute, known):
    """The message for an attribute that is not there; a right name says enough of the way."""
    *_, name = attribute.rpartition(".")
    same = [way for way in known if way.rpartition(".")[2] == name]
    message = unknown(f"number of {model.name!r}", attribute, known)
    return f"{message} Did you mean {same[0]!r}?" if same and "Did" not in message else message
