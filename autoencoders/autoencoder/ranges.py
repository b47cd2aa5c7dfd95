"""The range of what a model is trained on: what its loss takes, and what is worth a remark."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from autoencoders import losses
from autoencoders.autoencoder import fitting
from autoencoders.checks import remark
from autoencoders.networks import endings

if TYPE_CHECKING:
    from autoencoders.autoencoder.base import Autoencoder

# What scaling to a range may miss it by, in single precision.
_ROUNDING = 1e-6

# By so much values may leave the range of the decoder's output unnoticed.
_TOLERANCE = 0.01

# An image whose largest value is beyond this has values of 0 to 255.
_BRIGHT = 50.0

# A row of at least so many numbers may be an image that was flattened.
_LEAST_PIXELS = 64


def target_range(self: Autoencoder) -> tuple[float, float]:
    """The smallest and the largest value that the likelihood or the compiled loss takes."""
    if self.likelihood is not None:
        return self.likelihood.support
    taken = losses.taken_by(self.compiled_loss)
    if taken is None:
        return losses.Likelihood.support
    low, high = taken.targets
    return low - _ROUNDING, high + _ROUNDING


def usual_range(self: Autoencoder) -> tuple[float, float]:
    """The range in which targets are neither out of the decoder's reach nor like bytes."""
    low, high = _reach(self)
    return low - _TOLERANCE, min(high + _TOLERANCE, _BRIGHT if _is_image(self._row_shape) else 254)


def remark_on(self: Autoencoder, targets: np.ndarray) -> None:
    """Warn of targets that the decoder cannot reach, and of images that are not scaled.

    Args:
        targets: Some of them, `(n, *row_shape)`.
    """
    values = targets if self.mask_value is None else targets[targets != self.mask_value]
    if not values.size:
        return
    low, high = (float(value) for value in (values.min(), values.max()))
    reach = _reach(self)
    if low < reach[0] - _TOLERANCE or high > reach[1] + _TOLERANCE:
        end = fitting.described(fitting.ending_of(self))
        remark(
            f"{self.name!r} cannot reconstruct all of what it is given: its decoder ends in {end}, "
            f"but there are values from {low:g} to {high:g}. Scale the data to that range, or let "
            "the decoder end in a linear layer (the zoo's models: `output='linear'`)."
        )
    elif _are_bytes(values, self._row_shape, low, high) and not _is_made_for_bytes(self):
        remark(
            f"{self.name!r} is given what looks like images with values of 0 to 255. Networks and "
            "losses are made for values near 0: scale them, `x.astype('float32') / 255`, or begin "
            "the encoder with `keras.layers.Rescaling(1 / 255)`."
        )


def _reach(self):
    """The range of the reconstruction, as far as the decoder's last activation tells."""
    likelihood, end = self.likelihood, fitting.ending_of(self)
    means = (losses.Likelihood.mean, losses.Gaussian.mean)
    is_mean = likelihood is None or (likelihood.parameters == 1 and type(likelihood).mean in means)
    return (end.low, end.high) if end is not None and is_mean else (-math.inf, math.inf)


def _is_image(row_shape):
    return len(row_shape) == 3 and (row_shape[-1] in (1, 3, 4) or row_shape[0] in (1, 3, 4))


def _are_bytes(values, row_shape, low, high):
    if low < 0 or high > 255:
        return False
    if _is_image(row_shape):
        return high > _BRIGHT
    # Tables hold such numbers, too, but hardly the whole range of a byte and nothing between.
    wide = None in row_shape or math.prod(row_shape) >= _LEAST_PIXELS
    return wide and low == 0 and high == 255 and bool((values == np.rint(values)).all())


def _is_made_for_bytes(self):
    """Whether the model scales rows itself, or has a likelihood of their units."""
    scale = 1.0
    if isinstance(self.likelihood, losses.Gaussian):
        scale = self.likelihood.stddev or 1.0
    elif isinstance(self.likelihood, losses.Laplace):
        scale = self.likelihood.scale
    return scale > 2.0 or endings.scales(self.encoder)
