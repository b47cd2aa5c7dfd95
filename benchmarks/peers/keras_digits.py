"""A whole `fit` on the digits with a model that is new every time, compiling included."""

import keras

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


def annealed(name, epochs, turns, batch_size, jit_compile, anneal):
    """The zoo's model, whose bottleneck's `beta` is set before every epoch, to a new value or not.

    Each fit is timed with a model that is new; a callback is there either way.
    """
    models = [_zoo(name) for _ in range(turns)]
    for model in models:
        model.compile(model.optimizer, jit_compile=jit_compile)
    (x, _), _ = datasets.digits()

    def run():
        model = models.pop()
        callbacks = [_SetBeta(anneal)]
        model.fit(x, batch_size=batch_size, epochs=epochs, callbacks=callbacks, verbose=0)

    return run


class _SetBeta(keras.callbacks.Callback):
    def __init__(self, anneal):
        super().__init__()
        self._anneal = anneal

    def on_epoch_begin(self, epoch, logs=None):
        self.model.bottleneck.beta = 1.0 + 0.01 * epoch * self._anneal


def _zoo(name):
    return package.get(name, input_shape=(8, 8, 1))


def _fit(models, epochs):
    (x, _), _ = datasets.digits()
    return lambda: models.pop().fit(x, epochs=epochs, verbose=0)
