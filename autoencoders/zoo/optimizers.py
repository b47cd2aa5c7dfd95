"""What a recipe says of optimizers, as Keras objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoencoders import registry

if TYPE_CHECKING:
    import keras


def compile_arguments(recipe: registry.Recipe, steps: int | None = None) -> dict[str, Any]:
    """What a recipe says to `compile`: its optimizers, as Keras objects.

    Args:
        recipe: As on a card.
        steps: The steps of a whole training, over which the learning rates fall to 0 if the recipe
            has `"schedule": "cosine"`; without, they are constant, as for fine-tuning.

    Raises:
        ValueError: an unknown schedule.
    """
    schedule = recipe.get("schedule")
    if schedule not in (None, "cosine"):
        raise ValueError(registry.unknown("schedule", schedule, ["cosine"]))
    steps = steps if schedule else None
    arguments: dict[str, Any] = {"optimizer": _optimizer(recipe.get("optimizer", "adam"), steps)}
    if "phase_optimizers" in recipe:
        arguments["phase_optimizers"] = {
            phase: _optimizer(spec, steps) for phase, spec in recipe["phase_optimizers"].items()
        }
    return arguments


def pretraining_arguments(recipe: registry.Recipe) -> dict[str, Any]:
    """What a stacked model's recipe says to `pretrain`, its optimizer as a Keras object."""
    arguments = dict(recipe["pretraining"])
    if "optimizer" in arguments:
        arguments["optimizer"] = _optimizer(arguments["optimizer"])
    return arguments


def _optimizer(spec: str | dict[str, Any], steps: int | None = None) -> keras.optimizers.Optimizer:
    """An optimizer of a name, or of a dict of its name and its arguments.

    Its learning rate falls to 0 along half a cosine in so many steps, if any are given.
    """
    import keras

    spec = {"name": spec} if isinstance(spec, str) else spec
    optimizer = keras.optimizers.get(
        {"class_name": spec["name"], "config": {k: v for k, v in spec.items() if k != "name"}}
    )
    if steps is None:
        return optimizer
    rate = keras.optimizers.schedules.CosineDecay(float(optimizer.learning_rate), steps)
    return type(optimizer).from_config({**optimizer.get_config(), "learning_rate": rate})
