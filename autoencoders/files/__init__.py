"""Files, as several rooms need them: written whole or not at all, verified, read.

Imports no Keras.
"""

from autoencoders.files.memory import MemoryFile
from autoencoders.files.reading import (
    AnyPath,
    read,
    read_arrays,
    read_json,
    read_json_folder,
    sha256,
    verify,
)
from autoencoders.files.seal import damaged
from autoencoders.files.writing import replacing, trial, write, write_json

__all__ = [
    "AnyPath",
    "MemoryFile",
    "damaged",
    "read",
    "read_arrays",
    "read_json",
    "read_json_folder",
    "replacing",
    "sha256",
    "trial",
    "verify",
    "write",
    "write_json",
]
