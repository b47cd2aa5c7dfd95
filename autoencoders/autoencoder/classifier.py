"""A classifier on top of a trained model's codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np

from autoencoders.autoencoder.forward import masks_pass

if TYPE_CHECKING:
    from autoencoders.autoencoder.base import Autoencoder


def to_classifier(self: Autoencoder, num_classes: int, *, name: str | None = None) -> keras.Model:
    """A classifier of the latent codes: this model's encoder with a softmax layer behind it.

    It shares its layers with this model: training it changes the encoder here, too, whose
    decoder then no longer fits (and, with tied weights, changes). To keep a copy, save this
    model first. To train the new layer alone, set `trainable = False` on the encoder (and the
    bottleneck) beforehand.

    Args:
        num_classes: Number of classes.
        name: Name of the classifier.

    Returns:
        `keras.Model` from `(n, *input_shape)` to class probabilities `(n, num_classes)`,
        compiled for integer labels with Adam, to be compiled otherwise at will.

    Raises:
        ValueError: less than two classes, codes of no fixed shape, or codes that need labels.
    """
    if not isinstance(num_classes, (int, np.integer)) or num_classes < 2:
        raise ValueError(f"`num_classes` must be an integer, 2 or more; got {num_classes!r}.")
    if None in self.latent_shape:
        raise ValueError(f"{self.name!r} has codes of open shape {self.latent_shape}.")
    if self.needs_labels:
        raise ValueError(f"{self.name!r} needs labels to encode: they cannot be what it tells.")
    rows = x = keras.Input(self.row_shape, name="rows")
    if self.mask_value is not None:
        x = keras.layers.Masking(self.mask_value)(x)
    with masks_pass(self):
        code = self.encoder(x)
    if self.bottleneck is not None:
        code = self.bottleneck.code_layer()(code)
    if len(self.latent_shape) > 1:
        code = keras.layers.Flatten("channels_last", name="flatten")(code)
    head = keras.layers.Dense(
        int(num_classes), activation="softmax", dtype=self.variable_dtype, name="classes"
    )
    classifier = keras.Model(rows, head(code), name=name or f"{self.name}_classifier")
    classifier.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    # If the optimizer made its variables in the first step, that would be traced twice.
    classifier.optimizer.build(classifier.trainable_variables)
    return classifier
