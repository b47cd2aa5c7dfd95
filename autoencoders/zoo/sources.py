"""Where pretrained weights come from: a tag of a card, a file, a folder, an address, a hub."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urldefrag, urlparse

from autoencoders import files, registry
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
    if urlparse(address).scheme in ("http", "https"):
        path = _download(address, sha256, suffixes)
    elif address.startswith("hf://"):
        path, published = _from_hub(address.removeprefix("hf://"), name, suffixes)
        sha256 = sha256 or published
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


def _download(address: str, sha256: str, suffixes: tuple[str, ...]) -> Path:
    import pooch

    if not sha256:
        raise ValueError(
            f"Weights from an address are verified before they are read: add their hash, "
            f"`{address}#sha256=<64 hexadecimal digits>`, as published beside the file."
        )
    name = urlparse(urldefrag(address).url).path.rpartition("/")[2]
    if not name.endswith(suffixes):
        raise ValueError(f"{address} does not name a {' or '.join(suffixes)} file.")
    try:
        return Path(
            pooch.retrieve(
                address,
                known_hash=f"sha256:{sha256}",
                fname=f"{sha256[:16]}-{name}",
                path=pooch.os_cache("autoencoders"),
                progressbar=False,
            )
        )
    except ValueError as error:  # pooch's report of a hash that does not match
        raise ValueError(
            f"The file at {address} has another sha256 than stated. {error}"
        ) from error
    except OSError as error:
        raise ValueError(f"{address} could not be fetched: {error}") from error


def _from_hub(repository: str, name: str | None, suffixes: tuple[str, ...]) -> tuple[Path, str]:
    """A weights file of a Hugging Face repository, and the sha256 that the hub states for it."""
    try:
        import huggingface_hub
    except ImportError as error:
        raise ImportError(
            "hf:// addresses need the Hugging Face client: pip install 'autoencoders[hub]'"
        ) from error
    # The listing and the file are of one revision.
    info = huggingface_hub.HfApi().model_info(repository, files_metadata=True)
    listed = {sibling.rfilename: sibling for sibling in info.siblings}
    chosen = _only_file(f"hf://{repository}", listed, name, suffixes)
    if not listed[chosen].lfs:
        raise ValueError(f"hf://{repository} states no sha256 for {chosen}: store it with LFS.")
    path = huggingface_hub.hf_hub_download(repository, chosen, revision=info.sha)
    return Path(path), listed[chosen].lfs.sha256


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
