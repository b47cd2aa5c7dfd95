"""Files that are read, and verified before anything parses them."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from autoencoders.files.memory import MemoryFile
from autoencoders.files.seal import check

if TYPE_CHECKING:
    import numpy as np

AnyPath: TypeAlias = str | os.PathLike[str]


def read(path: AnyPath) -> MemoryFile:
    """A file of weights or of a model, whole, in memory, and found to be as it was written.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, of a newer version of this package, or no file at all.
    """
    path = os.fspath(path)
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise ValueError(f"{path} is a folder, a device or a pipe, and not a file.")
    data = Path(path).read_bytes()
    check(path, data)
    return MemoryFile(path, data)


def sha256(path: AnyPath) -> str:
    """The sha256 of a file, as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(path: AnyPath, expected: str) -> None:
    """Raise a ValueError unless a file has this sha256."""
    actual = sha256(path)
    if actual != expected:
        raise ValueError(
            f"{path} is corrupt or not the file that was meant: its sha256 is {actual}, expected "
            f"{expected}. Delete it and fetch it again."
        )


def read_json(path: AnyPath) -> Any:
    """What a JSON file holds."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def read_json_folder(folder: AnyPath) -> dict[str, Any]:
    """What each JSON file of a folder holds, by the file's name without `.json`, in order."""
    return {path.stem: read_json(path) for path in sorted(Path(folder).glob("*.json"))}


def read_arrays(path: AnyPath, *names: str) -> tuple[np.ndarray, ...]:
    """The named arrays of an `.npz` file, without pickles.

    Raises:
        ValueError: the file cannot be read, or lacks one of them.
    """
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as file:
            return tuple(file[name] for name in names)
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        listed = f"{', '.join(names[:-1])} and {names[-1]}"
        raise ValueError(
            f"{path} must be an .npz file with the arrays {listed}: {error}"
        ) from error
