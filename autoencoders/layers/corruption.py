"""Corruption processes: noise on the input while training, nothing otherwise.

Vincent et al., "Stacked Denoising Autoencoders" (JMLR 11, 2010), section 3.3.
"""

from typing import Any

import keras
from keras import ops

from autoencoders import draws
from autoencoders.arguments import Declared, Number, Structure
from autoencoders.registry import unknown
from autoencoders.serialization import PACKAGE
from autoencoders.types import Shape, Tensor


class _Corruption(Declared, keras.layers.Layer):
    """Calls `corrupt` on the input when training."""

    seed = Structure()

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        return self.corrupt(inputs) if training else inputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def uniform(self, inputs: Tensor) -> Tensor:
        return draws.uniform(ops.shape(inputs), dtype=self.compute_dtype, seed=self.seed_generator)


@keras.saving.register_keras_serializable(PACKAGE)
class GaussianNoise(_Corruption):
    """Adds isotropic Gaussian noise. Unlike Keras's layer, `stddev` may exceed 1.

    Args:
        stddev: Standard deviation of the noise, in the units of the data; 0 or more.
        seed: Integer, for a fixed noise sequence.
    """

    stddev = Number(at_least=0)

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed=seed, **kwargs)
        self.stddev = stddev

    def corrupt(self, inputs: Tensor) -> Tensor:
        """`inputs` plus the noise, of the same shape."""
        noise = draws.normal(ops.shape(inputs), dtype=self.compute_dtype, seed=self.seed_generator)
        return inputs + ops.cast(self.stddev, noise.dtype) * noise


@keras.saving.register_keras_serializable(PACKAGE)
class MaskingNoise(_Corruption):
    """Sets a random share of the inputs to zero, and does not rescale the rest (as dropout does).

    Args:
        rate: The share, in [0, 1].
        seed: Integer, for a fixed noise sequence.
    """

    rate = Number(at_least=0, at_most=1)

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed=seed, **kwargs)
        self.rate = rate

    def corrupt(self, inputs: Tensor) -> Tensor:
        """`inputs` with the chosen elements at zero, of the same shape."""
        draw = self.uniform(inputs)
        return ops.where(draw < ops.cast(self.rate, draw.dtype), ops.zeros_like(inputs), inputs)


@keras.saving.register_keras_serializable(PACKAGE)
class SaltAndPepperNoise(_Corruption):
    """Sets a random share of the inputs to `low` or `high`, by the toss of a fair coin.

    Args:
        rate: The share, in [0, 1].
        low, high: The two extreme values of the data.
        seed: Integer, for a fixed noise sequence.
    """

    rate = Number(at_least=0, at_most=1)
    low = Number()
    high = Number()

    def __init__(
        self,
        rate: float,
        low: float = 0.0,
        high: float = 1.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, **kwargs)
        self.rate = rate
        self.low = low
        self.high = high

    def corrupt(self, inputs: Tensor) -> Tensor:
        """`inputs` with the chosen elements at an extreme, of the same shape."""
        draw = self.uniform(inputs)
        rate = ops.cast(self.rate, draw.dtype)
        extreme = ops.where(draw < 0.5 * rate, self.low, self.high)
        return ops.where(draw < rate, ops.cast(extreme, inputs.dtype), inputs)


_CORRUPTIONS = {
    "gaussian": GaussianNoise,
    "masking": MaskingNoise,
    "salt_and_pepper": SaltAndPepperNoise,
}


def get(corruption: str | keras.layers.Layer | None, noise: float) -> keras.layers.Layer | None:
    """A corruption layer from its name and its level; a layer, or None, is given back as it is."""
    if not isinstance(corruption, str):
        return corruption
    if corruption not in _CORRUPTIONS:
        raise ValueError(unknown("corruption", corruption, _CORRUPTIONS))
    return _CORRUPTIONS[corruption](noise)
