"""Dense networks."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from autoencoders.arguments import Declared, Structure
from autoencoders.checks import is_integer
from autoencoders.serialization import PACKAGE
from autoencoders.types import Activation, Shape, Sizes, Tensor


def mlp(
    input_shape: Sequence[int | None] | int,
    latent_dim: Sizes,
    hidden_units: Sizes = (),
    *,
    activation: Activation = "relu",
    code: bool = True,
    code_activation: Activation = "linear",
    output: Activation = "linear",
    parameters: int = 1,
    tied_weights: bool = False,
    encoder: keras.Layer | None = None,
    decoder: keras.Layer | None = None,
) -> tuple[keras.Layer, keras.Layer]:
    """Dense encoder and its mirror image as decoder, for inputs of any shape.

    Args:
        input_shape: Shape of one row, without the batch axis. It is flattened, and restored.
        latent_dim: Number of latent units; or the shape of a code of several vectors, which the
            code layer restores and the decoder flattens.
        hidden_units: Units of the encoder's hidden layers, in order; the decoder reverses them.
        activation: Activation of the hidden layers.
        code: Whether the encoder ends with the linear code layer of `latent_dim` units. Models
            whose bottleneck makes the code from the features go without.
        code_activation: Activation of the code layer.
        output: Activation of the decoder's last layer.
        parameters: Numbers that the decoder puts out for each element (`Likelihood.parameters`).
        tied_weights: Whether the decoder's layers have the encoder's kernels, transposed
            (`DenseTranspose`); of no effect where one of the networks is given.
        encoder, decoder: Networks to give back instead of the dense ones.

    Returns:
        `(encoder, decoder)`: `(batch, *input_shape)` to `(batch, latent_dim)` (or the features),
        and `(batch, latent_dim)` back to `(batch, *input_shape)`.

    Raises:
        ValueError: sizes that are not integers, a dense network for rows without a fixed shape, or
            tied weights of networks that do not mirror each other.
    """
    if encoder is not None and decoder is not None:
        return encoder, decoder
    tied = tied_weights and encoder is None and decoder is None
    if tied and (parameters != 1 or not code):
        raise ValueError("Tied weights need a code layer, and one output for each element.")
    dense = DenseTranspose if tied else layers.Dense
    input_shape = sizes(input_shape, "input_shape")
    hidden_units = sizes(hidden_units, "hidden_units")
    latent_shape = sizes(latent_dim, "latent_dim")
    if encoder is None:
        x = inputs = keras.Input(input_shape)
        if len(input_shape) != 1:
            x = layers.Flatten("channels_last", name="flatten")(x)
        x = _hidden(x, hidden_units, activation)
        if code:
            units = math.prod(latent_shape)
            x = layers.Dense(units, activation=code_activation, name="code")(x)
            if len(latent_shape) != 1:
                x = layers.Reshape(latent_shape, name="grid")(x)
        encoder = keras.Model(inputs, x, name="encoder")
    if decoder is None:
        x = inputs = keras.Input(latent_shape)
        if len(latent_shape) != 1:
            x = layers.Flatten("channels_last", name="flatten")(x)
        x = _hidden(x, hidden_units[::-1], activation, dense)
        output_shape = (*input_shape[:-1], parameters * input_shape[-1])
        x = dense(math.prod(output_shape), activation=output, name="output")(x)
        if len(input_shape) != 1:
            x = layers.Reshape(output_shape, name="reshape")(x)
        decoder = keras.Model(inputs, x, name="decoder")
    return encoder, decoder


def discriminator(
    latent_dim: int,
    hidden_units: Sizes,
    *,
    activation: Activation = "relu",
    name: str = "discriminator",
) -> keras.Model:
    """Dense network from a latent code to one logit: `(batch, latent_dim)` to `(batch, 1)`."""
    inputs = keras.Input((size(latent_dim, "latent_dim"),))
    x = _hidden(inputs, sizes(hidden_units, "discriminator_units"), activation)
    return keras.Model(inputs, layers.Dense(1, name="logit")(x), name=name)


class _Reference:
    """Holds a layer that is another's to save and to count: Keras does not look in here."""

    def __init__(self, layer=None):
        self.layer = layer


