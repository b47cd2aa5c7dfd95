"""Files, as several rooms need them: written whole or not at all, verified, read.

Imports no Keras.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np

AnyPath: TypeAlias = str | os.PathLike[str]


@contextmanager
def replacing(path: AnyPath) -> Iterator[Path]:
    """A path to write to, which takes the place of `path` once all is done, or never.

    Whenever the writing is interrupted, there is the old file or the new one.
    """
    path = Path(path)
    new = path.with_name(f"new.{path.name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield new
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


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


def write_json(path: AnyPath, value: Any) -> None:
    """Write a JSON file as people read it."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    Path(path).write_text(text, encoding="utf-8")


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
