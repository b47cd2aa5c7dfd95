"""What every row needs: the data, training that can be interrupted, the results on file."""

import json
import re
import time
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

import autoencoders
from autoencoders import datasets

# Rows of a training set on which choices are measured before the test set is looked at.
HELD_OUT = 5_000

# Seconds between one checkpoint and the next.
_SAVE_EVERY = 120.0


class Result(NamedTuple):
    """A figure beside the published one.

    Attributes:
        result: What it is.
        protocol: How it is measured.
        published: The figure to compare with, and its source.
        ours: The figure.
        epochs: Of training.
        seconds: They took, without evaluation.
        note: What else there is to say.
    """

    result: str
    protocol: str
    published: str
    ours: str
    epochs: str
    seconds: float
    note: str = ""


class Data(NamedTuple):
    """Rows to train on and rows to measure on, with their labels."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


class Run:
    """One run of a row: its data, its models on disk, its time.

    Args:
        folder: Where models in training are kept.
        settings: What was set otherwise than the row has it. Models of other settings are others.
        held_out: Measure on the last rows of the training set, which are not trained on, in place
            of the test set.
        limit: Seconds after which training is saved and stops.
        rows: Use so many rows of each data set only, to try a row quickly.
        verbose: As in `fit`.
    """

    def __init__(self, folder, settings=None, *, held_out=False, limit=None, rows=None, verbose=2):
        self.folder = Path(folder)
        self.held_out = held_out
        self.verbose = verbose
        self._rows = rows
        self._deadline = time.monotonic() + (limit or float("inf"))
        marks = [f"{key}={value}" for key, value in sorted((settings or {}).items())]
        marks += ["held_out"] if held_out else []
        marks += [f"rows={rows}"] if rows else []
        self._mark = "".join(f",{mark}" for mark in marks).replace("/", "_").replace(" ", "")

    def mnist(self):
        """MNIST, grey; with `held_out` the last training rows in place of the test set."""
        return self.split(*datasets.mnist())

    def split(self, train, test):
        """`Data` from two pairs of rows and labels, as this run is to see them."""
        (x, y), (x_test, y_test) = train, test
        if self._rows:
            x, y, x_test, y_test = (part[: self._rows] for part in (x, y, x_test, y_test))
        if self.held_out:
            cut = len(x) - min(HELD_OUT, len(x) // 4)
            x, y, x_test, y_test = x[:cut], y[:cut], x[cut:], y[cut:]
        return Data(x, y, x_test, y_test)

    def train(self, name, build, rows, *, epochs, batch_size, seed=0, pretraining=None):
        """A trained model, and the seconds that its training took; it goes on where it stopped.

        Args:
            name: Of the model's file.
            build: Function of nothing to the compiled model.
            rows: Tuple of the arrays for `fit`, or a function of an epoch to those of that epoch.
            epochs, batch_size: As in `fit`.
            seed: Of the weights and of all that is drawn in training.
            pretraining: Arguments for `pretrain`, of models that have it.

        Raises:
            TimeoutError: the seconds are spent; the model is saved, to go on with.
            ValueError: there is a model that another recipe made.
        """
        path = self.folder / f"{name}{self._mark}.keras"
        keeper = _Keeper(path, self._deadline)
        keras.utils.set_random_seed(seed)
        model = build()
        if path.exists():
            recipe, model = _recipe(model), autoencoders.load(path)
            if _recipe(model) != recipe or model.epochs_trained > epochs:
                raise ValueError(
                    f"{path} is from another recipe than this row's: delete it, or give another "
                    "`--folder`."
                )
            print(f"{path}: {model.epochs_trained} of {epochs} epochs are done", flush=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        keeper.set_model(model)
        keeper.begin()
        if pretraining:
            # A layer counts when all its epochs are over: saved, it is not trained again.
            options = {"verbose": self.verbose, "on_layer_end": keeper.on_layer_end}
            model.pretrain(rows[0], batch_size=batch_size, **options, **pretraining)
        options = {"batch_size": batch_size, "verbose": self.verbose, "callbacks": [keeper]}
        done = model.epochs_trained
        keeper.last = epochs
        if callable(rows):
            for epoch in range(done, epochs):
                model.fit(*rows(epoch), epochs=epoch + 1, initial_epoch=epoch, **options)
                keeper.check()
        elif done < epochs:
            model.fit(*rows, epochs=epochs, initial_epoch=done, **options)
            keeper.check()
        return model, keeper.notes["seconds"], keeper.notes["logs"]


def _recipe(model):
    """What a model is and how it is compiled, as text, without the numbers that Keras counts."""
    text = json.dumps([model.get_config(), model.get_compile_config()], sort_keys=True)
    return re.sub(r'_\d+"', '"', text)


class _Keeper(keras.callbacks.Callback):
    """Saves the model every so often with its seconds and logs, and stops it when time is up."""

    def __init__(self, path, deadline):
        super().__init__()
        self.last = None
        self._path, self._notes, self._deadline = path, path.with_suffix(".json"), deadline
        self._began = self._saved = time.monotonic()
        self._stopped = False
        self.notes = {"seconds": 0.0, "logs": []}
        if path.exists() and self._notes.exists():
            self.notes = json.loads(self._notes.read_text())

    def begin(self):
        self._began = time.monotonic()

    def on_layer_end(self, number):
        self._note()
        self._save()
        if time.monotonic() > self._deadline:
            raise TimeoutError(f"out of time, saved as {self._path}")

    def on_epoch_end(self, epoch, logs=None):
        self._note()
        self.notes["logs"].append({key: float(value) for key, value in (logs or {}).items()})
        now = time.monotonic()
        over = now > self._deadline and epoch + 1 < self.last
        if over or now > self._saved + _SAVE_EVERY or epoch + 1 == self.last:
            self._save()
        if over:
            self.model.stop_training = self._stopped = True

    def check(self):
        if self._stopped:
            raise TimeoutError(f"out of time, saved as {self._path}")

    def _note(self):
        now = time.monotonic()
        self.notes["seconds"] += now - self._began
        self._began = now

    def _save(self):
        new = self._path.with_suffix(".new.keras")
        self.model.save(new)
        self._notes.write_text(json.dumps(self.notes))
        new.replace(self._path)
        self._began = self._saved = time.monotonic()


def cosine(rate, epochs, rows, batch_size):
    """A learning rate that falls to 0 in so many epochs, along half a cosine."""
    steps = epochs * -(-len(rows) // batch_size)
    return keras.optimizers.schedules.CosineDecay(rate, steps)


def binarised(x, seed):
    """Pixels that are 1 with the probability that their grey value is."""
    draws = np.random.default_rng(seed).random(x.shape, dtype="float32")
    return (draws < x).astype("float32")


def spread(values, digits=2):
    """Mean ± standard deviation, or the value if there is but one."""
    mean = f"{np.mean(values):.{digits}f}"
    return f"{mean} ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else mean
