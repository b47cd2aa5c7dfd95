"""The base class of what declares its arguments, and what its programs were traced for."""

from collections.abc import Iterator
from typing import Any, Self

import keras

from autoencoders.arguments.kinds import (
    NUMBERS,
    SWITCHES,
    Number,
    Part,
    declared,
    is_made,
    turned_at,
)


class Declared:
    """Base class, before the Keras one, of classes that declare their arguments."""

    def check_arguments(self) -> None:
        """Raise a ValueError unless the arguments go together; called when one of them changes."""

    def turned(self, name: str) -> None:
        """Do what a switch that has changed asks for; raise an error if it must stay as it was."""

    def __setattr__(self, name: str, value: Any) -> None:
        # This comes first, so that Keras takes no note of a layer that is not admitted.
        argument = declared(type(self)).get(name)
        if argument is not None:
            argument.admit(self, value)
        elif name in NUMBERS:
            _check_place(self, name)
        super().__setattr__(name, value)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, serialised."""
        own = declared(type(self)).values()
        inherited: Any = super()
        return {**inherited.get_config(), **{one.argument: one.to_config(self) for one in own}}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The inverse of `get_config`."""
        parts = {
            one.argument: keras.saving.deserialize_keras_object(config[one.argument])
            for one in declared(cls).values()
            if isinstance(one, Part) and one.argument in config
        }
        return cls(**{**config, **parts})


def numbers(whole: object) -> list[str]:
    """The ways to the numbers of an object and its parts: "gamma", "penalties[0].weight"."""
    found = []
    for name, argument in declared(type(whole)).items():
        if isinstance(argument, Number):
            found.append(name)
        elif isinstance(argument, Part):
            value, way = getattr(whole, name), argument.argument
            if isinstance(value, (list, tuple)):
                ways = [(f"{way}[{place}]", part) for place, part in enumerate(value)]
            else:
                ways = [(way, value)]
            found += [f"{way}.{number}" for way, part in ways for number in numbers(part)]
    return found


def _check_place(instance, name):
    """Raise an AttributeError if a number is set on the whole that belongs to one of its parts.

    A subclass of the user's may have an attribute of that name.
    """
    cls = type(instance)
    of_user = not cls.__module__.startswith("autoencoders.")
    if of_user or hasattr(cls, name) or not is_made(instance):
        return
    ways = [way for way in numbers(instance) if way.endswith(f".{name}")]
    if ways:
        raise AttributeError(
            f"{cls.__name__} has no number {name!r}, and setting it would have no effect. Did you "
            f"mean {' or '.join(map(repr, ways))}?"
        )


def changes() -> int:
    """How many switches have been turned; while the number is the same, so are all `settings`."""
    return SWITCHES.changes


def settings(whole: object) -> tuple[int, ...]:
    """For each part of a model, when a switch of it was turned last.

    Programs that were traced are up to date as long as these numbers are what they were then.
    """
    return tuple(turned_at(part) for part in parts(whole))


def parts(whole: object) -> Iterator[Declared]:
    """The object and its parts, those that declare arguments, each once."""
    waiting: list[Any] = [whole]
    seen = set()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, (list, tuple)):
            waiting.extend(one)
        elif isinstance(one, keras.layers.Layer):
            waiting.extend(one._flatten_layers(include_self=False))
        if isinstance(one, Declared):
            arguments = declared(type(one)).values()
            waiting.extend(getattr(one, a.name) for a in arguments if isinstance(a, Part))
            yield one
