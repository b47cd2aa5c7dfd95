"""The one way in which files are written: there is the old file or the new one, never neither.

What is to be written is made in memory first. It goes to a temporary file in the same folder, which
takes the place of the old one in one step once the disk has all of it. So a process that is killed,
a disk that is full and a second writer leave a whole file; whoever reads sees one or the other.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

from autoencoders.files.memory import MemoryFile
from autoencoders.files.reading import AnyPath
from autoencoders.files.seal import seal

try:
    import fcntl
except ImportError:  # Windows, which does not let a file be deleted that somebody has open.
    fcntl = None

# What file systems say that cannot lock, or write a folder out.
_UNSUPPORTED = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.ENOLCK, errno.EACCES, errno.EPERM}


@contextmanager
def replacing(path: AnyPath) -> Iterator[MemoryFile]:
    """A file in memory to write to, which takes the place of `path` once all is done, or never.

    Files of weights and of models get a seal, by which damage is found.

    Raises:
        OSError: it cannot be written, for want of space or of permission; the old file is kept.
    """
    new = MemoryFile(path)
    yield new
    seal(new)
    write(path, new.getbuffer())


@contextmanager
def trial(path: AnyPath) -> Iterator[Path]:
    """A path to write to and to try what was written, which goes to `path` if all is well.

    It has the name of `path`, in a temporary folder.
    """
    with TemporaryDirectory() as folder:
        tried = Path(folder, Path(path).name)
        yield tried
        write(path, tried.read_bytes())


def write_json(path: AnyPath, value: Any) -> None:
    """Write a JSON file as people read it."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    write(path, text.encode())


def write(path: AnyPath, data: bytes | memoryview) -> None:
    """Write a file whole, or leave what was there.

    The mode of an old file is kept, and a link to it is followed. The folder is made if need be.

    Raises:
        OSError: it cannot be written; the old file is kept.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    old = _old_file(path)
    _remove_leftovers(path)
    new, file = _temporary(path)
    try:
        with file:
            if old is not None:
                _make_alike(new, old)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            if fcntl is not None:  # As long as it is open, no other writer takes it for a leftover.
                os.replace(new, path)
        if fcntl is None:
            os.replace(new, path)
    except BaseException:
        _discard(new, file)
        raise
    _write_out(path.parent)


def _old_file(path):
    """What the system knows of the file there; None where there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "Is a device or a pipe, and not a file", str(path))
    return found


def _make_alike(new, old):
    """Give a file the mode of an old one; and its owner, if the process may."""
    owner = (old.st_uid, old.st_gid)
    if os.name == "posix" and (os.geteuid(), os.getegid()) != owner:
        with suppress(PermissionError):
            os.chown(new, *owner)
    os.chmod(new, stat.S_IMODE(old.st_mode))  # after the owner, whose change may take bits of it


def _temporary(path: Path) -> tuple[Path, BinaryIO]:
    """A new file beside `path`, open and locked."""
    while True:
        new = path.with_name(f"{_begin(path)}{secrets.token_hex(8)}")
        file = open(new, "xb")  # noqa: SIM115
        try:
            # Another writer may have taken it for a leftover before it was locked.
            if not _locked(file, wait=True) or os.fstat(file.fileno()).st_nlink:
                return new, file
        except BaseException:
            _discard(new, file)
            raise
        file.close()


def _discard(new, file):
    with suppress(OSError):  # What is left in its buffer has no place to go to.
        file.close()
    with suppress(OSError):
        os.unlink(new)


def _begin(path):
    """How the names of temporary files for `path` begin: short, however long its name is."""
    return f".autoencoders-{hashlib.sha256(path.name.encode()).hexdigest()[:8]}-"


def _remove_leftovers(path):
    """Delete the temporary files for `path` whose writers have died."""
    named = re.compile(re.escape(_begin(path)) + "[0-9a-f]{16}")
    for entry in os.scandir(path.parent):
        if not named.fullmatch(entry.name):
            continue
        with suppress(OSError):
            if fcntl is None:
                os.unlink(entry.path)
                continue
            with open(entry.path, "rb") as file:
                if _locked(file, wait=False):
                    os.unlink(entry.path)


def _locked(file, wait):
    """Lock an open file, and return whether it is: until it is closed, or its process has died."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def _write_out(folder):
    """Let the disk have a folder's new entry, where the system can."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folders.
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    finally:
        os.close(handle)
