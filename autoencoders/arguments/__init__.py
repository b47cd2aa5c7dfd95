"""Declared arguments: what a class is made with, and what of it may be set afterwards.

A class says of each argument of its constructor which of three kinds it is:

- a `Number` may be set at any time and acts from the next step on. Programs read it from a
  variable, so that none is traced anew. Where None, or 0, means that it is off, turning it on or
  off is a switch;
- a `Switch` may be set at any time, too: programs are traced anew when it changes;
- `Structure` is what an object was built from, and setting it afterwards is an error. A `Part` is
  structure that is a Keras object, or a list of them.

`get_config`, `from_config` and the check of a value that is set follow from these declarations.
"""

from autoencoders.arguments.declared import Declared, changes, numbers, parts, settings
from autoencoders.arguments.kinds import (
    Argument,
    Derived,
    Number,
    Part,
    Structure,
    Switch,
    declared,
    fixed,
)
from autoencoders.arguments.variables import constants, is_on

__all__ = [
    "Argument",
    "Declared",
    "Derived",
    "Number",
    "Part",
    "Structure",
    "Switch",
    "changes",
    "constants",
    "declared",
    "fixed",
    "is_on",
    "numbers",
    "parts",
    "settings",
]
