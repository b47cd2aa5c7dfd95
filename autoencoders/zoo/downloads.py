"""Files from addresses and from Hugging Face: bounded in time and size, and verified."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urldefrag, urlparse

# How long a download may take, and how large a file may be. (The largest bundled one has 5 MB.)
SECONDS = 1800
BYTES = 2**31

# How long a server may be silent: until it answers, and between two parts.
_SILENCE = (10, 30)

# What pooch calls a file until it is whole.
_UNFINISHED = re.compile(r"tmp[a-z0-9_]{8}")


def checked_hash(sha256: str) -> str:
    """The hash in small letters, as it is compared; or nothing, where none was given.

    Raises:
        ValueError: it is no sha256.
    """
    sha256 = sha256.strip().lower()
    if sha256 and not re.fullmatch("[0-9a-f]{64}", sha256):
        raise ValueError(f"A sha256 has 64 hexadecimal digits; got {sha256!r}.")
    return sha256


def fetch(address: str, sha256: str, suffixes: tuple[str, ...]) -> Path:
    """The file of an address, kept in the cache folder of the package.

    Args:
        address: It begins with `http://` or `https://`.
        sha256: Its hash, in small letters.
        suffixes: How its name may end.

    Raises:
        ValueError: no hash, another name, contents that do not match the hash; or why it cannot be
            fetched.
    """
    import pooch

    if not sha256:
        raise ValueError(
            f"Weights from an address are verified before they are read: add their hash, "
            f"`{address}#sha256=<64 hexadecimal digits>`, as published beside the file."
        )
    name = urlparse(urldefrag(address).url).path.rpartition("/")[2]
    if not name.endswith(suffixes):
        raise ValueError(f"{address} does not name a {' or '.join(suffixes)} file.")
    cache = Path(pooch.os_cache("autoencoders"))
    _remove_unfinished(cache)
    kept = f"{sha256[:16]}-{name}"
    try:
        return Path(pooch.retrieve(address, f"sha256:{sha256}", kept, cache, downloader=_download))
    except OSError as error:  # of the network or of the disk
        raise ValueError(f"{address} could not be fetched: {error}") from error
    except ValueError as error:
        raise ValueError(
            f"The file at {address} has another sha256 than stated. {error}"
        ) from error


def _download(address: str, path: str, pooch: Any) -> None:
    """What pooch calls to get a file.

    Raises:
        OSError: it could not be had, or is too large, or takes too long.
    """
    import requests

    end, size = time.monotonic() + SECONDS, 0
    try:
        answer = requests.get(address, stream=True, timeout=_SILENCE)
    except ValueError as error:  # of an address that makes no sense
        raise OSError(str(error)) from error
    with answer, open(path, "wb") as file:
        answer.raise_for_status()
        for part in answer.iter_content(2**16):
            size += len(part)
            if size > BYTES:
                raise OSError(f"it has more than {BYTES:,} bytes")
            if time.monotonic() > end:
                raise OSError(f"it takes longer than {SECONDS:,} seconds")
            file.write(part)


def _remove_unfinished(folder):
    """Delete what downloads have left that were killed: none takes as long as these are old."""
    for path in folder.glob("tmp*"):
        if _UNFINISHED.fullmatch(path.name) and path.stat().st_mtime < time.time() - 2 * SECONDS:
            path.unlink(missing_ok=True)


class Repository:
    """A repository of Hugging Face's, as it is now.

    Args:
        address: `hf://owner/repo`.

    Raises:
        ImportError: the hub's client is not installed.
        ValueError: the repository cannot be looked at.
    """

    def __init__(self, address: str) -> None:
        try:
            import huggingface_hub
        except ImportError as error:
            raise ImportError(
                "hf:// addresses need the Hugging Face client: "
                "pip install 'keras-autoencoders[hub]'"
            ) from error
        self._hub = huggingface_hub
        self._address = address
        self._repository = address.removeprefix("hf://")
        # The listing and the file are of one revision.
        try:
            self._info = huggingface_hub.HfApi().model_info(self._repository, files_metadata=True)
        except (OSError, ValueError) as error:
            raise ValueError(f"{address} could not be looked at: {error}") from error
        self._files = {sibling.rfilename: sibling for sibling in self._info.siblings}

    @property
    def names(self) -> Iterable[str]:
        """The names of its files."""
        return self._files

    def sha256(self, name: str) -> str:
        """The hash that the hub states for a file."""
        return self._files[name].lfs.sha256

    def fetch(self, name: str) -> Path:
        """A file of it, on the disk.

        Raises:
            ValueError: the hub states no hash for it, or it cannot be fetched.
        """
        if not self._files[name].lfs:
            raise ValueError(f"{self._address} states no sha256 for {name}: store it with LFS.")
        try:
            path = self._hub.hf_hub_download(self._repository, name, revision=self._info.sha)
        except (OSError, ValueError) as error:
            raise ValueError(f"{self._address} could not be fetched: {error}") from error
        return Path(path)
