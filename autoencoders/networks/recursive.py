"""Recursive networks: neighbours merged two by two until one node is left, and split again.

One merge network makes a node of every two, one split network gives them back, at every level
of the tree: Pollack, "Recursive distributed representations" (Artificial Intelligence 46, 1990).
The decoder unfolds the whole tree below the root, and only the leaves are compared with the input:
the unfolding recursive autoencoder of Socher, Huang, Pennington, Ng & Manning, "Dynamic pooling and
unfolding recursive autoencoders for paraphrase detection" (NIPS 2011). There a parser gives the
tree; here it is balanced, so that a series of n steps has ⌈log₂ n⌉ levels.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from autoencoders.arguments import Declared, Structure
from autoencoders.networks.dense import size
from autoencoders.networks.sequences import SequenceDecoder, layer_units, series_shape
from autoencoders.serialization import PACKAGE
from autoencoders.types import Activation, Shape, Sizes, Tensor


def recursive(
    input_shape: Sequence[int | None] | int,
    latent_dim: Sizes,
    units: Sizes = (64,),
    *,
    activation: Activation = "tanh",
    code: bool = True,
    code_activation: Activation = "linear",
    output: Activation = "linear",
    parameters: int = 1,
    encoder: keras.Layer | None = None,
    decoder: keras.Layer | None = None,
) -> tuple[keras.Layer, keras.Layer]:
    """Encoder that merges the steps of a series up a balanced binary tree, and its mirror image.

    Steps 1 and 2, 3 and 4, ... are merged, then the nodes that this makes, until one is left; of an
    odd number the last is carried up as it is. Padding takes no part: a padded series has the tree
    of the series without it.

    Args:
        input_shape: `(steps, features)`; steps None for series of any length.
        latent_dim: Number of latent units.
        units: Units of the merge network's layers, in order; the last is the width of a node. The
            split network reverses them.
        activation: Activation of these layers, and of the one that embeds a step as a node.
        code: Whether the encoder ends with the linear code layer of `latent_dim` units. Models
            whose bottleneck makes the code from the features go without.
        code_activation: Activation of the code layer.
        output: Activation of the decoder's output.
        parameters: Numbers that the decoder puts out for each element (`Likelihood.parameters`).
        encoder, decoder: Networks to give back instead of the recursive ones.

    Returns:
        `(encoder, decoder)`: `(batch, steps, features)` to `(batch, latent_dim)` (or the features),
        and a `RecursiveDecoder`.

    Raises:
        ValueError: an `input_shape` that is not a series'.
    """
    if encoder is not None and decoder is not None:
        return encoder, decoder
    input_shape = series_shape(input_shape)
    units = layer_units(units)
    if encoder is None:
        inputs = keras.Input(input_shape)
        x = RecursiveEncoder(units, activation=activation, name="tree")(inputs)
        if code:
            code_units = size(latent_dim, "latent_dim")
            x = layers.Dense(code_units, activation=code_activation, name="code")(x)
        encoder = keras.Model(inputs, x, name="encoder")
    if decoder is None:
        decoder = RecursiveDecoder(
            input_shape[-1],
            units[::-1],
            activation=activation,
            output=output,
            parameters=parameters,
            name="decoder",
        )
    return encoder, decoder


@keras.saving.register_keras_serializable(PACKAGE)
class RecursiveEncoder(Declared, layers.Layer):
    """The root of a balanced binary tree over the steps of a series.

    Args:
        units: Units of the merge network's layers, in order; the last is the width of a node.
        activation: Activation of these layers, and of the one that embeds a step as a node.
    """

    units = Structure()
    activation = Structure(serialize=keras.activations.serialize)

    def __init__(
        self, units: Sizes = (64,), *, activation: Activation = "tanh", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.units = layer_units(units)
        self.activation = keras.activations.get(activation)
        arguments = {"activation": self.activation, "dtype": self.dtype_policy}
        self.embedding = layers.Dense(self.units[-1], name="embedding", **arguments)
        self.merge = [
            layers.Dense(count, name=f"merge_{i}", **arguments)
            for i, count in enumerate(self.units, 1)
        ]
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        """Create the weights for series of shape `(batch, steps, features)`."""
        self.embedding.build(input_shape)
        _build(self.merge, 2 * self.units[-1])

    def call(self, series: Tensor, mask: Tensor | None = None) -> Tensor:
        """The root: `(batch, steps, features)` to `(batch, units[-1])`.

        Raises:
            ValueError: the number of steps is not known when a graph is traced.
        """
        given = _all(series.shape[1]) if mask is None else mask
        nodes = self.embedding(series)
        nodes = ops.where(given[..., None], nodes, ops.zeros_like(nodes))
        for present in _tree(given):
            pairs = ops.reshape(_even(nodes), (-1, present.shape[1], 2, self.units[-1]))
            merged = ops.reshape(pairs, (-1, present.shape[1], 2 * self.units[-1]))
            for layer in self.merge:
                merged = layer(merged)
            alone = ops.where(present[..., :1], pairs[:, :, 0], pairs[:, :, 1])
            nodes = ops.where(ops.all(present, axis=-1, keepdims=True), merged, alone)
        return nodes[:, 0]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """`(batch, units[-1])`."""
        return (input_shape[0], self.units[-1])

    def compute_mask(self, inputs: Tensor, mask: Tensor | None = None) -> None:
        """None: the root has no steps."""


@keras.saving.register_keras_serializable(PACKAGE)
class RecursiveDecoder(Declared, SequenceDecoder):
    """Unfolds a code down a balanced binary tree into the steps of a series.

    Args:
        features: Features of each step of the series.
        units: Units of the split network's layers: the first is the width of a node, and behind the
            last comes a layer for the two nodes below.
        activation: Activation of these layers, and of the one that makes the root from the code.
        output: Activation of the output.
        parameters: Numbers to put out for each element (`Likelihood.parameters`).
    """

    features = Structure()
    units = Structure()
    activation = Structure(serialize=keras.activations.serialize)
    output_activation = Structure(argument="output", serialize=keras.activations.serialize)
    parameters = Structure()

    def __init__(
        self,
        features: int,
        units: Sizes = (64,),
        *,
        activation: Activation = "tanh",
        output: Activation = "linear",
        parameters: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.features = size(features, "features")
        self.units = layer_units(units)
        self.activation = keras.activations.get(activation)
        self.output_activation = keras.activations.get(output)
        self.parameters = parameters
        arguments = {"activation": self.activation, "dtype": self.dtype_policy}
        self.root = layers.Dense(self.units[0], name="root", **arguments)
        self.split = [
            layers.Dense(count, name=f"split_{i}", **arguments)
            for i, count in enumerate((*self.units[1:], 2 * self.units[0]), 1)
        ]
        self.dense = layers.Dense(
            parameters * features,
            activation=self.output_activation,
            dtype=self.dtype_policy,
            name="output",
        )

    def build(self, latent_shape: Shape) -> None:
        """Create the weights for codes of shape `(batch, latent_dim)`."""
        self.root.build(latent_shape)
        _build(self.split, self.units[0])
        self.dense.build((None, None, self.units[0]))

    def call(
        self,
        latent: Tensor,
        steps: int,
        mask: Tensor | None = None,
        target: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor:
        """The parameters of the series: `(batch, latent_dim)` to `(batch, steps, features)`.

        Raises:
            ValueError: the number of steps is not known when a graph is traced.
        """
        levels = _tree(_all(steps) if mask is None else mask)
        nodes = ops.expand_dims(self.root(latent), axis=1)
        for level, present in reversed(list(enumerate(levels))):
            below = nodes
            for layer in self.split:
                below = layer(below)
            below = ops.reshape(below, (-1, present.shape[1], 2, self.units[0]))
            both = ops.all(present, axis=-1)[..., None, None]
            below = ops.where(both, below, ops.expand_dims(nodes, axis=2))
            count = levels[level - 1].shape[1] if level else steps
            nodes = ops.reshape(below, (-1, 2 * present.shape[1], self.units[0]))[:, :count]
        return self.dense(nodes)


def _tree(mask):
    """Which nodes of the tree there are: `(batch, pairs, 2)` for each level, from the leaves up.

    A node is there if one below it is. Where only one of a pair is there, it is carried up. There
    is a level even over a single step, so that no weight is ever without a gradient.
    """
    levels = []
    _known(mask.shape[1])
    while mask.shape[1] > 1 or not levels:
        mask = _even(mask)
        levels.append(ops.reshape(mask, (-1, mask.shape[1] // 2, 2)))
        mask = ops.any(levels[-1], axis=-1)
    return levels


def _even(nodes):
    """The nodes of a level, with one of zeros behind them if their number is odd."""
    if nodes.shape[1] % 2 == 0:
        return nodes
    return ops.concatenate([nodes, ops.zeros_like(nodes[:, :1])], axis=1)


def _all(steps):
    return ops.ones((1, _known(steps)), dtype="bool")


def _known(steps):
    if not isinstance(steps, int):
        raise ValueError(
            "A recursive network's tree follows from the number of steps, which these batches "
            "leave open. Pass arrays to `fit`, each of one length; or pad series to one length, "
            "with a `mask_value`, and state it in a pipeline: "
            "`dataset.map(lambda x: tf.ensure_shape(x, (None, steps, features)))`."
        )
    return steps


def _build(network, width):
    for layer in network:
        layer.build((None, None, width))
        width = layer.units
