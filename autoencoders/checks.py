"""Checks on arguments, without Keras."""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

_FROM_FILE = ContextVar("a file is read", default=False)
_NAN_IS_FINE = ContextVar("a file may hold NaN", default=False)

# What is said of a file, after its name.
NAN_IN_A_FILE = (
    "holds NaN among its weights, or in what a detector decides by: training had diverged before "
    "it was saved. `autoencoders.load(path, allow_nan=True)`, or `model.load_weights(path)` for "
    "weights alone, loads it all the same."
)


@contextmanager
def from_file() -> Iterator[None]:
    """Within it something is made as a file has it, which an earlier version may have written."""
    token = _FROM_FILE.set(True)
    try:
        yield
    finally:
        _FROM_FILE.reset(token)


@contextmanager
def nan_allowed(allowed: bool) -> Iterator[None]:
    """Within it what is read from a file may hold NaN, or not."""
    token = _NAN_IS_FINE.set(allowed)
    try:
        yield
    finally:
        _NAN_IS_FINE.reset(token)


def no_nan(arrays: Iterable[Any]) -> None:
    """Raise a ValueError if values that a file holds are NaN, unless that is allowed."""
    if not _NAN_IS_FINE.get() and any(np.isnan(array).any() for array in arrays):
        raise ValueError(f"The file {NAN_IN_A_FILE}")


def refuse(message: str, error: type[Exception] = ValueError) -> None:
    """Raise an error; or only warn, while a file is read, which must come back as it was."""
    if not _FROM_FILE.get():
        raise error(message)
    warnings.warn(message, stacklevel=3)


def remark(message: str) -> None:
    """Warn of what may be meant; not of what a file says."""
    if not _FROM_FILE.get():
        warnings.warn(message, stacklevel=4)


def plain(value: Any) -> Any:
    """NumPy's numbers and booleans as Python's, which a config can hold; in tuples and lists, too.

    Anything else is given back as it is.
    """
    if isinstance(value, (list, tuple)):
        parts = [plain(part) for part in value]
        unchanged = all(a is b for a, b in zip(value, parts, strict=True))
        return value if unchanged else type(value)(parts)
    single = isinstance(value, (np.generic, np.ndarray)) and value.ndim == 0
    return value.item() if single else value


def fits(given: Any, wanted: Any) -> bool:
    """Whether two shapes agree in all sizes that are known."""
    return len(given) == len(wanted) and all(
        a == b or None in (a, b) for a, b in zip(given, wanted, strict=True)
    )


def is_integer(value: Any, least: int) -> bool:
    """Whether this is an integer, Python's or NumPy's, of `least` or more."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return whole and bool(value >= least)


def check_integers(least: int, **values: Any) -> None:
    """Raise a ValueError unless each of the named arguments is an integer, `least` or more."""
    for name, value in values.items():
        if not is_integer(value, least):
            kind = "a positive integer" if least == 1 else f"an integer, {least} or more"
            raise ValueError(f"`{name}` must be {kind}, got {value!r}.")


def positive_integer(name: str, value: Any) -> None:
    """Raise a ValueError unless the argument is an integer of 1 or more."""
    check_integers(1, **{name: value})


def positive_integer_or_none(name: str, value: Any) -> None:
    """Raise a ValueError unless the argument is an integer of 1 or more, or None."""
    if value is not None:
        positive_integer(name, value)


def not_negative(name: str, value: Any) -> None:
    """Raise a ValueError unless the argument is a number of 0 or more."""
    # What `Real` says of itself leaves out its order.
    if not isinstance(value, numbers.Real) or not value >= 0:  # pyright: ignore[reportOperatorIssue]
        raise ValueError(f"`{name}` must be a number of 0 or more, got {value!r}.")


def finite(name: str, value: Any) -> None:
    """Raise a ValueError unless the argument is a number, neither infinite nor NaN."""
    if not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise ValueError(f"`{name}` must be a finite number, got {value!r}.")


def positive(name: str, value: Any, at_most: float = math.inf) -> None:
    """Raise a ValueError unless the argument is above 0 and at most `at_most`, and finite."""
    finite(name, value)
    if not 0 < value <= at_most:
        upper = "" if math.isinf(at_most) else f" and at most {at_most:g}"
        raise ValueError(f"`{name}` must be above 0{upper}, got {value!r}.")


def one_of(*allowed: Any) -> Callable[[str, Any], None]:
    """A check that the argument is one of these values."""

    def check(name: str, value: Any) -> None:
        if value not in allowed:
            listed = ", ".join(map(repr, allowed))
            raise ValueError(f"`{name}` must be one of {listed}; got {value!r}.")

    return check
