"""What a file holds by its directory, before anything in it is read.

A small file can say of itself that it holds gigabytes: packed bytes that unpack to a thousand times
as many, or arrays of which nothing is stored.
"""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import h5py

# Keras packs nothing. Where somebody has packed weights, they do not get much smaller.
_UNPACKED = 50
_SMALL = 2**20

# How many entries and arrays there may be: a model has some hundreds.
_ENTRIES = 100_000


def check_archive(archive: zipfile.ZipFile, size: int) -> None:
    """Raise a ValueError if an archive of so many bytes unpacks to far more."""
    entries = archive.infolist()
    _check(sum(entry.file_size for entry in entries), len(entries), size)


def check_arrays(file: h5py.File, size: int) -> None:
    """Raise a ValueError if the arrays of an HDF5 file of so many bytes would be far larger."""
    import h5py

    total = count = 0

    def add(name: str, item: h5py.Group | h5py.Dataset) -> bool | None:
        nonlocal total, count
        count += 1
        if isinstance(item, h5py.Dataset):
            total += item.size * item.dtype.itemsize if item.shape is not None else 0
        return True if count > _ENTRIES else None  # which ends the walk

    file.visititems(add)
    _check(total, count, size)


def _check(unpacked, count, size):
    if count > _ENTRIES:
        raise ValueError(f"it has more than {_ENTRIES:,} entries")
    if unpacked > max(_UNPACKED * size, _SMALL):
        raise ValueError("what it unpacks to is far larger than what it holds")
