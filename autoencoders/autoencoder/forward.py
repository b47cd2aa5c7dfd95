"""From rows to reconstructions: the forward pass, step by step.

The functions are methods of `Autoencoder`, whose class body names them.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import keras
from keras import ops

from autoencoders.autoencoder.fitting import check_code, check_output, one_tensor
from autoencoders.distributions.posteriors import DiagonalGaussian
from autoencoders.layers import Drawn, Encoding, Inputs
from autoencoders.networks import SequenceDecoder
from autoencoders.training import gradients
from autoencoders.types import Shape, Tensor

if TYPE_CHECKING:
    from autoencoders.autoencoder.base import Autoencoder


def inputs_of(self: Autoencoder, x: Tensor | tuple[Tensor, Tensor] | Inputs) -> Inputs:
    """The `layers.Inputs` of what `call` takes: rows, or rows and labels."""
    if isinstance(x, Inputs):
        return x
    if self.needs_labels and not isinstance(x, (tuple, list)):
        raise TypeError(
            f"{self.name!r} needs labels beside the rows: call it with both, `model((x, labels))`. "
            "What hands on one tensor alone, such as `keras.Sequential`, cannot contain it."
        )
    rows, labels = x if self.needs_labels else (x, None)
    return Inputs(rows, labels, self.padding_mask(rows))


def padding_mask(self: Autoencoder, rows: Tensor) -> Tensor | None:
    """Where the steps of series are not padding, `(batch, steps)`; None without a mask value."""
    if self.mask_value is None:
        return None
    # Keras may have lowered the precision of the rows on their way in: the value follows them.
    return ops.any(ops.not_equal(rows, ops.cast(self.mask_value, rows.dtype)), axis=-1)


def features(
    self: Autoencoder, inputs: Inputs, training: bool | None, corrupt: bool = True
) -> Tensor:
    """What the encoder gives: `(batch, ...)`.

    Args:
        inputs: `layers.Inputs`.
        training: Whether to run as in training, with corruption and dropout.
        corrupt: False to leave the corruption out in training, too.
    """
    rows = inputs.rows
    if corrupt and self.corruption is not None:
        rows = self.corruption(rows, training=training)
    if inputs.mask is None:  # The mask is the clean input's: noise would hide the padding.
        return one_tensor("encoder", self.encoder(rows, training=training))
    rows = ops.copy(rows)  # Keras notes the mask on the tensor, which others use without it.
    with masks_pass(self):
        return one_tensor("encoder", self.encoder(rows, training=training, mask=inputs.mask))


@contextmanager
def masks_pass(self: Autoencoder) -> Iterator[None]:
    """Keep Keras from warning that a model loses a mask: the model's layers do get it."""
    with warnings.catch_warnings():
        if isinstance(self.encoder, keras.Model):
            name = re.escape(self.encoder.name)
            warnings.filterwarnings("ignore", f"Layer '{name}' .* an input with a mask")
        yield


def code(self: Autoencoder, features: Tensor) -> Tensor:
    """The deterministic code of features: `(batch, *latent_shape)`."""
    return features if self.bottleneck is None else self.bottleneck(features)


def drawn(self: Autoencoder, features: Tensor, training: bool) -> Drawn:
    """What the bottleneck makes of features for a loss: `layers.Drawn`."""
    if self.bottleneck is None:
        return Drawn(features, {})
    made = Drawn(*self.bottleneck.draw(features, training))
    if made.posterior is None and self.posterior_family is DiagonalGaussian:
        made = made._replace(posterior=DiagonalGaussian(*self.bottleneck.posterior(features)))
    return made


def encoding(self: Autoencoder, inputs: Inputs, training: bool) -> Encoding:
    """The `layers.Encoding` of `layers.Inputs`: their features, and what is drawn from them."""
    return encoding_of(self, inputs, self.features(inputs, training), training)


