"""Fine-tuning: what bundled MNIST weights are worth on other data, beside training from scratch.

    python -m benchmarks.finetuning
    python -m benchmarks.finetuning --table

Both begin as `get` makes them, with the weights or without, and are trained alike on a few rows of
the target until its validation rows stop getting better; the best epoch's weights are kept. The
validation rows come from the target's training set, and so does the choice of the learning rate:
each way of beginning has the one of `RATES` with the lowest validation loss of seed 0. A seed draws
the rows, the initial weights and the order of the batches. The test rows are looked at once, by
the models of that rate.

MNIST and CIFAR-10 come from `autoencoders.datasets`. Every fit is written to `--output` as soon as
it is done, and is not done again: a run that was cut off goes on where it was.
"""

import argparse
import functools
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

import autoencoders
from autoencoders import datasets
from benchmarks.turns import table

ROWS = (50, 200, 1000)
FEW = 200  # rows of the cases beyond the plain one
SEEDS = (0, 1, 2)
# Convolutions are slow: fewer rates.
RATES = {
    "ae_mlp": (0.0003, 0.001, 0.003),
    "normalised": (0.0003, 0.001, 0.003),
    "ae_conv": (0.001, 0.003),
}

# An epoch is so many steps, however many rows there are, so that patience means the same for all.
STEPS, BATCH, PATIENCE, EPOCHS = 40, 25, 6, 100
VALIDATION, TEST = 400, 2000

LATENT = 64
GREY, COLOUR, DIGITS = "CIFAR-10, grey", "CIFAR-10, colour", "digits"
FRAMED = "digits, framed"


class Data(NamedTuple):
    """Rows to draw from for training, validation rows and test rows."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def cifar_grey():
    """The middle 28×28 pixels of CIFAR-10's photographs, in grey."""
    weights = np.array([0.299, 0.587, 0.114], "float32")
    return Data(*((part @ weights)[..., None] for part in cifar_colour()))


def cifar_colour():
    """The middle 28×28 pixels of CIFAR-10's photographs."""
    (x, _), (x_test, _) = datasets.cifar10()
    x, x_test = x[:10_000, 2:30, 2:30], x_test[:TEST, 2:30, 2:30]
    return _divided(x, x_test)


def digits():
    """The 8×8 digits, enlarged to 28×28."""
    (x, _), (x_test, _) = datasets.digits()
    return _divided(*(np.array(keras.ops.image.resize(part, (28, 28))) for part in (x, x_test)))


def framed():
    """The 8×8 digits, enlarged to 20×20 within a black border: as MNIST frames its digits."""
    (x, _), (x_test, _) = datasets.digits()
    border = ((0, 0), (4, 4), (4, 4), (0, 0))
    enlarged = (keras.ops.image.resize(part, (20, 20)) for part in (x, x_test))
    return _divided(*(np.pad(part, border) for part in enlarged))


def _divided(x, x_test):
    return Data(x[:-VALIDATION], x[-VALIDATION:], x_test)


TARGETS = {GREY: cifar_grey, DIGITS: digits, FRAMED: framed, COLOUR: cifar_colour}


# Ways to begin: functions of a model's name to the model ------------------------------------------


def _arguments(name, **others):
    return {**autoencoders.info(name)["weights"]["mnist"]["arguments"], **others}


def scratch(name):
    """The network of the bundled weights, with new ones."""
    return autoencoders.get(name, **_arguments(name))


def pretrained(name):
    """The bundled weights."""
    return autoencoders.get(name, weights="mnist")


def halfway(name):
    """The mean of new weights and the bundled ones, after Ash & Adams (2020, arXiv:1910.08475)."""
    model, trained = scratch(name), pretrained(name)
    pairs = zip(model.get_weights(), trained.get_weights(), strict=True)
    model.set_weights([0.5 * new + 0.5 * old for new, old in pairs])
    return model


def new_encoder(name):
    """The bundled weights in the decoder, new ones in the encoder."""
    model, trained = scratch(name), pretrained(name)
    model.decoder.set_weights(trained.decoder.get_weights())
    return model


def frozen_encoder(name):
    """The bundled weights; the encoder's stay as they are."""
    model = pretrained(name)
    model.encoder.trainable = False
    return model


def frozen_layer(name):
    """The bundled weights; those of the first layer stay as they are."""
    model = pretrained(name)
    model.encoder.get_layer("hidden_1").trainable = False
    return model


def colour_scratch(name):
    """The same network for colours, with new weights."""
    return autoencoders.get(name, **_arguments(name, input_shape=(28, 28, 3)))


