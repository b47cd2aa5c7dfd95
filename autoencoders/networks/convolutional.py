"""Convolutional networks, for images and series of any size."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from autoencoders.networks.dense import size, sizes
from autoencoders.types import Activation, Sizes

# Whatever order of the axes Keras is set to: a model and its files mean the same everywhere.
_SAME: dict[str, Any] = {"padding": "same", "data_format": "channels_last"}


def conv(
    input_shape: Sequence[int | None] | int,
    latent_dim: Sizes,
    filters: Sizes = (32, 64),
    *,
    kernel_size: int = 3,
    activation: Activation = "relu",
    code: bool = True,
    code_activation: Activation = "linear",
    grid: bool = False,
    output: Activation = "linear",
    parameters: int = 1,
    encoder: keras.Layer | None = None,
    decoder: keras.Layer | None = None,
) -> tuple[keras.Layer, keras.Layer]:
    """Convolutional encoder and its mirror image as decoder, for images.

    Each layer of the encoder halves height and width (rounding up), each of the decoder doubles
    them, and crops what the rounding added: any size from 1 up comes back.

    Args:
        input_shape: `(height, width, channels)`.
        latent_dim: Number of latent units.
        filters: Filters of the encoder's layers, in order; the decoder reverses them.
        kernel_size: Height and width of every kernel.
        activation: Activation of the hidden layers.
        code: Whether the encoder ends with the linear code layer of `latent_dim` units. Models
            whose bottleneck makes the code from the features go without.
        code_activation: Activation of the code layer.
        grid: Whether the code is a grid, `latent_dim` units at every place of the last layer,
            rather than one vector.
        output: Activation of the decoder's last layer.
        parameters: Numbers that the decoder puts out for each element (`Likelihood.parameters`).
        encoder, decoder: Networks to give back instead of the convolutional ones.

    Returns:
        `(encoder, decoder)`: `(batch, height, width, channels)` to `(batch, latent_dim)`, or the
        grid `(batch, h, w, latent_dim)`, or the features; and from the code back.

    Raises:
        ValueError: rows that are not images, or sizes that are not integers.
    """
    options: dict[str, Any] = dict(kernel_size=kernel_size, activation=activation)
    options |= dict(code=code, grid=grid)
    options |= dict(code_activation=code_activation, output=output, parameters=parameters)
    options |= dict(encoder=encoder, decoder=decoder)
    return _convolutional(2, input_shape, latent_dim, filters, **options)


def conv1d(
    input_shape: Sequence[int | None] | int,
    latent_dim: Sizes,
    filters: Sizes = (32, 64),
    **options: Any,
) -> tuple[keras.Layer, keras.Layer]:
    """As `conv`, for series: `input_shape` is `(steps, channels)`."""
    return _convolutional(1, input_shape, latent_dim, filters, **options)


def conv_discriminator(
    input_shape: Sequence[int | None] | int,
    filters: Sizes = (32, 64),
    *,
    kernel_size: int = 5,
) -> keras.Model:
    """Convolutional network from images to the features of its last hidden layer, and to one logit.

    Args:
        input_shape: `(height, width, channels)`.
        filters: Filters of its layers, each of which halves height and width.
        kernel_size: Height and width of every kernel.

    Returns:
        Keras model: `(batch, *input_shape)` to `(batch, features)` and `(batch, 1)`.
    """
    x = inputs = keras.Input(sizes(input_shape, "input_shape"))
    options = {"strides": 2, "activation": "leaky_relu", **_SAME}
    for i, units in enumerate(sizes(filters, "filters"), 1):
        x = layers.Conv2D(units, kernel_size, name=f"conv_{i}", **options)(x)
    x = layers.Flatten("channels_last", name="flatten")(x)
    # The features have unit variance, so that training keeps the scale of their distances.
    features = layers.LayerNormalization(center=False, scale=False, name="features")(x)
    logit = layers.Dense(1, name="logit")(features)
    return keras.Model(inputs, [features, logit], name="discriminator")


_CONV = {1: layers.Conv1D, 2: layers.Conv2D}
_TRANSPOSE = {1: layers.Conv1DTranspose, 2: layers.Conv2DTranspose}
_CROP = {
    1: lambda surplus, name: layers.Cropping1D(surplus[0], name=name),
    2: lambda surplus, name: layers.Cropping2D(
        tuple(surplus), data_format="channels_last", name=name
    ),
}
_ROWS = {1: "series (steps, channels)", 2: "images (height, width, channels)"}


def _convolutional(
    rank: int,
    input_shape: Sequence[int | None] | int,
    latent_dim: Sizes,
    filters: Sizes,
    *,
    kernel_size: int = 3,
    activation: Activation = "relu",
    code: bool = True,
    code_activation: Activation = "linear",
    grid: bool = False,
    output: Activation = "linear",
    parameters: int = 1,
    encoder: keras.Layer | None = None,
    decoder: keras.Layer | None = None,
) -> tuple[keras.Layer, keras.Layer]:
    if encoder is not None and decoder is not None:
        return encoder, decoder
    input_shape = sizes(input_shape, "input_shape")
    filters = sizes(filters, "filters")
    if len(input_shape) != rank + 1:
        raise ValueError(f"This network takes {_ROWS[rank]}, got `input_shape={input_shape}`.")
    if not filters:
        raise ValueError("A convolutional network needs at least one layer: `filters=(32,)`.")
    *spatial, channels = input_shape
    latent_dim = size(latent_dim, "latent_dim")
    grids = [tuple(spatial)]  # its size after each layer
    for _ in filters:
        grids.append(tuple(math.ceil(size / 2) for size in grids[-1]))
    options = {"activation": activation, **_SAME}

    if encoder is None:
        x = inputs = keras.Input(input_shape)
        for i, units in enumerate(filters, 1):
            name = f"conv_{i}"
            x = _CONV[rank](units, kernel_size, strides=2, name=name, **options)(x)
        if not grid:
            x = layers.Flatten("channels_last", name="flatten")(x)
        if code:
            x = layers.Dense(latent_dim, activation=code_activation, name="code")(x)
        encoder = keras.Model(inputs, x, name="encoder")

    if decoder is None:
        if grid:
            x = inputs = keras.Input((*grids[-1], latent_dim))
        else:
            x = inputs = keras.Input((latent_dim,))
            deepest = (*grids[-1], filters[-1])
            x = layers.Dense(math.prod(deepest), activation=activation, name="expand")(x)
            x = layers.Reshape(deepest, name="reshape")(x)
        for i, units in reversed(list(enumerate(filters, 1))):
            name = f"transpose_{i}"
            x = _TRANSPOSE[rank](units, kernel_size, strides=2, name=name, **options)(x)
            surplus = [
                (0, 2 * after - before)
                for before, after in zip(grids[i - 1], grids[i], strict=True)
            ]
            if any(end for _, end in surplus):
                x = _CROP[rank](surplus, name=f"crop_{i}")(x)
        options = {"activation": output, **_SAME}
        x = _CONV[rank](parameters * channels, kernel_size, name="output", **options)(x)
        decoder = keras.Model(inputs, x, name="decoder")
    return encoder, decoder
