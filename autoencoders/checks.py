"""Checks on arguments, without Keras."""

import numbers

import numpy as np


def check_integers(least, **values):
    """Raise a ValueError unless each of the named arguments is an integer, `least` or more."""
    for name, value in values.items():
        if not isinstance(value, (int, np.integer)) or value < least:
            kind = "a positive integer" if least == 1 else f"an integer, {least} or more"
            raise ValueError(f"`{name}` must be {kind}, got {value!r}.")


def positive_integer(name, value):
    """Raise a ValueError unless the argument is an integer of 1 or more."""
    check_integers(1, **{name: value})


def positive_integer_or_none(name, value):
    """Raise a ValueError unless the argument is an integer of 1 or more, or None."""
    if value is not None:
        positive_integer(name, value)


def not_negative(name, value):
    """Raise a ValueError unless the argument is a number of 0 or more."""
    if not isinstance(value, numbers.Real) or not value >= 0:
        raise ValueError(f"`{name}` must be a number of 0 or more, got {value!r}.")


def one_of(*allowed):
    """A check that the argument is one of these values."""

    def check(name, value):
        if value not in allowed:
            listed = ", ".join(map(repr, allowed))
            raise ValueError(f"`{name}` must be one of {listed}; got {value!r}.")

    return check