def encoding_of(self: Autoencoder, inputs: Inputs, features: Tensor, training: bool) -> Encoding:
    """The `layers.Encoding` of inputs whose features are known."""

    def code(rows):
        others = inputs._replace(rows=rows)
        return self.code(self.features(others, training, corrupt=False))

    vector_jacobian = partial(gradients.vector_jacobian, code, inputs.rows)
    plain = self.bottleneck is None and self.corruption is None
    encoder = self.encoder if plain else None
    drawn = self.drawn(features, training)
    return Encoding(inputs, features, drawn, training, encoder, vector_jacobian)


def decoder_output(
    self: Autoencoder,
    latent: Tensor,
    inputs: Inputs,
    training: bool | None,
    target: Tensor | None = None,
) -> Tensor:
    """What the decoder puts out for codes: with the target, as many as the loss sees.

    Args:
        latent: Codes `(batch, *latent_shape)`; with a target `num_samples` for each row.
        inputs: The `layers.Inputs` whose codes they are.
        training: Whether to run as in training.
        target: What they are to become, for decoders that are shown it in training.
    """
    check_code(self, latent)
    if not isinstance(self.decoder, SequenceDecoder):
        return one_tensor("decoder", self.decoder(latent, training=training))
    mask = inputs.mask
    if target is not None:
        mask, target = self.repeated(mask), self.repeated(target)
        target = target if training else None
    steps = ops.shape(inputs.rows)[1]
    return self.decoder(latent, steps=steps, mask=mask, target=target, training=training)


def reconstruct(
    self: Autoencoder, latent: Tensor, inputs: Inputs, training: bool | None = None
) -> Tensor:
    """The reconstruction from one code for each row; padding comes back as it is."""
    output = self.decoder_output(latent, inputs, training)
    check_output(self, output, inputs.rows)
    reconstruction = self.mean_of(output)
    if inputs.mask is not None:
        mask = inputs.mask[..., None]
        reconstruction = ops.where(mask, reconstruction, self.mask_value)
    return reconstruction


def repeated(self: Autoencoder, rows: Tensor | None) -> Tensor | None:
    """Each row as often as the loss sees a code of it; None stays None."""
    if rows is None or self.num_samples == 1:
        return rows
    return ops.repeat(rows, self.num_samples, axis=0)


def per_row(self: Autoencoder, values: Tensor) -> Tensor:
    """The mean over a row's codes, where there is a value for each code."""
    if self.num_samples == 1 or len(values.shape) == 0:
        return values
    return ops.mean(ops.reshape(values, (-1, self.num_samples)), axis=-1)


def mean_of(self: Autoencoder, output: Tensor) -> Tensor:
    """The reconstruction that the decoder's output stands for: its likelihood's mean."""
    output = ops.cast(output, self.variable_dtype)
    return output if self.likelihood is None else self.likelihood.mean(output)


def call(
    self: Autoencoder, x: Tensor | tuple[Tensor, Tensor] | Inputs, training: bool | None = None
) -> Tensor:
    """The reconstruction of x, of the same shape; what `predict` returns.

    In training it adds to `losses` what `add_terms` says. The model's own steps do not come here,
    but those of a larger model that contains it do.
    """
    inputs = self.inputs_of(x)
    features = self.features(inputs, training)
    if training:
        encoding = encoding_of(self, inputs, features, True)
        self.add_terms(encoding)
        latent = encoding.latent[:: self.num_samples]
    else:
        latent = self.code(features)
    return self.reconstruct(latent, inputs, training)


def compute_output_shape(self: Autoencoder, input_shape: Shape) -> Shape:
    """That of the rows: `(batch, *input_shape)`."""
    return tuple(input_shape[0] if isinstance(input_shape[0], (tuple, list)) else input_shape)


def run_parts(self: Autoencoder, inputs: Inputs, training: bool) -> tuple[Tensor, Tensor]:
    """Call every part once, as `build` needs it; a subclass adds its own.

    Args:
        inputs: `layers.Inputs`.
        training: Whether to run the parts as in training.

    Returns:
        The code and the reconstruction.
    """
    features = self.features(inputs, training)
    code = self.code(features)  # This builds the bottleneck, which may draw afterwards.
    encoding = encoding_of(self, inputs, features, training)
    for penalty in self.penalties:
        penalty.of(encoding)
    return code, self.reconstruct(code, inputs, training)
