"""Keras's methods that a subclass may override: which of them training uses, and what stands in
the place of the others.

`train_step`, `test_step`, `predict_step`, the functions that make Keras's loops, `compute_metrics`,
`get_metrics_result`, `metrics` and `reset_metrics` do as Keras documents. The zoo's own step goes
from `features` to `objective`, and not through `call` and `compute_loss`: `check` refuses those
where training or evaluation would leave them out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoencoders.checks import refuse
from autoencoders.training.keras_hooks import overridden

if TYPE_CHECKING:
    from autoencoders.autoencoder.base import Autoencoder

_OF_LOSSES = ("compute_loss", "stateless_compute_loss", "losses")
_OF_OUTPUTS = ("call", "__call__")
# A subclass that has one of these says itself what a step runs, which may be its `call`.
_OWN_STEPS = ("train_step", "phases", "reconstruction_phase")


def check(model: Autoencoder) -> None:
    """Raise a TypeError for what a subclass or a user has set that training would do without.

    While a file is read, warn of it.
    """
    own_steps = any(overridden(model, name) for name in _OWN_STEPS)
    for name in _OF_LOSSES:
        if overridden(model, name) and not overridden(model, "train_step"):
            _refuse(model, name, "`objective(batch, encoding, output)`")
    for name in _OF_OUTPUTS:
        if overridden(model, name) and not own_steps:
            _refuse(model, name, "`features`, `decoder_output` or `reconstruct`")
    if overridden(model, "train_step") and not overridden(model, "test_step"):
        for name in (*_OF_LOSSES, *_OF_OUTPUTS):
            if overridden(model, name):
                refuse(
                    f"`evaluate` does not use the `{name}` of {type(model).__name__}, which its "
                    "`train_step` may use: override `test_step`, too.",
                    TypeError,
                )
    if model.activity_regularizer is not None:
        refuse(
            f"Training does not use the `activity_regularizer` of {model.name!r} itself: give it "
            "to the last layer of the decoder, or the model one of `penalties` on its codes.",
            TypeError,
        )


def _refuse(model, name, hook):
    refuse(
        f"Training does not use the `{name}` of {type(model).__name__}: override {hook} "
        "instead, or `phases`.",
        TypeError,
    )
