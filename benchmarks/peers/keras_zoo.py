"""A zoo model's training: an epoch as it comes and in Keras's own loop; whole fits in each loop."""

import time

import keras
import numpy as np

import autoencoders as package

# A whole fit that takes longer than this many seconds is given up.
_LONGEST = 1_500.0


def autoencoders(name, data, labels, batch_size):
    """`fit` of this package, as it comes."""
    return _fit(name, data, labels, batch_size)


def stock(name, data, labels, batch_size):
    """The same step in Keras's loop, a launch for every batch."""
    return _fit(name, data, labels, batch_size, steps_per_execution=1)


def whole(name, data, labels, batch_size, epochs, **options):
    """A `fit` of several epochs with a model that is new every time, compiling included."""
    x = np.load(data)

    def run():
        model = _model(name, x.shape[1:], **options)
        y = np.load(labels) if model.labels else None
        model.fit(x, y, batch_size, epochs, verbose=0, callbacks=[_GiveUp()])

    return run


class _GiveUp(keras.callbacks.Callback):
    every_batch = False

    def on_train_begin(self, logs=None):
        self._begin = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        if time.perf_counter() - self._begin > _LONGEST:
            raise TimeoutError(f"given up after {_LONGEST:.0f} s")


def _fit(name, data, labels, batch_size, **options):
    x = np.load(data)
    model = _model(name, x.shape[1:], **options)
    y = np.load(labels) if model.labels else None
    return lambda: model.fit(x, y, batch_size=batch_size, verbose=0)


def _model(name, shape, **options):
    own = _dropout_mlp if name == "dropout_mlp" else package.get
    model = own(name, input_shape=shape)
    if options:
        optimizers = dict(list(model.phase_optimizers.items())[1:])
        model.compile(model.optimizer, phase_optimizers=optimizers, **options)
    return model


def _dropout_mlp(name, input_shape):
    """A network of one's own with a layer that draws as Keras does."""
    encoder, decoder = package.networks.mlp(input_shape, 32, (256,))
    encoder = keras.Sequential([keras.Input(input_shape), keras.layers.Dropout(0.2), encoder])
    model = package.Autoencoder(encoder, decoder, name=name)
    model.compile("adam")
    return model
