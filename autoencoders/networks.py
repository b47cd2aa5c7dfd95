"""Encoder and decoder networks, as plain functional Keras models."""

import math

import keras
from keras import layers


def mlp(input_shape, latent_dim, hidden_units=(), *, activation="relu", code=True, output="linear"):
    """Dense encoder and its mirror image as decoder, for inputs of any shape.

    Args:
        input_shape: Shape of one row, without the batch axis. It is flattened, and restored.
        latent_dim: Number of latent units.
        hidden_units: Units of the encoder's hidden layers, in order; the decoder reverses them.
        activation: Activation of the hidden layers.
        code: Whether the encoder ends with the linear code layer of `latent_dim` units. Models
            whose bottleneck makes the code from the features go without.
        output: Activation of the decoder's last layer.

    Returns:
        `(encoder, decoder)`: `(batch, *input_shape)` to `(batch, latent_dim)` (or the features),
        and `(batch, latent_dim)` back to `(batch, *input_shape)`.
    """
    input_shape = tuple(input_shape)
    if any(size is None for size in input_shape):
        raise ValueError(f"Dense networks need a fixed `input_shape`, got {input_shape}.")

    x = inputs = keras.Input(input_shape)
    if len(input_shape) != 1:
        x = layers.Flatten(name="flatten")(x)
    for i, units in enumerate(hidden_units, 1):
        x = layers.Dense(units, activation=activation, name=f"hidden_{i}")(x)
    if code:
        x = layers.Dense(latent_dim, name="code")(x)
    encoder = keras.Model(inputs, x, name="encoder")

    x = inputs = keras.Input((latent_dim,))
    for i, units in enumerate(reversed(hidden_units), 1):
        x = layers.Dense(units, activation=activation, name=f"hidden_{i}")(x)
    x = layers.Dense(math.prod(input_shape), activation=output, name="output")(x)
    if len(input_shape) != 1:
        x = layers.Reshape(input_shape, name="reshape")(x)
    decoder = keras.Model(inputs, x, name="decoder")
    return encoder, decoder


def discriminator(latent_dim, hidden_units, *, activation="relu"):
    """Dense network from a latent code to one logit: `(batch, latent_dim)` to `(batch, 1)`."""
    x = inputs = keras.Input((latent_dim,))
    for i, units in enumerate(hidden_units, 1):
        x = layers.Dense(units, activation=activation, name=f"hidden_{i}")(x)
    return keras.Model(inputs, layers.Dense(1, name="logit")(x), name="discriminator")
