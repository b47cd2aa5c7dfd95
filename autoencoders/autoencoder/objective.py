"""The loss of a batch: reconstruction, the bottleneck's terms, penalties, layers.

The functions are methods of `Autoencoder`, whose class body names them.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import keras
from keras import ops

from autoencoders.layers.encoding import Encoding, Inputs
from autoencoders.training import state
from autoencoders.training.keras_hooks import called_by_another
from autoencoders.training.loss_terms import keras_loss, mean_over_rows, replicas
from autoencoders.training.step import Batch, Phase
from autoencoders.types import Tensor

if TYPE_CHECKING:
    from autoencoders.autoencoder.base import Autoencoder


# So many steps a latent space may take to come to life.
_FAIR_CHANCE = 1000


def reconstruction_terms(self: Autoencoder) -> tuple[str, ...]:
    """Names of the reconstruction phase's loss terms, in the order they are logged."""
    parts = () if self.bottleneck is None else self.bottleneck.loss_terms
    penalties = tuple(penalty.loss_term for penalty in self.penalties)
    layers = ("regularization_loss",) if self._has_layer_losses else ()
    return ("reconstruction_loss", *parts, *penalties, *layers)


def reconstruction_measures(self: Autoencoder) -> tuple[str, ...]:
    """Names of what the reconstruction phase logs beside its loss terms."""
    return () if self.bottleneck is None else self.bottleneck.measures


def batch_statistics(self: Autoencoder) -> tuple[str, ...]:
    """Those terms and measures that are estimated from a batch as a whole: they vary with its
    size, where the others are means over rows.
    """
    own = () if self.bottleneck is None else self.bottleneck.batch_statistics
    return (*own, *(p.loss_term for p in self.penalties if p.batch_statistic))


def inputs_of_batch(self: Autoencoder, batch: Batch) -> Inputs:
    """The `layers.Inputs` of a `training.step.Batch`."""
    return self.inputs_of((batch.x, batch.labels) if self.needs_labels else batch.x)


def reconstruction_phase(self: Autoencoder, batch: Batch, training: bool) -> dict[str, Tensor]:
    """The loss terms of a batch: reconstruction, bottleneck, penalties, regularization.

    A subclass that replaces it calls `self.bottleneck.advance(encoding)` itself, once in training;
    otherwise schedules and codebooks stay as they are. Most override `objective` instead.

    Raises:
        ValueError: `objective` has added a loss by `add_loss`, where nothing looks for it.
    """
    self._clear_losses()  # The last call's losses may belong to another graph.
    encoding = self.encoding(self.inputs_of_batch(batch), training)
    output = self.decoder_output(encoding.latent, encoding.inputs, training, batch.target)
    values = self.objective(batch, encoding, output)
    for penalty in self.penalties:
        values[penalty.loss_term] = self.per_row(penalty.of(encoding))
    if self._get_own_losses() and not self._has_layer_losses:
        raise ValueError(
            f"{type(self).__name__} adds a loss while its objective is computed, which is not "
            "looked for there: return it from `objective` as a term of its own, named in "
            "`reconstruction_terms`, or call `add_loss` in `features`."
        )
    if self._has_layer_losses:
        values["regularization_loss"] = sum(layer_losses(self))
    if training and self.bottleneck is not None:
        self.bottleneck.advance(encoding)
    return values


def add_terms(self: Autoencoder, encoding: Encoding) -> None:
    """Add to `losses` the terms on the code, for a larger model that trains this one.

    They are those of the bottleneck and of the penalties, each a mean over the batch. The
    reconstruction is the larger model's to judge. Where this model's own reconstruction loss is a
    sum over the elements of a row, the terms are divided by their number, so that beside a Keras
    loss, which is a mean over them, they weigh as much as they do in this model's own training. In
    a model that is trainable the schedules and codebooks move on, too.
    """
    values = {name: encoding.terms[name] for name in encoding.terms if name in _of_bottleneck(self)}
    for penalty in self.penalties:
        values[penalty.loss_term] = self.per_row(penalty.of(encoding))
    elements = 1
    for size in ops.shape(encoding.inputs.rows)[1:] if self.sums_over_elements else ():
        elements = elements * size
    for value in values.values():
        self.add_loss(mean_over_rows(value, None) / ops.cast(elements, keras.config.floatx()))
    own = [term for phase in self.phases for term in phase.terms]
    known = {"reconstruction_loss", *values}
    missing = [term for term in own if term not in known and "regularization_loss" not in term]
    # A call by hand only draws.
    larger = called_by_another(self)
    self.note_within(missing if self.trainable and larger else [])
    if larger and self.bottleneck is not None and self.bottleneck.trainable:
        self.bottleneck.advance(encoding)


def _of_bottleneck(model):
    return () if model.bottleneck is None else model.bottleneck.loss_terms


def sums_over_elements(self: Autoencoder) -> bool:
    """Whether the reconstruction loss is a sum over a row's elements, and not their mean."""
    return self.likelihood is not None


