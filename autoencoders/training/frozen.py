"""Which layers are frozen: as `compile` has settled it, and as files keep it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autoencoders.training.phased_model import PhasedModel

# How many layers a message names.
_NAMED = 3


class AsCompiled:
    """What was frozen when training was set up: optimizers and programs go by that.

    Args:
        model: The model; None for one that is not set up.
    """

    def __init__(self, model: PhasedModel | None = None) -> None:
        parts = [] if model is None else [*_layers(model), *model.weights]
        self._trainable = [(part, part.trainable) for part in parts]

    @property
    def changed(self) -> list[str]:
        """Names of the layers and weights that were frozen since, or are no longer frozen."""
        return [part.name for part, was in self._trainable if part.trainable != was]


def check(model: PhasedModel) -> None:
    """See that what is frozen is what `compile` knows of.

    Raises:
        ValueError: it is not, so that the change would not act, or would be lost in a saved file.
    """
    if changed := model._as_compiled.changed:
        raise ValueError(
            f"`trainable` was changed after `compile`, for {_listed(changed)}. `compile` settles "
            "what is trained: call it again, with a new optimizer, as in "
            '`model.compile("adam")`. (If only a larger model was to leave it as it is, thaw it '
            "before it is trained by itself.)"
        )


def warn(model: PhasedModel) -> None:
    """Warn after `fit` if all is frozen, or if a callback has frozen or unfrozen something."""
    if not model.trainable_variables and to_config(model):
        warnings.warn(
            f"All weights of {model.name!r} are frozen: `fit` has trained nothing.", stacklevel=5
        )
    if changed := model._as_compiled.changed:
        warnings.warn(
            f"`trainable` was changed during `fit`, for {_listed(changed)}, and that did not act: "
            "`compile` settles what is trained. Call it again between two runs of `fit`.",
            stacklevel=5,
        )


def _listed(names):
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(map(repr, names[:_NAMED])) + more


def to_config(model: PhasedModel) -> dict[str, list[int]]:
    """What a file's config is to say of frozen layers; nothing where there are none.

    A layer's own config tells whether it is frozen, but not of the layers that its constructor
    makes.
    """
    frozen = [number for number, layer in enumerate(_layers(model)) if not layer.trainable]
    return {"frozen": frozen} if frozen else {}


def from_config(model: PhasedModel, frozen: Iterable[int]) -> None:
    """Freeze the layers that a file's config names."""
    numbers = set(frozen)
    # A layer hands the setting on to those within it, which come later here.
    for number, layer in enumerate(_layers(model) if numbers else ()):
        if layer.trainable is (number in numbers):
            layer.trainable = number not in numbers


def _layers(model):
    return list(model._flatten_layers(include_self=False))
