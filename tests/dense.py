"""A small dense autoencoder for tests, over rows of six features."""

import numpy as np

import autoencoders
from autoencoders import layers, networks

RNG = np.random.default_rng(0)


def rows():
    return RNG.normal(size=(40, 6)).astype("float32")


def build(**parts):
    model = autoencoders.Autoencoder(*networks.mlp((6,), 3, (8,)), **parts)
    model.compile("adam")
    return model


def penalty():
    return layers.ActivityPenalty(l1=0.1)
