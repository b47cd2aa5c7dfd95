"""Files in memory, with names."""

from __future__ import annotations

import io
import os


class MemoryFile(io.BytesIO):
    """A file in memory that is called as the one on the disk.

    Keras reads from and writes to such an object wherever it takes a path: it goes by the ending
    of the name. And HDF5, which ends the process where a disk is full, never sees the disk.

    Args:
        path: The file that it stands for.
        data: What it holds at first.
    """

    def __init__(self, path: str | os.PathLike[str], data: bytes = b"") -> None:
        super().__init__(data)
        self.name: str = os.fspath(path)

    def __str__(self) -> str:
        return self.name
