"""Pretrained weights: find them, fetch them, verify them, load them.

A weights file is Keras's own `.weights.h5`, without optimizer or random state, with one addition:
an attribute that says which model it belongs to and the arguments that it was trained with.
"""

import hashlib
import json
import warnings
import zipfile
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urldefrag, urlparse

from autoencoders import registry

_ATTRIBUTE = "autoencoders"
_SUFFIXES = (".weights.h5", ".keras")


class Weights(NamedTuple):
    """A weights file that was found and, where its hash is known, verified."""

    path: Path
    arguments: dict


def find(name, source):
    """Find the weights that `source` names, and verify their hash before anything parses them.

    Args:
        name: The model's name.
        source: A tag of its card, a file, a folder, `https://...#sha256=...` or
            `hf://owner/repo`.

    Raises:
        ValueError: nothing by that name (the message suggests the nearest tag), an address
            without a hash, or contents that do not match theirs.
    """
    source = str(source)
    address, _, sha256 = source.partition("#sha256=")
    tags = registry.card(name)["weights"]
    if source in tags:
        entry = tags[source]
        path = registry.zoo_folder() / "weights" / entry["file"]
        if not path.is_file():
            raise ValueError(f"{path} is missing from this installation; reinstall the package.")
        _verify(path, entry["sha256"])
        return Weights(path, entry["arguments"])
    if urlparse(address).scheme in ("http", "https"):
        path = _download(address, sha256)
    elif address.startswith("hf://"):
        path = _only_file(name, _snapshot(address.removeprefix("hf://")))
    elif Path(address).is_dir():
        path = _only_file(name, Path(address))
    elif Path(address).is_file() and address.endswith(_SUFFIXES):
        path = Path(address)
    else:
        message = registry.unknown(f"weights of {name}", source, tags)
        raise ValueError(f"{message} A file ({' or '.join(_SUFFIXES)}), folder or address will do.")
    if sha256:
        _verify(path, sha256)
    return Weights(path, _stored_arguments(name, path))


def load(weights, build):
    """The model that the weights were trained in, with the weights loaded.

    Args:
        weights: What `find` returned.
        build: From the arguments that the weights were trained with to a built model.

    Raises:
        ValueError: the file is unreadable, or holds another model's weights.
    """
    import keras

    path = weights.path
    try:
        if path.name.endswith(".keras"):
            return keras.saving.load_model(path, compile=False)
        model = build(weights.arguments)
        model.load_weights(path)
        return model
    except (OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} cannot be read, it may be corrupt: {error}") from error
    except (ValueError, KeyError) as error:
        summary = str(error).strip().partition("\n")[0][:300]
        raise ValueError(
            f"{path} does not hold weights of this architecture (arguments: "
            f"{weights.arguments or 'unknown'}). {summary}"
        ) from error


def transplant(trained, model, partial):
    """Copy every tensor of `trained` that fits into `model`.

    Args:
        trained, model: Built models of the same layers.
        partial: Whether tensors of another shape are left out, with a warning that lists them;
            otherwise they are an error.

    Raises:
        ValueError: tensors do not fit, or the models have other layers.
    """
    pairs = list(zip(_named_weights(model), _named_weights(trained), strict=False))
    same_layers = len(model.weights) == len(trained.weights) and all(a[0] == b[0] for a, b in pairs)
    if not same_layers:
        raise ValueError(f"The weights belong to a model with other layers than {model.name!r}.")
    misfits = [
        f"{name} {tuple(theirs.shape)} into {tuple(ours.shape)}"
        for (name, ours), (_, theirs) in pairs
        if ours.shape != theirs.shape
    ]
    if misfits and not partial:
        raise ValueError(f"The weights do not fit {model.name!r}: {'; '.join(misfits)}.")
    if misfits:
        warnings.warn(
            f"{len(misfits)} of {len(pairs)} tensors were not loaded into {model.name!r} and keep "
            f"their initial values, because their shapes differ: {'; '.join(misfits)}.",
            stacklevel=3,
        )
    for (_, ours), (_, theirs) in pairs:
        if ours.shape == theirs.shape:
            ours.assign(theirs)


def save(model, path, name, arguments):
    """Write a model's weights alone, with the arguments that rebuild the model.

    Args:
        model: A built `Autoencoder`.
        path: File name ending in `.weights.h5`.
        name: The model's name in the zoo.
        arguments: Arguments of its builder, as JSON can hold them.

    Returns:
        The file's `sha256` and `size` in bytes, as a dict.
    """
    import h5py

    # An uncompiled twin, because Keras writes the optimizers of a compiled model as well.
    twin = type(model).from_config(model.get_config())
    twin.build_from_config(model.get_build_config())
    twin.set_weights(model.get_weights())
    twin.save_weights(path, overwrite=True)
    with h5py.File(path, "a") as file:
        file.attrs[_ATTRIBUTE] = json.dumps({"name": name, "arguments": arguments})
    return {"sha256": _sha256(Path(path)), "size": Path(path).stat().st_size}


def _named_weights(model):
    """Pairs of a name and a variable: the part of the model, the layer in it, the tensor."""
    inside = {id(v): part for part in model.layers for v in part.weights}
    return [(f"{inside[id(v)].name}/{v.path}", v) for v in model.weights]


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _verify(path, expected):
    actual = _sha256(path)
    if actual != expected:
        raise ValueError(
            f"{path} is corrupt or not the file that was meant: its sha256 is {actual}, expected "
            f"{expected}. Delete it and fetch it again."
        )


def _download(address, sha256):
    import pooch

    if not sha256:
        raise ValueError(
            f"Weights from an address are verified before they are read: add their hash, "
            f"`{address}#sha256=<64 hexadecimal digits>`, as published beside the file."
        )
    name = urlparse(urldefrag(address).url).path.rpartition("/")[2]
    if not name.endswith(_SUFFIXES):
        raise ValueError(f"{address} does not name a {' or '.join(_SUFFIXES)} file.")
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


def _snapshot(repository):
    try:
        import huggingface_hub
    except ImportError as error:
        raise ImportError(
            "hf:// addresses need the Hugging Face client: pip install 'autoencoders[hub]'"
        ) from error
    patterns = [f"*{suffix}" for suffix in _SUFFIXES]
    return Path(huggingface_hub.snapshot_download(repository, allow_patterns=patterns))


def _only_file(name, folder):
    files = sorted(path for path in folder.iterdir() if path.name.endswith(_SUFFIXES))
    own = [path for path in files if path.name.startswith(f"{name}.")] or files
    if len(own) != 1:
        found = ", ".join(path.name for path in files) or "none"
        raise ValueError(
            f"{folder} must hold one weights file for {name}, named {name}.weights.h5 or the only "
            f"one there; found: {found}. Name the file itself."
        )
    return own[0]


def _stored_arguments(name, path):
    import h5py

    if path.name.endswith(".keras"):
        return {}
    try:
        with h5py.File(path) as file:
            stored = json.loads(file.attrs.get(_ATTRIBUTE, "{}"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read, it may be corrupt: {error}") from error
    if stored.get("name", name) != name:
        raise ValueError(f"{path} holds the weights of {stored['name']!r}, not of {name!r}.")
    return stored.get("arguments", {})
