"""Where pretrained weights come from: a tag of a card, a file, a folder, an address, a hub."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlparse

from autoencoders import files, registry
from autoencoders.zoo import downloads
from autoencoders.zoo.weights import Weights, stored_arguments

_WHOLE = ".keras"
_SUFFIXES = (".weights.h5", _WHOLE)


def entry(name: str, tag: str) -> registry.WeightsEntry:
    """What a model's card says of the weights of a tag.

    Raises:
        ValueError: no such model or tag; the message suggests the nearest.
    """
    tags = registry.card(name)["weights"]
    if tag not in tags:
        raise ValueError(registry.unknown(f"weights of {name}", tag, tags))
    return tags[tag]


def find(name: str, source: files.AnyPath) -> Weights:
    """Find the weights that `source` names, and verify their hash before anything parses them.

    Args:
        name: The model's name.
        source: A tag of its card, a file, a folder, `https://...#sha256=...` or
            `hf://owner/repo` (whose hash the hub states).

    Raises:
        ValueError: nothing by that name (the message suggests the nearest tag), an address
            without a hash, or contents that do not match theirs.
        ImportError: an `hf://` address without the hub's client.
    """
    source = str(source)
    tags = registry.card(name)["weights"]
    if source in tags:
        return _bundled(tags[source])
    path = _fetched(source, name, _SUFFIXES)
    if path is None:
        message = registry.unknown(f"weights of {name}", source, tags)
        raise ValueError(f"{message} A file ({' or '.join(_SUFFIXES)}), folder or address will do.")
    return Weights(path, stored_arguments(name, path))


def whole_model(source: files.AnyPath) -> Path:
    """The file of a whole saved model that `source` names; its hash is verified where it has one.

    Args:
        source: As in `find`, but for the tag; or a folder that Keras saved a model to.

    Raises:
        FileNotFoundError: there is none.
        ValueError: nothing there is a saved model, or it does not match its hash.
        ImportError: an `hf://` address without the hub's client.
    """
    source = os.fspath(source)
    if Path(source, "config.json").is_file():
        return Path(source)
    path = _fetched(source, None, (_WHOLE,))
    if path is None and not Path(source).exists():
        raise FileNotFoundError(f"There is no saved model at {source}.")
    if path is None:
        kind = "holds weights alone" if source.endswith(_SUFFIXES) else "is not a saved model"
        raise ValueError(
            f"{source} {kind}: a saved model is a `.keras` file that `model.save` wrote. (Weights "
            "alone go to `get(name, weights=...)`.)"
        )
    return path


def _fetched(source: str, name: str | None, suffixes: tuple[str, ...]) -> Path | None:
    """The file that a path or an address names, verified if it has a hash; None for no such file.

    Args:
        source: A file, a folder or an address.
        name: The model that it is for, whose name it may have in a folder or repository.
        suffixes: How its name may end.
    """
    address, _, sha256 = source.partition("#sha256=")
    sha256 = downloads.checked_hash(sha256)
    if urlparse(address).scheme in ("http", "https"):
        path = downloads.fetch(address, sha256, suffixes)
    elif address.startswith("hf://"):
        repository = downloads.Repository(address)
        chosen = _only_file(address, repository.names, name, suffixes)
        path = repository.fetch(chosen)
        sha256 = sha256 or repository.sha256(chosen)
    elif Path(address).is_dir():
        path = Path(address, _only_file(address, os.listdir(address), name, suffixes))
    elif Path(address).is_file() and address.endswith(suffixes):
        path = Path(address)
    else:
        return None
    if sha256:
        files.verify(path, sha256)
    return path


def _bundled(entry: registry.WeightsEntry) -> Weights:
    path = registry.zoo_folder() / "weights" / entry["file"]
    if not path.is_file():
        raise ValueError(f"{path} is missing from this installation; reinstall the package.")
    files.verify(path, entry["sha256"])
    return Weights(path, entry["arguments"])


def _only_file(
    where: str, names: Iterable[str], name: str | None, suffixes: tuple[str, ...]
) -> str:
    suitable = sorted(file for file in names if file.endswith(suffixes))
    own = [file for file in suitable if file.startswith(f"{name}.")] or suitable
    if len(own) != 1:
        what = f"one weights file for {name}, named {name}.weights.h5 or the only one there"
        raise ValueError(
            f"{where} must hold {what if name else 'one saved model, a `.keras` file'}; found: "
            f"{', '.join(suitable) or 'none'}."
        )
    return own[0]
