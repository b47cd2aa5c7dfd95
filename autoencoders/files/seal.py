"""The seal at the end of a file: the version of its format, and a checksum of all before that.

HDF5 and archives both let something stand after their end, so that other programs read a sealed
file as any other. A file of weights notes within that it was sealed: without its seal it is
damaged. (An archive has checksums of its own.) Files that Keras wrote, or versions of this package
before 0.1.0, have no seal.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile

from autoencoders.files.contents import check_archive, check_arrays
from autoencoders.files.memory import MemoryFile

# The version of the format of the files that are written now.
FORMAT = 1

_SEAL = re.compile(rb"\nautoencoders format (\d{4}) sha256 ([0-9a-f]{64})\n")
_LENGTH = len("\nautoencoders format 0000 sha256 \n") + 64
_NOTE = "autoencoders_format"

# Where an archive of Keras's has the arrays.
_WEIGHTS = "model.weights.h5"


def seal(file: MemoryFile) -> None:
    """Put a seal to a file of weights or of a model; leave others as they are."""
    if file.name.endswith(".h5"):
        _note(file)
    elif file.name.endswith(".keras"):
        _announce(file)
    else:
        return
    file.seek(0, io.SEEK_END)
    file.write(f"\nautoencoders format {FORMAT:04} sha256 ".encode())
    digest = hashlib.sha256(file.getbuffer()).hexdigest()
    file.write(f"{digest}\n".encode())


def check(path: str, data: bytes) -> None:
    """Raise a ValueError if a file of weights or of a model is not as it was written.

    A file without a seal is checked as far as it goes: an archive by its own checksums. What would
    take far more memory than the file's size is refused either way.

    Args:
        path: Its name, for the message.
        data: What it holds.
    """
    found = _SEAL.fullmatch(data, max(len(data) - _LENGTH, 0))
    if found is not None:
        sealed = memoryview(data)[: found.start(2)]
        if hashlib.sha256(sealed).hexdigest().encode() != found[2]:
            raise ValueError(damaged(path, "its checksum is another"))
        if int(found[1]) > FORMAT:
            raise ValueError(
                f"{path} was written by a newer version of this package, in format "
                f"{int(found[1])}; this version knows formats up to {FORMAT}. Upgrade the package."
            )
    try:
        lacks_seal = _check_contents(path, data, found is not None)
    except zipfile.BadZipFile as error:
        why = f"it is not a saved model, or not all of one ({error})"
        raise ValueError(damaged(path, why)) from error
    # What these libraries raise over bytes that make no sense is of many types.
    except Exception as error:
        raise ValueError(damaged(path, str(error))) from error
    if lacks_seal:
        raise ValueError(damaged(path, "its checksum is gone"))


def damaged(path: str, why: str) -> str:
    """What to say of a file that is not as it was written."""
    return f"{path} is damaged: {why}. Take a copy that is whole, or make the file anew."


def _note(file):
    """Note in a file of weights that it is sealed."""
    import h5py

    with h5py.File(file, "r+") as stored:
        stored.attrs[_NOTE] = FORMAT


def _announce(file):
    """Let an archive say how long the comment is that follows its end."""
    with file.getbuffer() as data:
        data[-2:] = _LENGTH.to_bytes(2, "little")


def _check_contents(path, data, sealed):
    """Raise an error if its contents are damaged or hostile; whether a seal is missing."""
    import h5py

    if not path.endswith(".keras"):
        with h5py.File(io.BytesIO(data)) as stored:
            check_arrays(stored, len(data))
            return _NOTE in stored.attrs and not sealed
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        check_archive(archive, len(data))
        spoilt = None if sealed else archive.testzip()
        if spoilt is not None:
            raise ValueError(f"the checksum of {spoilt!r} in it is another")
        if _WEIGHTS in archive.namelist():
            with h5py.File(io.BytesIO(archive.read(_WEIGHTS))) as stored:
                check_arrays(stored, len(data))
    end = data.rfind(b"PK\5\6")
    announced = int.from_bytes(data[end + 20 : end + 22], "little")
    return announced == _LENGTH and not sealed
