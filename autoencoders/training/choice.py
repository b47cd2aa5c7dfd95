"""Which loop trains a model, and when its programs are worth specialising.

The choice follows from the data, the batch size, the model and the device alone, not from the
number of epochs, nor from what has been compiled already: a run in one piece and the same run
interrupted and resumed make it alike. It is made as the first epoch of a run begins and saved with
the model; a resumed run (`initial_epoch`) keeps it.
"""

import math
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

# An estimate of Keras's loop on two CPU cores, in seconds: what a step costs by itself, and the
# arithmetic of one weight for one row, there and back. Faster machines compile faster, too.
_STEP = 0.9e-3
_WEIGHT = 3.3e-11

# Specialising a program costs 0.5 to 1.5 s. An epoch of a second or more pays for it by itself. In
# a run of short epochs the fused loop has saved as much against Keras's by the third second.
_LONG_EPOCH = 1.0
_SHORT_EPOCHS = 3.0

# XLA on the CPU has no fast convolutions (their gradients run up to fifty times slower), and
# recurrent networks gain less from it than it takes to compile them.
_SLOW_ON_CPU = ("Conv", "DepthwiseConv", "MaxPool", "AvgPool", "TensorList")


class TrainingLoop(NamedTuple):
    """How `fit` runs a model's steps.

    Attributes:
        name: "fused", many steps in one program; or "keras", Keras's own loop.
        specialized_from: The epoch of the run, counted from 0, from which programs are made for
            the exact batch size, and compiled by XLA if `xla` says so; None for never.
        xla: Whether XLA compiles the specialised programs.
        reason: Why.
    """

    name: str
    specialized_from: int | None
    xla: bool
    reason: str

    def specialized(self, epoch):
        """Whether this epoch of the run has specialised programs."""
        return self.specialized_from is not None and epoch >= self.specialized_from


KERAS = TrainingLoop("keras", None, False, "data or `compile` arguments that Keras's loop is for")


def saved(loop):
    """What of a fused loop a file holds."""
    never = loop.specialized_from is None
    return np.array([-1 if never else loop.specialized_from, loop.xla], dtype="int64")


def resumed(values):
    """The loop of a file: the inverse of `saved`."""
    start, xla = (int(value) for value in values)
    return TrainingLoop("fused", None if start < 0 else start, bool(xla), "saved with the model")


def choose(steps, batch_size, weights, operations, jit_compile="auto"):
    """The fused loop for a run that begins.

    Args:
        steps: Steps in an epoch.
        batch_size: Rows in a batch.
        weights: Numbers that a step updates; those of several phases count for each.
        operations: Gives the types of the operations in a step, once that is traced: specialised
            or not, as its argument says.
        jit_compile: As in `compile`: whether to use XLA, or "auto".
    """
    if jit_compile is True:
        return TrainingLoop("fused", 0, True, "jit_compile=True")
    epoch = steps * (_STEP + _WEIGHT * weights * batch_size)
    start = 0 if epoch >= _LONG_EPOCH else math.ceil(_SHORT_EPOCHS / epoch)
    if not jit_compile:
        return TrainingLoop("fused", start, False, "jit_compile=False")
    slow = () if tf.config.list_logical_devices("GPU") else _SLOW_ON_CPU
    types = operations(start == 0) if slow else ()
    found = sorted(operation for operation in types if operation.startswith(slow))
    if found:
        return TrainingLoop("fused", start, False, f"XLA is slow at {found[0]} on a CPU")
    when = "an epoch outweighs" if start == 0 else f"{start} epochs outweigh"
    return TrainingLoop("fused", start, True, f"{when} what XLA takes to compile")


def without_xla(loop, error):
    """The loop for a model that XLA turned out not to compile."""
    reason = str(error).splitlines()[0]
    return loop._replace(xla=False, reason=f"XLA cannot compile the model: {reason}")


def every_batch(callbacks):
    """Whether a callback has to see every batch.

    One with a hook for batches does, unless it has `every_batch = False`. Keras's own do only
    where they are set to count batches.
    """
    return any(_sees_batches(callback) for callback in keras.tree.flatten(callbacks or []))


def _sees_batches(callback):
    if isinstance(callback, keras.callbacks.CallbackList):
        return every_batch(callback.callbacks)
    if type(callback) in (keras.callbacks.ModelCheckpoint, keras.callbacks.BackupAndRestore):
        return callback.save_freq != "epoch"
    if type(callback) is keras.callbacks.TensorBoard:
        return callback.update_freq != "epoch"
    if type(callback) in (keras.callbacks.ProgbarLogger, keras.callbacks.TerminateOnNaN):
        return False
    return getattr(callback, "every_batch", True) and any(
        getattr(getattr(callback, hook), "__func__", None)
        is not getattr(keras.callbacks.Callback, hook)
        for loop in ("", "train_", "test_", "predict_")
        for hook in (f"on_{loop}batch_begin", f"on_{loop}batch_end")
    )
