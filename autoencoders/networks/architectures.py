"""Networks that are still to be made, as values: what they are built of, but not for which model.

A builder (a function of `autoencoders.models`) knows what its networks have to put out: a code or
features, rows or the parameters of a likelihood. An architecture knows everything else.

    >>> from autoencoders import models, networks
    >>> network = networks.Conv((28, 28, 1), filters=(32, 64))
    >>> model = models.vae(network, latent_dim=10, beta=4.0)
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import keras
import numpy as np

from autoencoders.checks import plain
from autoencoders.losses import Likelihood
from autoencoders.networks.convolutional import conv, conv1d
from autoencoders.networks.dense import mlp, sizes
from autoencoders.networks.endings import is_network
from autoencoders.networks.recurrent import recurrent
from autoencoders.networks.recursive import recursive
from autoencoders.types import Activation, Networks, Sizes


@dataclass(frozen=True)
class Architecture:
    """Base class of the architectures; used itself, it takes both networks from you.

    A subclass describes networks by its arguments. An `encoder` or a `decoder` of your own takes
    the place of the one that it describes.

    Args:
        input_shape: Shape of one row, without the batch axis.
        encoder: Your own network in place of the one described. It ends with the code; in models
            whose bottleneck makes the code, with features of any shape.
        decoder: Your own network in place of the one described, from the code to a row; in models
            with a likelihood, to its parameters (logits for "bernoulli", means for "gaussian").
    """

    input_shape: int | Sequence[int | None] = (28, 28, 1)
    encoder: keras.Layer | None = field(default=None, kw_only=True)
    decoder: keras.Layer | None = field(default=None, kw_only=True)

    ties_weights: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, (list, np.ndarray)):  # which could not be hashed
                value = tuple(value)
            object.__setattr__(self, one.name, plain(value))
        for name, network in (("encoder", self.encoder), ("decoder", self.decoder)):
            if network is not None:
                is_network(name, network)

    def build(
        self,
        latent_dim: Sizes,
        *,
        likelihood: Likelihood | None = None,
        tied_weights: bool = False,
        **ends: Any,
    ) -> Networks:
        """Networks around a code that is one vector.

        Args:
            latent_dim: Units of the code.
            likelihood: The likelihood whose parameters the decoder puts out; None for rows.
            tied_weights: Whether the decoder's kernels are the encoder's, transposed.
            ends: How the networks end: `code`, False for an encoder that ends with features;
                `code_activation`; and `output`, the activation of the decoder's last layer.

        Raises:
            ValueError: sizes or rows that such networks cannot have, or weights they cannot tie.
        """
        if tied_weights and self.ties_weights:
            ends["tied_weights"] = True
        elif tied_weights and self.encoder is None and self.decoder is None:
            kind = type(self).__name__
            raise ValueError(f"{kind} networks cannot tie weights: pass `tied_weights=False`.")
        ends["parameters"] = 1 if likelihood is None else likelihood.parameters
        ends |= {"encoder": self.encoder, "decoder": self.decoder}
        return self.made(latent_dim, likelihood, **ends)

    def build_grid(self, code_dim: int, *, likelihood: Likelihood) -> Networks:
        """Networks around a code of several vectors: a grid of places, each of `code_dim` units.

        Raises:
            ValueError: such networks have one vector as their code.
        """
        if self.encoder is not None and self.decoder is not None:
            return {"encoder": self.encoder, "decoder": self.decoder}
        raise ValueError(
            f"{type(self).__name__} networks have one vector as their code, and this model needs "
            "several: take Conv, Conv1D or MLPGrid."
        )

    def made(self, latent_dim: Sizes, likelihood: Likelihood | None, **ends: Any) -> Networks:
        """What `build` gives; `ends` are the arguments that every function of `networks` takes."""
        if self.encoder is None or self.decoder is None:
            raise ValueError(
                f"{type(self).__name__} describes no networks around a code of one vector: take "
                "MLP, for instance, or pass both `encoder` and `decoder`."
            )
        return {"encoder": self.encoder, "decoder": self.decoder}


@dataclass(frozen=True)
class MLP(Architecture):
    """Dense networks, for rows of any shape.

    Args:
        input_shape: Shape of one row, without the batch axis; it is flattened, and restored.
        hidden_units: Units of the encoder's hidden layers; the decoder mirrors them.
        activation: Activation of the hidden layers.
        encoder, decoder: As in `Architecture`.
    """

    hidden_units: Sizes = (256,)
    activation: Activation = "relu"

    ties_weights: ClassVar[bool] = True

    def made(self, latent_dim: Sizes, likelihood: Likelihood | None, **ends: Any) -> Networks:
        """As in `Architecture`; a `latent_dim` of several sizes is the shape of several vectors."""
        encoder, decoder = mlp(
            self.input_shape, latent_dim, self.hidden_units, activation=self.activation, **ends
        )
        return {"encoder": encoder, "decoder": decoder}


@dataclass(frozen=True)
class MLPGrid(Architecture):
    """Dense networks around a code of several vectors.

    Args:
        input_shape: Shape of one row, without the batch axis; it is flattened, and restored.
        latent_dim: Number of vectors: of places, each of which has a code.
        hidden_units: Units of the encoder's hidden layers.
        decoder_units: Units of the decoder's; those of the encoder in reverse unless given.
        activation: Activation of the hidden layers.
        encoder, decoder: As in `Architecture`.
    """

    latent_dim: int = 8
    hidden_units: Sizes = (256,)
    decoder_units: Sizes | None = None
    activation: Activation = "relu"

    def build_grid(self, code_dim: int, *, likelihood: Likelihood) -> Networks:
        """As in `Architecture`."""
        ends = {"activation": self.activation, "parameters": likelihood.parameters}
        code = (self.latent_dim, code_dim)
        hidden_units = sizes(self.hidden_units, "hidden_units")
        mirrored = hidden_units
        if self.decoder_units is not None:
            mirrored = sizes(self.decoder_units, "decoder_units")[::-1]
        encoder, decoder = self.encoder, self.decoder
        if encoder is None:
            encoder, _ = mlp(self.input_shape, code, hidden_units, **ends)
        if decoder is None:
            _, decoder = mlp(self.input_shape, code, mirrored, **ends)
        return {"encoder": encoder, "decoder": decoder}


@dataclass(frozen=True)
class Conv(Architecture):
    """Convolutional networks, for images of any size.

    Args:
        input_shape: `(height, width, channels)`.
        filters: Filters of the encoder's layers, each of which halves height and width; the
            decoder mirrors them. In models whose code is a grid, it has the last layer's places.
        kernel_size: Height and width of every kernel.
        activation: Activation of the hidden layers.
        encoder, decoder: As in `Architecture`.
    """

    filters: Sizes = (32, 64)
    kernel_size: int = 3
    activation: Activation = "relu"

    function: ClassVar[Any] = staticmethod(conv)

    def made(self, latent_dim: Sizes, likelihood: Likelihood | None, **ends: Any) -> Networks:
        """As in `Architecture`."""
        ends |= {"kernel_size": self.kernel_size, "activation": self.activation}
        encoder, decoder = self.function(self.input_shape, latent_dim, self.filters, **ends)
        return {"encoder": encoder, "decoder": decoder}

    def build_grid(self, code_dim: int, *, likelihood: Likelihood) -> Networks:
        """As in `Architecture`: the encoder ends with the features at each place."""
        return self.build(code_dim, likelihood=likelihood, code=False, grid=True)


@dataclass(frozen=True)
class Conv1D(Conv):
    """Convolutional networks, for series of any fixed length.

    Args:
        input_shape: `(steps, channels)`.
        filters: Filters of the encoder's layers, each of which halves the steps; the decoder
            mirrors them. In models whose code is a grid, it has the last layer's places.
        kernel_size: Steps that every kernel spans.
        activation: Activation of the hidden layers.
        encoder, decoder: As in `Architecture`.
    """

    input_shape: Sequence[int] = (140, 1)
    filters: Sizes = (16, 32)
    kernel_size: int = 7

    function: ClassVar[Any] = staticmethod(conv1d)


@dataclass(frozen=True)
class Recurrent(Architecture):
    """Recurrent networks: one code for a whole series.

    With teacher forcing, as in Bowman et al., "Generating sentences from a continuous space" (2015,
    arXiv:1511.06349), a variational decoder tends to do without the code, as they found; `warm_up`
    is their remedy. `evaluate` gives the loss of what is decoded from the code alone.

    Args:
        input_shape: `(steps, features)`; steps None for series of any length.
        units: Units of the encoder's recurrent layers; the decoder mirrors them.
        cell: "lstm", "gru" or "rnn".
        bidirectional: Whether every layer reads the series from both ends.
        decoder_cell: The decoder's cell, where it differs from the encoder's.
        decoder_bidirectional: The same for `bidirectional`.
        reverse_targets: Whether the decoder unfolds the series from its end.
        teacher_forcing: Whether the decoder sees, beside the code, the element before: the clean
            one in training, its own otherwise.
        mask_value: Number that stands for padding behind the end of a series.
        encoder, decoder: As in `Architecture`.
    """

    input_shape: Sequence[int | None] = (140, 1)
    units: Sizes = (64,)
    cell: str = "lstm"
    bidirectional: bool = False
    decoder_cell: str | None = None
    decoder_bidirectional: bool | None = None
    reverse_targets: bool = False
    teacher_forcing: bool = False
    mask_value: float | None = None

    def made(self, latent_dim: Sizes, likelihood: Likelihood | None, **ends: Any) -> Networks:
        """As in `Architecture`."""
        encoder, decoder = recurrent(
            self.input_shape,
            latent_dim,
            self.units,
            cell=self.cell,
            bidirectional=self.bidirectional,
            decoder_cell=self.decoder_cell,
            decoder_bidirectional=self.decoder_bidirectional,
            reverse_targets=self.reverse_targets,
            teacher_forcing=self.teacher_forcing,
            likelihood=likelihood,
            masked=self.mask_value is not None,
            **ends,
        )
        return {"encoder": encoder, "decoder": decoder, "mask_value": self.mask_value}


@dataclass(frozen=True)
class Recursive(Architecture):
    """Recursive networks: a series merged up a balanced binary tree, and split again.

    Args:
        input_shape: `(steps, features)`; steps None for series of any length.
        units: Units of the layers that merge two nodes, the last of them the width of a node; the
            decoder's split mirrors them.
        activation: Activation of these layers.
        mask_value: Number that stands for padding behind the end of a series.
        encoder, decoder: As in `Architecture`.
    """

    input_shape: Sequence[int | None] = (140, 1)
    units: Sizes = (64,)
    activation: Activation = "tanh"
    mask_value: float | None = None

    def made(self, latent_dim: Sizes, likelihood: Likelihood | None, **ends: Any) -> Networks:
        """As in `Architecture`."""
        encoder, decoder = recursive(
            self.input_shape, latent_dim, self.units, activation=self.activation, **ends
        )
        return {"encoder": encoder, "decoder": decoder, "mask_value": self.mask_value}
