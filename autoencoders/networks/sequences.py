"""What networks for series have in common."""

from collections.abc import Sequence
from typing import Any

import keras

from autoencoders.checks import is_integer
from autoencoders.networks.dense import sizes
from autoencoders.types import KnownShape, Sizes


class SequenceDecoder(keras.layers.Layer):
    """Base class of the decoders whose output is as long as the model's input.

    Other decoders see the code alone. A subclass gives

        call(latent, steps, mask=None, target=None, training=None)

    with `latent`, `(batch, latent_dim)`; `steps`, the length of the series to put out, an integer
    (a tensor, where a pipeline leaves it open); `mask`, `(batch, steps)`, False where the
    input is padding; and `target`, `(batch, steps, features)`, the clean series, in training only.
    It returns `(batch, steps, features)`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True


def series_shape(input_shape: Sequence[int | None] | int) -> KnownShape:
    """`(steps, features)` as a tuple; steps may be None.

    Raises:
        ValueError: it is something else.
    """
    if not (
        isinstance(input_shape, (list, tuple))
        and len(input_shape) == 2
        and all(size is None or is_integer(size, 1) for size in input_shape)
        and input_shape[1] is not None
    ):
        raise ValueError(
            "`input_shape` must be (steps, features), with None for steps of any number, got "
            f"{input_shape!r}."
        )
    return tuple(None if size is None else int(size) for size in input_shape)


def layer_units(units: Sizes) -> tuple[int, ...]:
    """The units of one layer or more, as a tuple.

    Raises:
        ValueError: they are something else.
    """
    if not (units := sizes(units, "units")):
        raise ValueError("`units` must name one layer at least, such as (64,).")
    return units