def objective(
    self: Autoencoder, batch: Batch, encoding: Encoding, output: Tensor
) -> dict[str, Tensor]:
    """The loss terms but those of penalties and layers; a subclass adds its own, or replaces.

    Args:
        batch: A `training.step.Batch`.
        encoding: Its `layers.Encoding`.
        output: What the decoder put out for `encoding.latent`.

    Returns:
        Dict of terms and measures by name, each a scalar or `(batch,)`.
    """
    loss = self.reconstruction_loss(batch, encoding, output)
    return {"reconstruction_loss": loss, **encoding.terms}


def reconstruction_loss(
    self: Autoencoder, batch: Batch, encoding: Encoding, output: Tensor
) -> Tensor:
    """The loss of the decoder's `output`.

    Returns:
        A scalar, weighted by the batch's sample weights; or, from a loss without reduction, one
        value per row, `(batch,)`.
    """
    loss = self.compiled_loss or self._own_loss
    output = output if self.likelihood else self.mean_of(output)
    target, weight, mask = (
        self.repeated(part) for part in (batch.target, batch.sample_weight, encoding.inputs.mask)
    )
    return keras_loss(loss, target, output, weight, mask)


def compute_loss(
    self: Autoencoder,
    x: Tensor | None = None,
    y: Tensor | None = None,
    y_pred: Tensor | None = None,
    sample_weight: Tensor | None = None,
    training: bool = True,
) -> Tensor:
    """As in Keras, for a `train_step` or `test_step` of a subclass; the steps here need it not.

    Args:
        x: The input, which is the target where there is no `y`.
        y: The target.
        y_pred: The reconstruction, which is what calling the model gives.
        sample_weight: A weight per row, `(batch,)`.
        training: Of no consequence.

    Returns:
        The reconstruction loss and what the layers add to it, a scalar.

    Raises:
        TypeError: the loss of this model has more to it than the reconstruction shows.
    """
    only = {"reconstruction_loss", "regularization_loss"}
    terms = [name for phase in self.phases for name in phase.terms if name not in only]
    if self.likelihood is not None or terms:
        what = ", ".join(terms) or "the likelihood of what the decoder puts out"
        raise TypeError(
            f"`compute_loss` knows the reconstructions of {self.name!r} alone, and its loss needs "
            f"more: {what}. Call `super().train_step(data)` (or `test_step`) in a step of your "
            "own; or override `objective` or `phases`, and leave the step as it is."
        )
    target, inputs = (x if y is None else y), (y if x is None else x)
    loss = keras_loss(
        self.compiled_loss or self._own_loss,
        target,
        y_pred,
        sample_weight,
        self.padding_mask(inputs),
    )
    # As Keras does: gradients are summed over replicas.
    return (mean_over_rows(loss, sample_weight) + sum(self.losses)) / replicas()


def review(self: Autoencoder, logs: dict[str, float]) -> None:
    """Warn if training ended too early, or in posterior collapse.

    That is a latent space that the decoder ignores; it is looked for once training had a fair
    chance.
    """
    if self.bottleneck is None:
        return
    if self.bottleneck.schedule_under_way:
        warnings.warn(
            f"`fit` ended within a schedule of the bottleneck of {self.name!r}, which takes "
            f"{self.bottleneck.schedule_steps:,} steps: what was trained is not yet the final "
            "objective. Train on, or make the schedule shorter.",
            stacklevel=5,
        )
        return
    active = logs.get("active_units")
    if active is None or int(state.read(self.optimizer.iterations)) < _FAIR_CHANCE:
        return
    units = self.latent_shape[-1]
    if active < max(0.5, 0.1 * units):
        warnings.warn(
            f"Posterior collapse: {active:.0f} of {units} latent units of {self.name!r} are "
            "active (their posterior mean varies from row to row), so its reconstructions and "
            "codes say little about the input. Less weight on the KL helps: a smaller `beta`, "
            "`warm_up` or `free_bits`.",
            stacklevel=5,
        )


def phases(self: Autoencoder) -> list[Phase]:
    """The parts of a training step, in order: `training.step.Phase` instances.

    One, over all trainable variables, unless a subclass trains differently.
    """
    return [
        Phase(
            "reconstruction",
            self.reconstruction_phase,
            self.reconstruction_terms,
            self.trainable_variables,
            self.reconstruction_measures,
        )
    ]


def parts(self: Autoencoder) -> list[keras.layers.Layer]:
    """The layers that the reconstruction phase runs."""
    parts = (self.corruption, self.encoder, self.bottleneck, *self.penalties, self.decoder)
    return [part for part in parts if part is not None]


def layer_losses(self: Autoencoder) -> list[Tensor]:
    """The losses that the model and its parts have added since they were last cleared."""
    of_parts = (loss for part in self.parts for loss in part.losses)
    return [*self._get_own_losses(), *of_parts]


def find_layer_losses(self: Autoencoder) -> None:
    """Find out which parts have losses of their own: before the first step of training."""
    # Losses show only when the parts are called. Within this scope nothing is kept that the parts
    # update, such as moving averages and generators.
    values = [(variable, variable.value) for variable in self.variables]
    with keras.StatelessScope(values, collect_losses=True):
        self.run_parts(self.inputs_of(self._example()), training=True)
        self.note_layer_losses()


def note_layer_losses(self: Autoencoder) -> None:
    """Note, right after `run_parts`, which parts have losses of their own."""
    self._has_layer_losses = bool(layer_losses(self))
