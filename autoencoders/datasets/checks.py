"""Checks on arguments, without Keras."""

import numpy as np


def check_integers(least, **values):
    """Raise a ValueError unless each of the named arguments is an integer, `least` or more."""
    for name, value in values.items():
        if not isinstance(value, (int, np.integer)) or value < least:
            kind = "a positive integer" if least == 1 else f"an integer, {least} or more"
            raise ValueError(f"`{name}` must be {kind}; got {value!r}.")