def colour(name):
    """The network for colours, with those of the bundled weights that fit it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* tensors were not loaded")
        return autoencoders.get(name, weights="mnist", input_shape=(28, 28, 3))


def colour_spread(name):
    """The same, with the bundled first kernel and last layer spread over the channels."""
    model, trained = colour(name), pretrained(name)
    kernel, bias = trained.encoder.get_layer("conv_1").get_weights()
    model.encoder.get_layer("conv_1").set_weights([np.repeat(kernel, 3, axis=2) / 3, bias])
    kernel, bias = trained.decoder.get_layer("output").get_weights()
    spread = [np.repeat(kernel, 3, axis=3), np.repeat(bias, 3)]
    model.decoder.get_layer("output").set_weights(spread)
    return model


def latent_scratch(name):
    """The same network with another latent size, with new weights."""
    return autoencoders.get(name, **_arguments(name, latent_dim=LATENT))


def latent(name):
    """The network with another latent size, with those of the bundled layers that fit it."""
    model = latent_scratch(name)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        path = Path(folder, "trained.weights.h5")
        pretrained(name).save_weights(path)
        warnings.filterwarnings("ignore", "A total of .* objects could not be loaded")
        model.load_weights(path, skip_mismatch=True)
    return model


def normalised_scratch(_):
    """A dense network with batch normalization, which no model of the zoo has, with new weights."""

    def halves(sizes, output):
        for units in sizes[:-1]:
            yield keras.layers.Dense(units)
            yield keras.layers.BatchNormalization()
            yield keras.layers.ReLU()
        yield keras.layers.Dense(sizes[-1], activation=output)

    flatten, shape = keras.layers.Flatten(), keras.layers.Reshape((28, 28, 1))
    encoder = keras.Sequential([keras.Input((28, 28, 1)), flatten, *halves((256, 32), None)])
    decoder = keras.Sequential([keras.Input((32,)), *halves((256, 784), "sigmoid"), shape])
    return autoencoders.Autoencoder(encoder, decoder)


@functools.cache
def _normalised_weights():
    (x, _), _ = datasets.mnist()
    keras.utils.set_random_seed(0)
    model = normalised_scratch(None)
    model.compile(keras.optimizers.Adam(0.001))
    model.fit(x, batch_size=100, epochs=5, verbose=0)
    return model.get_weights()


def normalised(_):
    """The same after five epochs of MNIST."""
    weights = _normalised_weights()
    model = normalised_scratch(None)
    model.set_weights(weights)
    return model


def normalised_frozen(_):
    """The same, with the batch normalization as MNIST left it: statistics, scales and offsets."""
    model = normalised(None)
    for layer in (*model.encoder.layers, *model.decoder.layers):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    return model


# Which fits there are -----------------------------------------------------------------------------


class Case(NamedTuple):
    """Rows of a table: ways to begin with a model on a target, the one from scratch first."""

    title: str
    model: str
    target: str
    scratch: Callable
    tuned: Callable
    rows: tuple = (FEW,)


CASES = (
    Case("bundled weights", "ae_mlp", DIGITS, scratch, pretrained, ROWS),
    Case("bundled weights", "ae_mlp", GREY, scratch, pretrained, ROWS),
    Case("halfway to new weights", "ae_mlp", GREY, scratch, halfway, (1000,)),
    Case("encoder new", "ae_mlp", GREY, scratch, new_encoder, (1000,)),
    Case("bundled weights", "ae_conv", GREY, scratch, pretrained),
    Case("bundled weights", "ae_mlp", FRAMED, scratch, pretrained),
    Case("encoder frozen", "ae_mlp", FRAMED, scratch, frozen_encoder),
    Case("encoder frozen", "ae_mlp", DIGITS, scratch, frozen_encoder),
    Case("first layer frozen", "ae_mlp", DIGITS, scratch, frozen_layer),
    Case("encoder frozen", "ae_mlp", GREY, scratch, frozen_encoder),
    Case(f"{LATENT} latent units", "ae_mlp", DIGITS, latent_scratch, latent),
    Case("grey to colour", "ae_conv", COLOUR, colour_scratch, colour),
    Case("grey to colour, spread", "ae_conv", COLOUR, colour_scratch, colour_spread),
    Case("batch statistics frozen", "normalised", FRAMED, normalised_scratch, normalised_frozen),
    Case("batch statistics moving", "normalised", FRAMED, normalised_scratch, normalised),
    Case("batch statistics frozen", "normalised", DIGITS, normalised_scratch, normalised_frozen),
)


class Measurements:
    """Results on file, and what adds to them."""

    def __init__(self, path):
        self._path = Path(path)
        self._results = {}
        for line in self._path.read_text().splitlines() if self._path.exists() else ():
            self._keep(json.loads(line))

    def _keep(self, result):
        key = (result[k] for k in ("model", "target", "way", "rows", "rate", "seed"))
        self._results[tuple(key)] = result

    def get(self, case, way, rows, rate, seed):
        """The result of a fit, or None."""
        return self._results.get((case.model, case.target, way.__name__, rows, rate, seed))

    def rate(self, case, way, rows):
        """The learning rate with the lowest validation loss of the first seed; None if unknown."""
        rates = RATES[case.model]
        found = {rate: self.get(case, way, rows, rate, SEEDS[0]) for rate in rates}
        if None in found.values():
            return None
        return min(rates, key=lambda rate: found[rate]["validation"])

    def of_seeds(self, case, way, rows):
        """The results of all seeds with the chosen rate; None where one is missing."""
        results = [self.get(case, way, rows, self.rate(case, way, rows), seed) for seed in SEEDS]
        return None if None in results else results

    def add(self, case):
        """Do the fits of a case that have not been done."""
        for way in (case.scratch, case.tuned):
            for rows in case.rows:
                for rate in RATES[case.model]:
                    self._fit(case, way, rows, rate, SEEDS[0])
                for seed in SEEDS[1:]:
                    self._fit(case, way, rows, self.rate(case, way, rows), seed)

    def _fit(self, case, way, rows, rate, seed):
        if self.get(case, way, rows, rate, seed) is not None:
            return
        result = {"model": case.model, "target": case.target, "way": way.__name__}
        result |= {"rows": rows, "rate": rate, "seed": seed}
        result |= fit(way, case.model, _data(case.target), rows, rate, seed)
        print(json.dumps(result), file=sys.stderr, flush=True)
        self._keep(result)
        with self._path.open("a") as file:
            file.write(json.dumps(result) + "\n")


@functools.cache
def _data(target):
    return TARGETS[target]()


def fit(way, name, data, rows, rate, seed):
    """Train on so many rows, and measure: squared errors, summed over pixels, means over rows."""
    drawn = np.random.default_rng(seed).permutation(len(data.train))[:rows]
    start = time.monotonic()
    model = _begun(way, name, rate, seed)
    stop = keras.callbacks.EarlyStopping(
        patience=PATIENCE, min_delta=2e-5, restore_best_weights=True
    )
    history = model.fit(
        data.train[drawn],
        batch_size=BATCH,
        epochs=EPOCHS,
        steps_per_epoch=STEPS,
        validation_data=(data.validation,),
        validation_batch_size=200,
        callbacks=[stop],
        verbose=0,
    )
    seconds = time.monotonic() - start
    losses = history.history["val_loss"]
    errors = {
        part: float(np.mean(_squared_errors(model, getattr(data, part))))
        for part in ("validation", "test")
    }
    best = int(np.argmin(losses)) + 1
    return {**errors, "best": best, "epochs": len(losses), "seconds": round(seconds, 1)}


def _begun(way, name, rate, seed):
    """A compiled model as it begins, in one whose programs earlier fits have compiled."""
    model = _kept(way, name)
    keras.utils.set_random_seed(seed)
    fresh = way(name)
    fresh.compile(keras.optimizers.Adam(rate))
    kept = (*model.variables, *model.optimizer.variables)
    begun = (*fresh.variables, *fresh.optimizer.variables)
    for own, new in zip(kept, begun, strict=True):
        own.assign(new)
    return model


@functools.cache
def _kept(way, name):
    model = way(name)
    # XLA for CPUs makes dense networks faster, and convolutions slower.
    model.compile("adam", jit_compile=name != "ae_conv")
    return model


def _squared_errors(model, x):
    return np.square(model.predict(x, batch_size=200, verbose=0) - x).sum(axis=(1, 2, 3))


def print_table(measurements):
    """All that is measured, as Markdown."""
    rows = []
    for case in CASES:
        ways = (case.scratch, case.tuned)
        for count in case.rows:
            found = [measurements.of_seeds(case, way, count) for way in ways]
            if None in found:
                continue
            before, after = (np.array([r["test"] for r in results]) for results in found)
            cells = [f"{part.mean():.2f} ± {part.std(ddof=1):.2f}" for part in (before, after)]
            rates = [f"{measurements.rate(case, way, count):g}" for way in ways]
            steps = [f"{STEPS * np.mean([r['best'] for r in of]):,.0f}" for of in found]
            ratio = f"{np.mean(after / before):.2f}"
            who = [case.title, f"`{case.model}`", case.target, count]
            rows.append([*who, *cells, ratio, ", ".join(rates), ", ".join(steps)])
    header = ["", "model", "target", "rows", "from scratch", "fine-tuned", "ratio", "rates"]
    table([*header, "steps to the best"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", action="store_true", help="what is on file, and no more")
    parser.add_argument("--output", default="finetuning.jsonl", help="file of results")
    arguments = parser.parse_args()
    measurements = Measurements(arguments.output)
    if not arguments.table:
        for case in CASES:
            measurements.add(case)
    print_table(measurements)


if __name__ == "__main__":
    main()
