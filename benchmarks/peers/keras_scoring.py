"""Reconstruction errors in Keras: this package's, and `predict` followed by NumPy."""

import keras
import numpy as np

from autoencoders import get, networks


def autoencoders(data):
    """`reconstruction_error`, as it comes."""
    x = np.load(data)
    model = _ours()
    return lambda: model.reconstruction_error(x)


def predict(data):
    """The package's `predict` at its default batch size."""
    return _predict_and_subtract(_ours(), data)


def predict_large(data):
    """The package's `predict` in large batches."""
    return _predict_and_subtract(_ours(), data, batch_size=4096)


def stock(data):
    """Keras's `predict` at its default batch size."""
    return _predict_and_subtract(_stock(), data)


def stock_large(data):
    """Keras's `predict` in large batches."""
    return _predict_and_subtract(_stock(), data, batch_size=4096)


def _ours():
    return get("ae_mlp", input_shape=(784,), latent_dim=32, hidden_units=(256,))


def _stock():
    encoder, decoder = networks.mlp((784,), 32, (256,))
    return keras.Sequential([encoder, decoder])


def _predict_and_subtract(model, data, **options):
    x = np.load(data)
    return lambda: np.square(x - model.predict(x, verbose=0, **options)).mean(axis=1)
