"""The kinds of arguments: numbers, switches, structure and parts."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import keras

from autoencoders.arguments.variables import is_variable, reads_constants, tensor, write
from autoencoders.checks import plain


class Argument:
    """An argument of a constructor, kept as an attribute: the base class of the kinds.

    Args:
        argument: Its name in the constructor, where the attribute has another.
        serialize: Function that makes of its value what a config holds.
    """

    def __init__(
        self, argument: str | None = None, serialize: Callable[[Any], Any] | None = None
    ) -> None:
        self.name: str = ""  # Python gives it once the class body is read.
        self.argument: str = argument or ""
        self._serialize = serialize

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        self.argument = self.argument or name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        try:
            return vars(instance)[self.name]
        except KeyError:
            raise AttributeError(
                f"{type(instance).__name__!r} has no attribute {self.name!r} yet."
            ) from None

    def admit(self, instance: Any, value: Any) -> None:
        """Raise an error if the object's argument cannot have this value, or can no longer change.

        `Declared` asks before anything else takes note of the value.
        """
        if is_made(instance) and not _same(vars(instance).get(self.name), value):
            self.permit(instance)
        self.checked(value)

    def __set__(self, instance: Any, value: Any) -> None:
        values = vars(instance)
        made = is_made(instance)
        before = values.get(self.name)
        if made and _same(before, value):
            return
        values[self.name] = self.checked(value)
        try:
            if is_made(instance):
                instance.check_arguments()
            if made:
                self.follow(instance, before)
        except Exception:
            if made:
                values[self.name] = before
            raise

    def checked(self, value: Any) -> Any:
        """The value to keep; a ValueError if the argument cannot have it."""
        return value

    def permit(self, instance: Any) -> None:
        """Raise an AttributeError unless the argument may change in an object that is made."""

    def follow(self, instance: Any, before: Any) -> None:
        """Do what a new value asks for."""

    def to_config(self, instance: Any) -> Any:
        """What a config holds of it."""
        value = vars(instance).get(self.name, _MISSING)
        if value is _MISSING:  # A subclass has a property in the argument's place.
            value = getattr(instance, self.name)
        return value if self._serialize is None else self._serialize(value)


# The names of the numbers of all classes.
NUMBERS: set[str] = set()


class Number(Argument):
    """A number that may be set at any time: outside programs a float, within them a tensor.

    Args:
        at_least, above, at_most, below: Bounds of its value.
        off: Values that mean that the number plays no part. Programs are traced anew when it is
            turned on or off; a number that is off is this value within programs, too.
        argument: Its name in the constructor, where the attribute has another.
    """

    def __init__(
        self,
        *,
        at_least: float | None = None,
        above: float | None = None,
        at_most: float | None = None,
        below: float | None = None,
        off: tuple[Any, ...] = (),
        argument: str | None = None,
    ) -> None:
        super().__init__(argument)
        self._bounds = (at_least, above, at_most, below)
        self._off = off

    def __set_name__(self, owner: type, name: str) -> None:
        super().__set_name__(owner, name)
        NUMBERS.add(name)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        value = super().__get__(instance, owner)
        if instance is None or value in self._off or reads_constants():
            return value
        return tensor(instance, self.name)

    def checked(self, value: Any) -> Any:
        """The value as Python's number; a ValueError if it is not a number, or out of bounds."""
        if value is None and None in self._off:
            return value
        if is_variable(value):
            raise TypeError(
                f"`{self.argument}` is a number, which may be set again at any time, and no "
                "variable: what is assigned to a variable later would have no effect. Set the "
                "number itself in a callback, or let `callbacks.Anneal` do so."
            )
        number = _plain(value)
        if not self._fits(number):
            raise ValueError(f"`{self.argument}` must be {self._described()}, got {value!r}.")
        return number

    def _fits(self, value):
        at_least, above, at_most, below = self._bounds
        return (
            _is_finite(value)
            and (at_least is None or value >= at_least)
            and (above is None or value > above)
            and (at_most is None or value <= at_most)
            and (below is None or value < below)
        )

    def _described(self):
        at_least, above, at_most, below = self._bounds
        if at_most is not None:
            words = f"between {at_least:g} and {at_most:g}"
        elif below is not None and above is not None:
            words = f"between {above:g} and {below:g}"
        elif below is not None:
            words = f"from {at_least:g} to below {below:g}"
        elif above is not None:
            words = "positive"
        else:
            words = "a number" if at_least is None else f"a number of {at_least:g} or more"
        return f"{words}, or None" if None in self._off else words

    def follow(self, instance: Any, before: Any) -> None:
        """Let programs read the new value, or be traced anew if it was turned on or off."""
        if (before in self._off) != (vars(instance)[self.name] in self._off):
            _turn(instance, self.name)
        write(instance)


