"""`DenoisingEnsemble`: one denoising autoencoder per noise level, trained together."""

from collections.abc import Iterable, Mapping
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from autoencoders import zoo
from autoencoders.autoencoder import Autoencoder
from autoencoders.layers import GaussianNoise
from autoencoders.serialization import PACKAGE
from autoencoders.training.phased_model import PhasedModel
from autoencoders.training.step import Phase
from autoencoders.types import KnownShape

# The first level is a column's standard deviation: stronger noise would hide all that there is to
# learn. Each further level is half of the one before, and shows finer structure.
NOISE_LEVELS = (1.0, 0.5, 0.25, 0.125, 0.0625)

_NOISE_SEED = 0


@keras.saving.register_keras_serializable(PACKAGE)
class DenoisingEnsemble(PhasedModel):
    """Autoencoders of the same rows, each trained to remove noise of a level of its own.

    They share nothing but the batches. One program trains them all, one optimizer updates them
    all (for optimizers that treat each weight by itself, as Adam does, the same as one for each),
    and their losses are logged one by one.

    What a denoising autoencoder leaves of the noise tells how dense the data is at the scale of
    that noise (Alain & Bengio, "What regularized auto-encoders learn from the data-generating
    distribution", JMLR 15, 2014): small noise shows fine structure, large noise the coarse shape.

    Args:
        members: `Autoencoder`s for rows of one shape, with names of their own.
    """

    def __init__(self, members: Iterable[Autoencoder], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.members = list(members)

    @classmethod
    def of(cls, name: str, noise_levels: Iterable[float], **arguments: Any) -> Self:
        """An ensemble of the zoo's model `name`, not compiled.

        Args:
            name: One of `list_models()`.
            noise_levels: Standard deviations of the noise, in the units of the data.
            arguments: Arguments of the model's builder.

        Raises:
            ValueError: a model that trains in several phases, or on labels.
        """
        members = []
        for level in noise_levels:
            member = zoo.get(name, compile=False, corruption=GaussianNoise(level), **arguments)
            if len(member.phases) > 1 or member.labels is not None:
                raise ValueError(
                    f"{name!r} cannot be trained at several noise levels: it takes labels or "
                    "trains in several phases. Choose another model, or another `score`."
                )
            member.name = f"noise_{level:g}"
            members.append(member)
        ensemble = cls(members, name=f"{name}_ensemble")
        ensemble.build((None, *members[0].row_shape))
        return ensemble

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Build the members, for inputs of shape `(batch, *input_shape)`."""
        for member in self.members:
            if not member.built:
                member.build(input_shape)
        super().build(input_shape)

    def _prepare(self):
        for member in self.members:
            member.find_layer_losses()
        super()._prepare()

    def call(self, x: Any, training: bool | None = None) -> Any:
        """The mean of the members' reconstructions of x."""
        if training:
            self.note_within([])
        return ops.mean(ops.stack([m(x, training=training) for m in self.members]), axis=0)

    def squared_errors(self, x: Any) -> Any:
        """Each member's squared errors: `(batch, *row_shape)` to `(batch, members, *row_shape)`.

        The mean over three reconstructions: of the row as it is, and with noise of the member's
        level (which is what the member has learnt to remove) added and subtracted. The noise is the
        same for every row and every time.
        """
        mask = self.padding_mask(x)
        kept = 1.0 if mask is None else ops.cast(mask, x.dtype)[..., None]
        generator = np.random.default_rng(_NOISE_SEED)
        errors = []
        for member in self.members:
            noise = generator.standard_normal(self.row_shape).astype(x.dtype.name)
            noise = kept * (member.corruption.stddev * noise)
            inputs = (x, x + noise, x - noise)
            errors.append(sum(ops.square(x - member(rows)) for rows in inputs) / len(inputs))
        return ops.stack(errors, axis=1)

    @property
    def phases(self) -> list[Phase]:
        """One phase over all members."""
        terms = tuple(_term(m, name) for m in self.members for name in m.reconstruction_terms)
        measures = tuple(_term(m, name) for m in self.members for name in m.reconstruction_measures)
        return [
            Phase("denoising", self._denoising_terms, terms, self.trainable_variables, measures)
        ]

    def _denoising_terms(self, batch, training):
        return {
            _term(member, name): value
            for member in self.members
            for name, value in member.reconstruction_phase(batch, training).items()
        }

    @property
    def expectation(self) -> Any:
        """What is expected of rows; it is the same for all members."""
        return self.members[0].expectation

    @property
    def known_input_shape(self) -> tuple[int | None, ...] | None:
        """Shape of the input, as far as the members know it before they are built."""
        return self.members[0].known_input_shape

    @property
    def row_shape(self) -> KnownShape:
        """Shape of one row of the input."""
        return self.members[0].row_shape

    @property
    def mask_value(self) -> float | None:
        """What stands for padding, as in `Autoencoder`."""
        return self.members[0].mask_value

    def padding_mask(self, x: Any) -> Any:
        """Which steps of series are not padding, as in `Autoencoder`; None without padding."""
        return self.members[0].padding_mask(x)

    def get_config(self) -> dict[str, Any]:
        """The members, serialised."""
        members = [keras.saving.serialize_keras_object(member) for member in self.members]
        return {**super().get_config(), "members": members}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The inverse of `get_config`."""
        members = [keras.saving.deserialize_keras_object(member) for member in config["members"]]
        return cls(**{**config, "members": members})


def _term(member: Autoencoder, name: str) -> str:
    return f"{member.name}_{name}"
