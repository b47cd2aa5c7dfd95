"""Recurrent networks: a series to one code, and one code to a series.

The encoder reads a series step by step, and what its last layer has seen in the end makes the
code; the decoder unfolds the code again. Sutskever, Vinyals & Le, "Sequence to sequence learning
with neural networks" (2014, arXiv:1409.3215); Srivastava, Mansimov & Salakhutdinov, "Unsupervised
learning of video representations using LSTMs" (2015, arXiv:1502.04681).
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from autoencoders.arguments import Declared, Part, Structure
from autoencoders.losses import Likelihood
from autoencoders.networks.dense import size
from autoencoders.networks.sequences import SequenceDecoder, layer_units, series_shape
from autoencoders.registry import unknown
from autoencoders.serialization import PACKAGE
from autoencoders.types import Activation, KnownShape, Sizes, Tensor

_LAYERS = {"gru": layers.GRU, "lstm": layers.LSTM, "rnn": layers.SimpleRNN}
_CELLS = {"gru": layers.GRUCell, "lstm": layers.LSTMCell, "rnn": layers.SimpleRNNCell}


def recurrent(
    input_shape: Sequence[int | None] | int,
    latent_dim: Sizes,
    units: Sizes = (64,),
    *,
    cell: str = "lstm",
    bidirectional: bool = False,
    decoder_cell: str | None = None,
    decoder_bidirectional: bool | None = None,
    reverse_targets: bool = False,
    teacher_forcing: bool = False,
    activation: Activation = "tanh",
    code: bool = True,
    code_activation: Activation = "linear",
    output: Activation = "linear",
    parameters: int = 1,
    likelihood: Likelihood | None = None,
    masked: bool = False,
    encoder: keras.Layer | None = None,
    decoder: keras.Layer | None = None,
) -> tuple[keras.Layer, keras.Layer]:
    """Recurrent encoder, many steps to one code, and decoder, one code to many steps.

    Args:
        input_shape: `(steps, features)`; steps None for series of any length.
        latent_dim: Number of latent units.
        units: Units of the encoder's recurrent layers, in order; the decoder reverses them.
        cell: "lstm", "gru" or "rnn" (tanh units that see their own last output, as in Elman 1990).
        bidirectional: Whether each layer has a second half, of as many units, that reads the series
            from its end (Schuster & Paliwal 1997).
        decoder_cell, decoder_bidirectional: The decoder's, where they differ from the encoder's.
        reverse_targets, teacher_forcing: As in `RecurrentDecoder`.
        activation: Activation of the recurrent layers.
        code: Whether the encoder ends with the linear code layer of `latent_dim` units. Models
            whose bottleneck makes the code from the features go without.
        code_activation: Activation of the code layer.
        output: Activation of the decoder's output.
        parameters, likelihood: As in `RecurrentDecoder`.
        masked: Whether series come padded, to a model with a `mask_value`. cuDNN's kernels, which
            Keras takes on a GPU, fail at a row that is padding alone.
        encoder, decoder: Networks to give back instead of the recurrent ones.

    Returns:
        `(encoder, decoder)`: `(batch, steps, features)` to `(batch, latent_dim)` (or the features),
        and a `RecurrentDecoder`.

    Raises:
        ValueError: an `input_shape` that is not a series', an unknown cell, or teacher forcing of a
            bidirectional decoder.
    """
    if encoder is not None and decoder is not None:
        return encoder, decoder
    input_shape = series_shape(input_shape)
    units = layer_units(units)
    if encoder is None:
        x = inputs = keras.Input(input_shape)
        for i, count in enumerate(units, 1):
            arguments = {"activation": activation, "return_sequences": i < len(units)}
            x = _layer(cell, count, bidirectional, masked, f"hidden_{i}", **arguments)(x)
        if code:
            code_units = size(latent_dim, "latent_dim")
            x = layers.Dense(code_units, activation=code_activation, name="code")(x)
        encoder = keras.Model(inputs, x, name="encoder")
    if decoder is None:
        decoder = RecurrentDecoder(
            input_shape[-1],
            units[::-1],
            cell=decoder_cell or cell,
            bidirectional=bidirectional if decoder_bidirectional is None else decoder_bidirectional,
            reverse_targets=reverse_targets,
            teacher_forcing=teacher_forcing,
            activation=activation,
            output=output,
            parameters=parameters,
            likelihood=likelihood,
            masked=masked,
            name="decoder",
        )
    return encoder, decoder


@keras.saving.register_keras_serializable(PACKAGE)
class RecurrentDecoder(Declared, SequenceDecoder):
    """Recurrent layers that unfold one code into a series, and a dense layer for each step.

    Every step sees the code. With teacher forcing it sees the element before it, too: in training
    the clean one of the target, otherwise what the decoder has put out itself, as data: the mean
    of its likelihood (probabilities, where these are logits), never the parameters. The first step
    sees zeros in its place. So the loss of an evaluation is that of reconstructions from the code
    alone.

    Args:
        features: Features of each step of the series.
        units: Units of the recurrent layers, in order.
        cell: "lstm", "gru" or "rnn".
        bidirectional: Whether each layer has a second half that goes from the end to the beginning.
        reverse_targets: Whether to unfold the series from its end, where the encoder has been last,
            so that what is to be put out first has been seen last (Sutskever et al. 2014;
            Srivastava et al. 2015). The output has the order of the input all the same. (To a
            bidirectional decoder, which goes both ways, it makes no difference.)
        teacher_forcing: Whether each step sees the element before it (Williams & Zipser 1989).
        activation: Activation of the recurrent layers.
        output: Activation of the output.
        parameters: Numbers to put out for each element (`Likelihood.parameters`).
        likelihood: The model's `losses.Likelihood`, whose mean teacher forcing feeds back; without
            one that is the output itself.
        masked: Whether it is called with masks; see `recurrent`.

    Raises:
        ValueError: an unknown cell; or teacher forcing of a bidirectional decoder, half of which
            would see what it has yet to put out, or without the likelihood that tells what several
            parameters for each element mean.
    """

    features = Structure()
    units = Structure()
    cell = Structure()
    bidirectional = Structure()
    reverse_targets = Structure()
    teacher_forcing = Structure()
    activation = Structure(serialize=keras.activations.serialize)
    output_activation = Structure(argument="output", serialize=keras.activations.serialize)
    parameters = Structure()
    likelihood = Part()
    masked = Structure()

    def __init__(
        self,
        features: int,
        units: Sizes = (64,),
        *,
        cell: str = "lstm",
        bidirectional: bool = False,
        reverse_targets: bool = False,
        teacher_forcing: bool = False,
        activation: Activation = "tanh",
        output: Activation = "linear",
        parameters: int = 1,
        likelihood: Likelihood | None = None,
        masked: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if teacher_forcing and bidirectional:
            raise ValueError(
                "Teacher forcing shows each step the one before it, which a bidirectional decoder "
                "has no order for. Pass `decoder_bidirectional=False`, or no `teacher_forcing`."
            )
        if teacher_forcing and parameters > 1 and likelihood is None:
            raise ValueError(
                f"Teacher forcing feeds reconstructions back; with {parameters} parameters for "
                "each element only the `likelihood` tells what they are."
            )
        self.features = size(features, "features")
        self.units = layer_units(units)
        self.cell = cell
        self.bidirectional = bidirectional
        self.reverse_targets = reverse_targets
        self.teacher_forcing = teacher_forcing
        self.activation = keras.activations.get(activation)
        self.output_activation = keras.activations.get(output)
        self.parameters = parameters
        self.likelihood = likelihood
        self.masked = masked
        dtype = self.dtype_policy
        self.dense = layers.Dense(
            parameters * features, activation=self.output_activation, dtype=dtype, name="output"
        )
        hidden = [(f"hidden_{i}", count) for i, count in enumerate(self.units, 1)]
        arguments = {"activation": self.activation, "dtype": dtype}
        series = {"return_sequences": True, "go_backwards": self._backwards}
        if teacher_forcing:
            make = _known(cell, _CELLS)
            cells = [make(count, name=name, **arguments) for name, count in hidden]
            loop = _Feedback(cells, self.dense, features, likelihood, dtype=dtype, name="feedback")
            self.hidden = [layers.RNN(loop, dtype=dtype, **series)]
        else:
            self.hidden = [
                _layer(cell, count, bidirectional, masked, name, **arguments, **series)
                for name, count in hidden
            ]

    @property
    def _backwards(self):
        return self.reverse_targets and not self.bidirectional

    def build(self, latent_shape: KnownShape) -> None:
        """Create the weights for codes of shape `(batch, latent_dim)`."""
        width = latent_shape[-1]
        if self.teacher_forcing:
            self.hidden[0].build((None, None, width + self.features))
            return
        for layer, count in zip(self.hidden, self.units, strict=True):
            layer.build((None, None, width))
            width = 2 * count if self.bidirectional else count
        self.dense.build((None, None, width))

    def call(
        self,
        latent: Tensor,
        steps: int | Tensor,
        mask: Tensor | None = None,
        target: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor:
        """The parameters of the series: `(batch, latent_dim)` to `(batch, steps, features)`."""
        shape = (ops.shape(latent)[0], steps, latent.shape[-1])
        x = ops.broadcast_to(ops.expand_dims(latent, axis=1), shape)
        if self.teacher_forcing and target is not None:
            x = ops.concatenate([x, target], axis=-1)
        for layer in self.hidden:
            # Without flipping the mask: padding stays at the end, where it is skipped first.
            x = layer(x, mask=mask, training=training)
            if self._backwards:
                x = ops.flip(x, axis=1)
        return x if self.teacher_forcing else self.dense(x)


class _Feedback(layers.Layer):
    """A cell for `keras.layers.RNN` of the decoder's cells and output, fed with what came before.

    The element before is part of its state, which padding leaves alone as it does the cells'. An
    input is the code, and behind it the step's element where the target is known.
    """

    def __init__(self, cells, dense, features, likelihood, **kwargs):
        super().__init__(**kwargs)
        self.cells = cells
        self.dense = dense
        self.features = features
        self.likelihood = likelihood
        # Flat: Keras's loop takes no nested states with a mask.
        self.states_of = [keras.tree.flatten(cell.state_size) for cell in cells]
        self.state_size = [features, *(size for sizes in self.states_of for size in sizes)]
        self.output_size = dense.units

    def build(self, input_shape):
        width = input_shape[-1]
        self.latent_dim = width - self.features
        for cell in self.cells:
            cell.build((None, width))
            width = cell.units
        self.dense.build((None, width))

    def call(self, inputs, states, training=None):
        element, *states = states
        x = ops.concatenate([inputs[:, : self.latent_dim], element], axis=-1)
        new_states = []
        for cell, own in zip(self.cells, self.states_of, strict=True):
            x, new = cell(x, states[: len(own)], training=training)
            states = states[len(own) :]
            new_states.extend(new)
        output = self.dense(x)
        if inputs.shape[-1] > self.latent_dim:
            element = inputs[:, self.latent_dim :]
        else:
            element = output if self.likelihood is None else self.likelihood.mean(output)
        return output, [element, *new_states]


def _layer(cell, units, bidirectional, masked, name, **arguments):
    make = _known(cell, _LAYERS)
    if masked and cell != "rnn":
        arguments["use_cudnn"] = False
    if not bidirectional:
        return make(units, name=name, **arguments)
    layer = make(units, name=cell, **arguments)
    return layers.Bidirectional(layer, name=name, dtype=arguments.get("dtype"))


def _known(cell, table):
    if cell not in table:
        raise ValueError(unknown("cell", cell, table))
    return table[cell]