@keras.saving.register_keras_serializable(PACKAGE)
class DenseTranspose(Declared, layers.Layer):
    """A dense layer of a decoder that has the kernel of one of the encoder's, transposed.

    An `Autoencoder` ties these layers of its decoder to the `Dense` layers of its encoder, the
    first to the last and so on, in the order of `encoder.layers`, whenever it is made, from a file
    as well. Only the bias is a weight of this layer: the kernel is saved, copied and frozen with
    the encoder, and a decoder that is saved alone works only once an `Autoencoder` ties it again.

    Args:
        units: Number of units: that of the other layer's inputs.
        activation: Activation of the output.
    """

    units = Structure()
    activation = Structure(serialize=keras.activations.serialize)

    def __init__(self, units: int, activation: Activation = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        (self.units,) = sizes(units, "units")
        self.activation = keras.activations.get(activation)
        self.supports_masking = True
        self._inputs = None
        self._tied = _Reference()

    def tie(self, layer: keras.layers.Dense) -> None:
        """Take the kernel of `layer`, a `keras.layers.Dense`, from now on.

        Raises:
            ValueError: its kernel is of another shape, or this layer has that of another already.
        """
        self.check(layer)
        self._tied = _Reference(layer)

    def check(self, layer: keras.layers.Dense) -> None:
        """See that this layer may have the kernel of `layer`, as far as the two are built.

        Raises:
            ValueError: it is of another shape, or this layer has that of another already.
        """
        if self._tied.layer not in (None, layer):
            raise ValueError(
                f"{self.name!r} is tied to {self._tied.layer.name!r} of another encoder already: "
                "make another decoder for this one, for instance by `keras.models.clone_model`."
            )
        if self.built and layer.built and tuple(layer.kernel.shape) != (self.units, self._inputs):
            raise ValueError(
                f"{self.name!r} makes {self.units} units of {self._inputs}, but {layer.name!r}, "
                f"whose kernel it is to have, {layer.units} of {layer.kernel.shape[0]}."
            )

    def build(self, input_shape: Shape) -> None:
        """Create the bias."""
        self._inputs = input_shape[-1]
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")

    def call(self, inputs: Tensor) -> Tensor:
        """`(batch, ..., other layer's units)` to `(batch, ..., units)`.

        Raises:
            ValueError: the layer is not tied, or to one that is not built or of another shape.
        """
        layer = self._tied.layer
        if layer is None:
            raise ValueError(
                f"{self.name!r} is tied to no layer of an encoder: it works only in the decoder of "
                "an `Autoencoder`, which ties it, and not within another layer there."
            )
        if not layer.built:
            raise ValueError(
                f"{layer.name!r}, whose kernel {self.name!r} is to have, has none yet: build the "
                "encoder first."
            )
        self.check(layer)
        return self.activation(ops.matmul(inputs, ops.transpose(kernel_of(layer))) + self.bias)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """`(batch, ..., units)`."""
        return (*input_shape[:-1], self.units)


def kernel_of(layer: keras.layers.Dense) -> Tensor:
    """The kernel that a dense layer computes with, adapters included: `(inputs, units)`.

    Of a layer that is quantised it is what its integers stand for.

    Raises:
        ValueError: the layer is quantised in another way than "int8", "int4" or "float8".
    """
    mode, parts = layer.quantization_mode, vars(layer)
    if mode in (None, "float8"):
        return layer.kernel
    if mode not in ("int8", "int4") or layer.lora_enabled:
        raise ValueError(
            f"Other layers need the kernel of {layer.name!r}, which cannot be read while it is "
            f"quantised ({mode}) and adapted, or by {mode}. Quantise by 'int8' or 'int4'."
        )
    integers = ops.cast(layer.kernel, layer.compute_dtype)
    if "g_idx" not in parts:  # one scale for each unit, and for groups of inputs otherwise
        return integers / layer.kernel_scale
    groups = ops.cast(parts["g_idx"], "int32")
    scale, zero = (
        ops.take(part, groups, axis=0) for part in (layer.kernel_scale, layer.kernel_zero)
    )
    return (integers - ops.cast(zero, integers.dtype)) * scale


def tie(encoder: keras.Layer, decoder: keras.Layer) -> None:
    """Tie the decoder's `DenseTranspose` layers, where it has any, to the encoder's `Dense` layers.

    The first to the last, and so on: the decoder is the encoder's mirror image.

    Raises:
        ValueError: there are not as many of the one as of the other, or they do not fit.
    """
    transposed = _layers_of(decoder, DenseTranspose)
    if not transposed:
        return
    dense = _layers_of(encoder, layers.Dense)
    if len(dense) != len(transposed):
        names = [", ".join(layer.name for layer in found) for found in (transposed, dense)]
        raise ValueError(
            f"The decoder has {len(transposed)} DenseTranspose layers to tie ({names[0]}), but the "
            f"encoder {len(dense)} Dense layers ({names[1]}): it must have as many."
        )
    pairs = list(zip(transposed, reversed(dense), strict=True))
    for layer, other in pairs:  # before any is tied
        layer.check(other)
    for layer, other in pairs:
        layer.tie(other)


def _layers_of(network, kind):
    """The layers of this kind, those of networks in the network among them."""
    if isinstance(network, keras.Model):
        return [layer for part in network.layers for layer in _layers_of(part, kind)]
    return [network] if isinstance(network, kind) else []


def sizes(values: Any, name: str) -> tuple[int, ...]:
    """One positive integer, or several, as a tuple of Python's.

    Raises:
        ValueError: they are something else.
    """
    several = values.tolist() if isinstance(values, np.ndarray) else values
    several = several if isinstance(several, (list, tuple)) else (several,)
    if not all(is_integer(value, 1) for value in several):
        raise ValueError(f"`{name}` must be positive integers such as (256, 64), got {values!r}.")
    return tuple(map(int, several))


def size(value: Any, name: str) -> int:
    """One positive integer, as Python's.

    Raises:
        ValueError: it is something else.
    """
    if not is_integer(value, 1):
        raise ValueError(f"`{name}` must be one positive integer, got {value!r}.")
    return int(value)


def _hidden(x, hidden_units, activation, dense=layers.Dense):
    for i, units in enumerate(hidden_units, 1):
        x = dense(units, activation=activation, name=f"hidden_{i}")(x)
    return x