class Derived:
    """A number that follows from others of the same object; the decorator of what computes it.

    It is computed in Python, at full precision, and is a tensor within programs, as a `Number`.
    """

    def __init__(self, function: Callable[[Any], float | None]) -> None:
        self.name: str = ""
        self._function = function
        self.__doc__ = function.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        if reads_constants():
            return self._function(instance)
        return tensor(instance, self.name)


class Switch(Argument):
    """An argument that may be set at any time, after which programs are traced anew.

    Args:
        check: Function of its name and value that raises a ValueError if it cannot have that.
        argument: Its name in the constructor, where the attribute has another.
    """

    def __init__(
        self, check: Callable[[str, Any], None] | None = None, *, argument: str | None = None
    ) -> None:
        super().__init__(argument)
        self._check = check

    def checked(self, value: Any) -> Any:
        """The value, if the check lets it pass."""
        value = _plain(value)
        if self._check is not None:
            self._check(self.argument, value)
        return value

    def follow(self, instance: Any, before: Any) -> None:
        """Note that programs are out of date."""
        _turn(instance, self.name)


class Structure(Argument):
    """An argument that what is built depends on, and that cannot be set afterwards.

    Args:
        check: Function of its name and value that raises a ValueError if it cannot have that.
        argument: Its name in the constructor, where the attribute has another.
        serialize: Function that makes of its value what a config holds.
    """

    def __init__(
        self,
        check: Callable[[str, Any], None] | None = None,
        *,
        argument: str | None = None,
        serialize: Callable[[Any], Any] | None = None,
    ) -> None:
        super().__init__(argument, serialize)
        self._check = check

    def checked(self, value: Any) -> Any:
        """The value, with NumPy's numbers as Python's, if the check lets it pass."""
        value = plain(value)
        if self._check is not None:
            self._check(self.argument, value)
        return value

    def permit(self, instance: Any) -> None:
        """Raise an AttributeError: it is too late."""
        raise AttributeError(fixed(instance, self.argument))


class Part(Structure):
    """A Keras object that another is made of, or a list of them; a config holds its config.

    Args:
        check: Function of its name and value that raises an error if it cannot have that.
        argument: Its name in the constructor, where the attribute has another.
        until_built: Whether it may be set as long as the object is not built.
    """

    def __init__(
        self,
        check: Callable[[str, Any], None] | None = None,
        *,
        argument: str | None = None,
        until_built: bool = False,
    ) -> None:
        super().__init__(check, argument=argument, serialize=_serialized)
        self._until_built = until_built

    def permit(self, instance: Any) -> None:
        """Raise an AttributeError if it is too late."""
        if not self._until_built or instance.built:
            super().permit(instance)


def fixed(instance: Any, argument: str) -> str:
    """What to say of an argument that cannot be set any more."""
    kind = type(instance).__name__
    return (
        f"`{argument}` of {kind} is part of its structure, and fixed once that is made. Make "
        f"another {kind} with the new value (`get` takes it, too), and `compile` the model anew."
    )


_DECLARED: WeakKeyDictionary[type, dict[str, Argument]] = WeakKeyDictionary()


def declared(cls: type) -> dict[str, Argument]:
    """The arguments that a class and its bases declare, by attribute: those of bases first."""
    if cls not in _DECLARED:
        found = {}
        for base in reversed(cls.__mro__):
            found.update({k: v for k, v in vars(base).items() if isinstance(v, Argument)})
        _DECLARED[cls] = found
    return _DECLARED[cls]


class _Switches:
    """How many switches have been turned in this process."""

    changes: int = 0


SWITCHES = _Switches()


def _turn(instance, name):
    """Note that a switch of the object was turned: what was traced with it is out of date."""
    instance.turned(name)
    SWITCHES.changes += 1
    vars(instance)["_turned_at"] = SWITCHES.changes


def turned_at(instance: Any) -> int:
    """When a switch of the object was turned last, in turns of this process; 0 for never."""
    return vars(instance).get("_turned_at", 0)


def is_made(instance: Any) -> bool:
    """Whether all arguments have a value, apart from those that a subclass made properties."""
    values, cls = vars(instance), type(instance)
    arguments = declared(cls).items()
    return all(name in values or getattr(cls, name) is not one for name, one in arguments)


_MISSING = object()


def _is_finite(value):
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return real and math.isfinite(value)


def _same(a, b):
    plain = (bool, int, float, str, tuple, type(None))
    return a is b or (isinstance(a, plain) and type(a) is type(b) and a == b)


def _plain(value):
    """A number of NumPy's, or a tensor of one, as one of Python's, which a config can hold."""
    if keras.ops.is_tensor(value):
        value = keras.ops.convert_to_numpy(value)
    return plain(value)


def _serialized(value):
    if isinstance(value, list):
        return [keras.saving.serialize_keras_object(one) for one in value]
    return keras.saving.serialize_keras_object(value)
