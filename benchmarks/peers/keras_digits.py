"""A whole `fit` on the digits with a model that is new every time, compiling included."""

import autoencoders as package
from autoencoders import datasets
from benchmarks.peers import keras_models


def autoencoders(name, epochs, turns):
    """The zoo's model, as it comes."""
    return _fit([_zoo(name) for _ in range(turns)], epochs)


def stock(name, epochs, turns):
    """The same networks and losses in a hand-written `train_step`."""
    models = [keras_models.hand_written(_zoo(name), jit_compile=False) for _ in range(turns)]
    return _fit(models, epochs)


def _zoo(name):
    return package.get(name, input_shape=(8, 8, 1))


def _fit(models, epochs):
    (x, _), _ = datasets.digits()
    return lambda: models.pop().fit(x, epochs=epochs, verbose=0)
