"""Pretrained weights: find them, fetch them, verify them, load them.

A weights file is Keras's own `.weights.h5`, without optimizer or random state, with one addition:
an attribute that says which model it belongs to and the arguments that it was trained with.
"""

import hashlib
import json
import os
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

    @property
    def whole_model(self):
        """Whether the file holds a whole saved model rather than weights alone."""
        return self.path.name.endswith(".keras")


def entry(name, tag):
    """What a model's card says of the weights of a tag.

    Raises:
        ValueError: no such model or tag; the message suggests the nearest.
    """
    tags = registry.card(name)["weights"]
    if tag not in tags:
        raise ValueError(registry.unknown(f"weights of {name}", tag, tags))
    return tags[tag]


def find(name, source):
    """Find the weights that `source` names, and verify their hash before anything parses them.

    Args:
        name: The model's name.
        source: A tag of its card, a file, a folder, `https://...#sha256=...` or
            `hf://owner/repo` (whose hash the hub states).

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
        verify(path, entry["sha256"])
        return Weights(path, entry["arguments"])
    if urlparse(address).scheme in ("http", "https"):
        path = _download(address, sha256)
    elif address.startswith("hf://"):
        path, published = _from_hub(name, address.removeprefix("hf://"))
        sha256 = sha256 or published
    elif Path(address).is_dir():
        path = Path(address, _only_file(name, address, os.listdir(address)))
    elif Path(address).is_file() and address.endswith(_SUFFIXES):
        path = Path(address)
    else:
        message = registry.unknown(f"weights of {name}", source, tags)
        raise ValueError(f"{message} A file ({' or '.join(_SUFFIXES)}), folder or address will do.")
    if sha256:
        verify(path, sha256)
    return Weights(path, _stored_arguments(name, path))


def load(weights, build):
    """The model that the weights were trained in, with the weights loaded.

    Args:
        weights: What `find` returned.
        build: Gives a built model of the architecture that the weights were trained in.

    Raises:
        ValueError: the file is unreadable, or holds something else.
    """
    import keras

    from autoencoders.autoencoder import Autoencoder

    path = weights.path
    try:
        with warnings.catch_warnings():
            # Keras's words about files of older versions, where layers simply do not match.
            warnings.filterwarnings("ignore", message="Skipping nested container")
            if not weights.whole_model:
                model = build()
                model.load_weights(path)
                return model
            model = keras.saving.load_model(path, compile=False)
    except (OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} cannot be read, it may be corrupt: {error}") from error
    except (TypeError, ValueError, KeyError) as error:
        raise ValueError(
            f"{path} does not fit the arguments {weights.arguments or 'asked for'}. A file that "
            "does not say how it was trained needs them repeated: "
            "`get(name, weights=..., hidden_units=..., latent_dim=...)`."
        ) from error
    if not isinstance(model, Autoencoder):
        raise ValueError(f"{path} holds a {type(model).__name__}, not an Autoencoder.")
    return model


def same_kind(trained, model, parts=("bottleneck", "corruption", "likelihood")):
    """Whether two models are of one family: same class, same parts, whatever their sizes."""
    return type(trained) is type(model) and all(
        type(getattr(trained, part)) is type(getattr(model, part)) for part in parts
    )


def transplant(trained, model):
    """Copy the tensors of `trained` into `model`, a model of the same layers.

    For rows of another shape, tensors that do not fit are left out, with a warning that lists
    them. A warning also says if the model computes something else than the trained one.

    Raises:
        ValueError: the models have other layers, or, for rows of the same shape, a tensor does
            not fit.
    """
    pairs = list(zip(_named_weights(model), _named_weights(trained), strict=False))
    same_layers = len(model.weights) == len(trained.weights) and all(
        (ours.part, ours.variable.name) == (theirs.part, theirs.variable.name)
        for ours, theirs in pairs
    )
    # A corruption has no weights, and acts in training alone.
    if not same_layers or not same_kind(trained, model, ("bottleneck", "likelihood")):
        raise ValueError(
            f"The weights belong to a model with other layers than {model.name!r}. Pass the "
            "arguments that they were trained with."
        )
    misfits = [
        f"{ours.part}/{ours.variable.path} {_shape(theirs)} into {_shape(ours)}"
        for ours, theirs in pairs
        if _shape(ours) != _shape(theirs)
    ]
    same_rows = model.row_shape == trained.row_shape
    if misfits and same_rows:
        raise ValueError(
            f"The weights do not fit {model.name!r}: {'; '.join(misfits)}. Pass the arguments that "
            "they were trained with."
        )
    for ours, theirs in pairs:
        own = ours.part == ""  # what the model knows of its whole training
        if _shape(ours) == _shape(theirs) and not (own and misfits):
            ours.variable.assign(theirs.variable)
    if misfits:
        warnings.warn(
            f"{len(misfits)} of {len(pairs)} tensors were not loaded into {model.name!r} and keep "
            f"their initial values, because their shapes differ: {'; '.join(misfits)}.",
            stacklevel=3,
        )
    elif same_rows and not _same_function(model, trained):
        warnings.warn(
            f"With these arguments {model.name!r} reconstructs otherwise than the model its "
            "weights were trained in (another activation, output or likelihood?). Unless that is "
            "what the arguments are for, it needs training before use.",
            stacklevel=3,
        )


def save(model, path, name, arguments, *, half=False):
    """Write a model's weights alone, with the arguments that rebuild the model.

    Args:
        model: A built `Autoencoder`.
        path: File name ending in `.weights.h5`.
        name: The model's name in the zoo.
        arguments: Arguments of its builder, as JSON can hold them.
        half: Whether to write half precision, compressed.

    Returns:
        The file's `sha256` and `size` in bytes, as a dict.
    """
    import h5py

    # An uncompiled twin, because Keras writes the optimizers of a compiled model as well.
    twin = type(model).from_config(model.get_config())
    twin.build_from_config(model.get_build_config())
    twin.set_weights(model.get_weights())
    twin.save_weights(path, overwrite=True)
    if half:
        _halve(path)
    with h5py.File(path, "a") as file:
        file.attrs[_ATTRIBUTE] = json.dumps({"name": name, "arguments": arguments})
    return {"sha256": file_sha256(Path(path)), "size": Path(path).stat().st_size}


def _halve(path):
    """Write a file anew with its single-precision tensors in half precision, compressed."""
    import h5py
    import numpy as np

    halved = Path(f"{path}.half")
    with h5py.File(path) as old, h5py.File(halved, "w", libver="latest") as new:

        def copy(name, item):
            if isinstance(item, h5py.Group):
                copied = new.require_group(name)
            else:
                tensor = item[()]
                fits = np.abs(tensor).max(initial=0) <= np.finfo(np.float16).max
                if tensor.dtype == np.float32 and fits:
                    tensor = tensor.astype(np.float16)
                packed = {"compression": "gzip", "shuffle": True} if tensor.ndim else {}
                copied = new.create_dataset(name, data=tensor, **packed)
            for key, value in item.attrs.items():
                copied.attrs[key] = value

        for key, value in old.attrs.items():
            new.attrs[key] = value
        old.visititems(copy)
    halved.replace(path)


class _Named(NamedTuple):
    """A variable, and the part of the model that it belongs to."""

    part: str
    variable: object


def _named_weights(model):
    part_of = {id(v): part.name for part in model.layers for v in part.weights}
    return [_Named(part_of.get(id(v), ""), v) for v in model.weights]  # "": the model's own


def _shape(named):
    return tuple(named.variable.shape)


def _same_function(model, trained):
    import numpy as np

    rows = np.random.default_rng(0).uniform(size=(4, *(n or 32 for n in model.row_shape)))
    inputs = (rows, np.zeros(len(rows), "int32")) if model.needs_labels else rows
    ours, theirs = (m.predict(inputs, verbose=0) for m in (model, trained))
    return np.allclose(ours, theirs, rtol=1e-3, atol=1e-3)


def file_sha256(path):
    """The sha256 of a file, as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(path, expected):
    """Raise a ValueError unless a file has this sha256."""
    actual = file_sha256(path)
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


def _from_hub(name, repository):
    """A weights file of a Hugging Face repository, and the sha256 that the hub states for it."""
    try:
        import huggingface_hub
    except ImportError as error:
        raise ImportError(
            "hf:// addresses need the Hugging Face client: pip install 'autoencoders[hub]'"
        ) from error
    # One revision for the listing and the file.
    info = huggingface_hub.HfApi().model_info(repository, files_metadata=True)
    files = {sibling.rfilename: sibling for sibling in info.siblings}
    chosen = _only_file(name, f"hf://{repository}", files)
    if not files[chosen].lfs:
        raise ValueError(f"hf://{repository} states no sha256 for {chosen}: store it with LFS.")
    path = huggingface_hub.hf_hub_download(repository, chosen, revision=info.sha)
    return Path(path), files[chosen].lfs.sha256


def _only_file(name, where, names):
    files = sorted(file for file in names if file.endswith(_SUFFIXES))
    own = [file for file in files if file.startswith(f"{name}.")] or files
    if len(own) != 1:
        raise ValueError(
            f"{where} must hold one weights file for {name}, named {name}.weights.h5 or the only "
            f"one there; found: {', '.join(files) or 'none'}."
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
