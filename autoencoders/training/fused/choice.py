"""Which loop trains a model, and when its programs are worth specialising.

The choice follows from the data, the batch size, the model and the device alone, not from the
number of epochs, nor from what has been compiled already: so a run in one piece and the same run
interrupted and resumed make the same choice. It is made as the first epoch of a run begins and
saved with the model; a resumed run (`initial_epoch`) keeps it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import MethodType
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from autoencoders.training.fused.programs import Contents

# An estimate of the seconds that Keras's loop takes on two CPU cores: for a step by itself, for the
# update of each weight, and for the arithmetic of each weight and row. A faster machine takes less
# time for all three, but also less to compile, so that the choice stays about right.
_STEP = 0.9e-3
_UPDATE = 1.7e-9
_ROW = 1.6e-11

# XLA takes 0.5 to 1.5 s to compile a program. One long epoch saves that much by itself. In a run of
# short epochs XLA begins once the fused loop has saved as much time compared with Keras's loop.
_LONG_EPOCH = 1.0
_SHORT_EPOCHS = 5.0

# The seconds that XLA saves on two CPU cores, at a step by itself and at the update of each weight;
# and those that it loses there, at each random number that a step draws and at each that the step
# draws through `keras.random` (see `draws`). They were measured on dense models of up to 6 million
# weights that draw up to 6 million numbers.
_SAVED_STEP = 0.15e-3
_SAVED_UPDATE = 4e-9
_LOST_DRAW = 30e-9
_LOST_SLOW_DRAW = 450e-9

# XLA on the CPU has no fast convolutions (their gradients run up to fifty times slower), and
# recurrent networks gain less from it than it takes to compile them.
_SLOW_ON_CPU = ("Conv", "DepthwiseConv", "MaxPool", "AvgPool", "TensorList")


class TrainingLoop(NamedTuple):
    """How `fit` runs a model's steps.

    Attributes:
        name: "fused", many steps in one program; or "keras", Keras's own loop.
        xla_from: The epoch of the run, counted from 0, from which XLA compiles the fused loop's
            programs; None for never.
        reason: Why.
    """

    name: str
    xla_from: int | None
    reason: str

    def xla(self, epoch: int) -> bool:
        """Whether XLA compiles the programs of this epoch of the run."""
        return self.xla_from is not None and epoch >= self.xla_from


KERAS = TrainingLoop("keras", None, "data or `compile` arguments that Keras's loop is for")


def saved(loop: TrainingLoop) -> np.ndarray:
    """What of a fused loop a file holds."""
    return np.array(-1 if loop.xla_from is None else loop.xla_from, dtype="int64")


def resumed(value: ArrayLike) -> TrainingLoop:
    """The loop of a file: the inverse of `saved`."""
    xla_from = int(np.asarray(value))
    return TrainingLoop("fused", None if xla_from < 0 else xla_from, "saved with the model")


def choose(
    steps: int,
    batch_size: int,
    weights: int,
    contents: Callable[[bool], Contents],
    jit_compile: bool | str = "auto",
) -> TrainingLoop:
    """The fused loop for a run that begins.

    Args:
        steps: Steps in an epoch.
        batch_size: Rows in a batch.
        weights: Numbers that a step updates; those of several phases count for each.
        contents: Function that gives the `programs.Contents` of a step. Its argument says whether
            the step is traced for the batches that XLA compiles it for, or for those that it runs
            on without XLA.
        jit_compile: As in `compile`: whether to use XLA, or "auto".
    """
    if jit_compile != "auto":
        return TrainingLoop("fused", 0 if jit_compile else None, f"jit_compile={jit_compile}")
    epoch = steps * (_STEP + weights * (_UPDATE + _ROW * batch_size))
    start = 0 if epoch >= _LONG_EPOCH else math.ceil(_SHORT_EPOCHS / epoch)
    operations, draws, slow_draws = contents(start == 0)
    if not tf.config.list_logical_devices("GPU"):
        found = sorted(name for name in operations if name.startswith(_SLOW_ON_CPU))
        if found:
            return TrainingLoop("fused", None, f"XLA is slow at {found[0]} on a CPU")
        lost = draws * _LOST_DRAW + slow_draws * _LOST_SLOW_DRAW
        if lost > _SAVED_STEP + weights * _SAVED_UPDATE:
            reason = f"on a CPU XLA loses more at {draws:,} random numbers a step than it saves"
            return TrainingLoop("fused", None, reason)
    when = "an epoch outweighs" if start == 0 else f"{start} epochs outweigh"
    return TrainingLoop("fused", start, f"{when} what XLA takes to compile")


def without_xla(error: Exception) -> TrainingLoop:
    """The fused loop for a model that XLA turned out not to compile, with this error."""
    message = f"{type(error).__name__} {error}".splitlines()[0]
    return TrainingLoop("fused", None, f"XLA cannot compile it: {message}")


def every_batch(callbacks: Any) -> bool:
    """Whether a callback has to see every batch.

    A callback with a hook for batches has to, unless it has `every_batch = False`. Keras's own
    callbacks have to only where they are set to count batches.
    """
    return any(_sees_batches(callback) for callback in keras.tree.flatten(callbacks or []))


def _sees_batches(callback):
    if isinstance(callback, keras.callbacks.CallbackList):
        return every_batch(callback.callbacks)
    if type(callback) in (keras.callbacks.ModelCheckpoint, keras.callbacks.BackupAndRestore):
        return callback.save_freq != "epoch"
    if type(callback) is keras.callbacks.TensorBoard:
        counts = callback.update_freq != "epoch" or callback.write_steps_per_second
        return counts or getattr(callback, "_should_trace", False)
    if type(callback) in (keras.callbacks.ProgbarLogger, keras.callbacks.TerminateOnNaN):
        return False
    return getattr(callback, "every_batch", True) and any(
        replaced(callback, hook, keras.callbacks.Callback)
        for loop in ("", "train_", "test_", "predict_")
        for hook in (f"on_{loop}batch_begin", f"on_{loop}batch_end")
    )


def replaced(instance: object, name: str, base: type) -> bool:
    """Whether an object has another method of this name than the base class gives it."""
    return getattr(instance, name) != MethodType(getattr(base, name), instance)
