"""Whether a model has been trained, by whomever: what is known of it, and what files say of it.

The functions that take `self` are of `PhasedModel`, whose class body names them.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import tensorflow as tf

from autoencoders.training import state

if TYPE_CHECKING:
    from autoencoders.training.phased_model import PhasedModel


class Claim(NamedTuple):
    """What a file says of the weights that it holds.

    Attributes:
        trained: Whether they are trained; None where that was not known.
        weights: Their digest: the claim is of no others.
    """

    trained: bool | None
    weights: str


class Evidence:
    """What a model knows of its own training beyond the counters of epochs and steps.

    Attributes:
        trained: Whether it is known to have been trained.
        within: Whether it ran as a part of something that was training.
        begun: Digest of the weights that it began with; None before it is built.
        claim: The `Claim` of the file that it comes from, if there is one.
    """

    def __init__(self) -> None:
        self.trained = self.within = False
        self.begun: str | None = None
        self.claim: Claim | None = None


def trained(self: PhasedModel) -> bool | None:
    """Whether it has been trained: True, False, or None where that cannot be known.

    It has been, if it made a step of `fit` or `train_on_batch`; if a larger model that calls it
    was trained, and its weights are no longer those that it had when it was built; and if `get`
    loaded pretrained weights. With other weights than it was built with, but without any of that,
    the answer is None: they were set by hand, trained layer by layer (`pretrain`), or come from a
    file that does not say. `.keras` files say it. False means that the weights are as they were
    when the model was built: of networks that were trained before, it cannot know.
    """
    evidence = self._evidence
    if evidence.trained or self.epochs_trained > 0 or state.updates(self) > 0:
        return True
    weights = _digest(self)
    if evidence.begun in (None, weights):
        return False
    if evidence.within:
        return True
    claim = evidence.claim
    return claim.trained if claim is not None and claim.weights == weights else None


def note_pretrained(self: PhasedModel) -> None:
    """Note that the weights come from training that this model cannot know of."""
    self._evidence.trained = True


def note_within(self: PhasedModel, missing: Sequence[str]) -> None:
    """Note that the model runs as a part of something that trains.

    Args:
        missing: Loss terms of its own training that are not computed there.
    """
    if missing and not self._evidence.within:
        warnings.warn(
            f"Something else than its own `fit` trains {self.name!r}: without {list(missing)}, "
            "which only `fit` computes. Train it by `fit` first, for what these terms do.",
            stacklevel=2,
        )
    self._evidence.within = True


def begin(model: PhasedModel) -> None:
    """Note the weights that a model has once it is built."""
    if model._evidence.begun is None:
        model._evidence.begun = _digest(model)


def keep(model: PhasedModel) -> None:
    """Keep what is known before the optimizers, with their counters, are replaced."""
    model._evidence.trained |= state.updates(model) > 0


def carry(model: PhasedModel, known: bool | None) -> None:
    """Let what was known of a model hold after its layers were changed, though not trained."""
    if known:
        note_pretrained(model)
    elif known is False:
        model._evidence.begun = _digest(model)


def to_config(model: PhasedModel) -> dict[str, Any]:
    """What a file's config is to say of the weights."""
    return Claim(trained(model), _digest(model))._asdict()


def from_config(model: PhasedModel, config: dict[str, Any]) -> None:
    """Know what a file says of the weights that are about to be loaded."""
    model._evidence.claim = Claim(**config)


def _digest(model):
    """A digest of the weights, as a file holds them: adapters (LoRA) are a part of the kernels."""
    digest = hashlib.sha256()
    adapted = [layer for layer in model._flatten_layers() if vars(layer).get("lora_enabled")]
    kernels = {id(vars(layer).get("_kernel")): layer for layer in adapted}
    with tf.init_scope():  # A larger model's program may build this one.
        for weight in model.weights:
            if weight.name.startswith("lora_"):
                continue
            value = kernels[id(weight)].kernel if id(weight) in kernels else weight.value
            digest.update(tf.cast(value, weight.dtype).numpy().tobytes())
    return digest.hexdigest()
