"""`Backup`: a run of `fit` that goes on where it was interrupted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import keras

from autoencoders import arguments, files
from autoencoders.callbacks.anneal import number_at
from autoencoders.training.phased_model import PhasedModel

_ATTRIBUTE = "run"


class Backup(keras.callbacks.Callback):
    """Keeps a run of `fit` in one file, so that an interrupted run goes on exactly.

    >>> model.fit(x, epochs=50, callbacks=[Backup("run.weights.h5")])

    After each epoch the file holds the weights, all optimizers, the random state, the place in the
    shuffle order, the numbers that a schedule has set, and the number of the epoch. If the process
    dies, the same call in another one begins with the next epoch, and ends with the model that an
    uninterrupted run would have given, bit by bit. The file is replaced in one step: whenever the
    process is killed, it holds the epoch before or the one after. (`BackupAndRestore` of Keras's
    writes two files, of which one may be of the epoch before: it may train an epoch twice.)

    Callbacks that keep a state of their own, such as `EarlyStopping`, begin anew, as with Keras's.
    Let this one be the last of the list: what another changes after it is not in the file.

    Args:
        path: A file whose name ends in `.weights.h5`.
        keep: Whether the file stays once `fit` has ended; the next `fit` with it would find its
            epochs done.

    Raises:
        ValueError: another ending; and when `fit` begins, a file that is damaged, of another
            model, or of no such run.
    """

    def __init__(self, path: files.AnyPath, *, keep: bool = False) -> None:
        super().__init__()
        self.path: Path = Path(path)
        self.keep = keep
        if not self.path.name.endswith(".weights.h5"):
            raise ValueError(f"`path` must end in '.weights.h5', got {str(path)!r}.")

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Go on where the file was left, if there is one."""
        if not isinstance(self.model, PhasedModel):
            raise ValueError(
                f"`Backup` knows the state of an `Autoencoder`, and {self.model.name!r} is a "
                f"{type(self.model).__name__}: use `keras.callbacks.BackupAndRestore`."
            )
        if not self.path.exists():
            return
        with h5py.File(files.read(self.path)) as file:
            run = json.loads(file.attrs.get(_ATTRIBUTE, "null"))
        if run is None:
            raise ValueError(
                f"{self.path} holds weights, and no run of `fit`: move it, or name another file."
            )
        self.model.load_weights(self.path)
        for way, value in run["numbers"].items():
            setattr(*number_at(self.model, way), value)
        self.model._initial_epoch = run["epochs"]  # which Keras's own callback sets, too

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write the state after this epoch."""
        numbers = {
            way: getattr(*number_at(self.model, way)) for way in arguments.numbers(self.model)
        }
        with files.replacing(self.path) as new:
            self.model.save_weights(new)
            with h5py.File(new, "r+") as file:
                file.attrs[_ATTRIBUTE] = json.dumps({"epochs": epoch + 1, "numbers": numbers})

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Remove the file: the run is over."""
        if not self.keep:
            self.path.unlink(missing_ok=True)
