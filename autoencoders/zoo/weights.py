"""Files of pretrained weights: reading them into models, and writing them.

A weights file is Keras's own `.weights.h5`, without optimizer or random state, with one addition:
an attribute that says which model it belongs to and the arguments that it was trained with.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from autoencoders import files
from autoencoders.checks import no_nan
from autoencoders.zoo import saved

if TYPE_CHECKING:
    import h5py
    import keras

    from autoencoders.autoencoder import Autoencoder

_ATTRIBUTE = "autoencoders"


class Weights(NamedTuple):
    """A file of weights, and the arguments that its model was built with.

    Attributes:
        path: The file.
        arguments: Those of the builder; empty where the file does not say them.
    """

    path: Path
    arguments: dict[str, Any]

    @property
    def whole_model(self) -> bool:
        """Whether the file holds a whole saved model rather than weights alone."""
        return self.path.name.endswith(".keras")


def stored_arguments(name: str, path: Path) -> dict[str, Any]:
    """The arguments that a file says it was trained with; none, where it says nothing.

    Args:
        name: The model that the weights are for.
        path: A file that ends in `.weights.h5` or `.keras`.

    Raises:
        ValueError: the file is unreadable, or says that it belongs to another model.
    """
    if path.name.endswith(".keras"):
        return {}
    import h5py

    with h5py.File(files.read(path)) as file:
        stored = _parsed(path, file.attrs.get(_ATTRIBUTE, "{}"))
    if stored.get("name", name) != name:
        raise ValueError(f"{path} holds the weights of {stored['name']!r}, not of {name!r}.")
    return stored.get("arguments", {})


def _parsed(path: Path, text: Any) -> dict[str, Any]:
    """What a file says of its weights: a dict, whose `arguments` are a dict."""
    try:
        stored = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        stored = None
    if not isinstance(stored, dict) or not isinstance(stored.get("arguments", {}), dict):
        raise ValueError(files.damaged(str(path), "what it says of its weights makes no sense"))
    return stored


def load(weights: Weights, build: Callable[[], Autoencoder]) -> Autoencoder:
    """The model that the weights were trained in, with the weights loaded.

    Args:
        weights: What `sources.find` returned.
        build: Gives a built model of the architecture that the weights were trained in.

    Raises:
        ValueError: the file is unreadable, or holds something else.
    """
    from autoencoders.autoencoder import Autoencoder
    from autoencoders.zoo import limits

    path = weights.path
    if weights.whole_model:
        model = saved.read(path, compile=False)
        if not isinstance(model, Autoencoder):
            raise ValueError(f"{path} holds a {type(model).__name__}, not an Autoencoder.")
        return model
    try:
        with limits.weights_within(path.stat().st_size):
            model = build()
    except (TypeError, ValueError) as error:
        if not weights.arguments:
            raise
        raise ValueError(
            f"{path} says that it was trained with {weights.arguments}, of which no model can be "
            f"made: {error}"
        ) from error
    try:
        with warnings.catch_warnings():
            # Keras takes layers that do not match for a file of an older version, and says so.
            warnings.filterwarnings("ignore", message="Skipping nested container")
            model.load_weights(path)
    except Exception as error:
        if re.search(r"Can't|[Uu]nable to", str(error)):  # as HDF5 speaks
            raise ValueError(files.damaged(str(path), str(error).partition("\n")[0])) from error
        raise ValueError(
            f"{path} does not fit the arguments {weights.arguments or 'asked for'}. A file that "
            "does not say how it was trained needs them repeated: "
            "`get(name, weights=..., hidden_units=..., latent_dim=...)`."
        ) from error
    no_nan(model.trainable_variables)
    return model


def same_kind(trained: Autoencoder, model: Autoencoder) -> bool:
    """Whether two models have the same class and the same kinds of parts, whatever their sizes."""
    return _kinds(trained) == _kinds(model)


def _kinds(model: Autoencoder) -> tuple[type, ...]:
    """The classes of a model and of its parts, the corruption's last."""
    parts = (model.bottleneck, model.likelihood, model.corruption)
    return (type(model), *map(type, parts))


def transplant(trained: Autoencoder, model: Autoencoder, *, stacklevel: int = 2) -> bool:
    """Copy the tensors of `trained` into `model`, a model of the same layers.

    For rows of another shape, tensors that do not fit are left out, with a warning that lists
    them. A warning also says if the model computes something else than the trained one.

    Args:
        trained, model: Built models.
        stacklevel: Of the warnings, as in `warnings.warn`: 2 for this function's caller.

    Returns:
        Whether all tensors were copied.

    Raises:
        ValueError: the models have other layers, or, for rows of the same shape, a tensor does
            not fit.
    """
    pairs = _paired(trained, model)
    misfits = [pair for pair in pairs if not pair.fits]
    same_rows = model.row_shape == trained.row_shape
    listed = "; ".join(map(str, misfits))
    if misfits and same_rows:
        raise ValueError(
            f"The weights do not fit {model.name!r}: {listed}. Pass the arguments that they were "
            "trained with; or build the model without weights and give it the layers that fit, by "
            "`model.load_weights(path, skip_mismatch=True)`."
        )
    for pair in pairs:
        # A variable that no part holds tells of the training of the whole model.
        of_training = pair.part == ""
        if pair.fits and not (of_training and misfits):
            pair.own.assign(pair.trained)
    if misfits:
        warnings.warn(
            f"{len(misfits)} of {len(pairs)} tensors were not loaded into {model.name!r} and keep "
            f"their initial values, because their shapes differ: {listed}.",
            stacklevel=stacklevel,
        )
    elif same_rows and not _same_function(model, trained):
        warnings.warn(
            f"With these arguments {model.name!r} reconstructs otherwise than the model its "
            "weights were trained in (another activation, output or likelihood?). Unless that is "
            "what the arguments are for, it needs training before use.",
            stacklevel=stacklevel,
        )
    return not misfits


class _Pair(NamedTuple):
    """A variable of a model, that of the trained model in its place, and the part that has it."""

    part: str
    own: keras.Variable
    trained: keras.Variable

    @property
    def fits(self) -> bool:
        return tuple(self.own.shape) == tuple(self.trained.shape)

    def __str__(self) -> str:
        shapes = f"{tuple(self.trained.shape)} into {tuple(self.own.shape)}"
        return f"{self.part}/{self.own.path} {shapes}"


def _paired(trained: Autoencoder, model: Autoencoder) -> list[_Pair]:
    """The variables of two models of the same layers, in pairs.

    Raises:
        ValueError: they have other layers.
    """
    ours, theirs = _named_weights(model), _named_weights(trained)
    names = [[(part, variable.name) for part, variable in named] for named in (ours, theirs)]
    # Corruptions may differ: they have no weights, and act in training alone.
    if names[0] != names[1] or _kinds(trained)[:-1] != _kinds(model)[:-1]:
        raise ValueError(
            f"The weights belong to a model with other layers than {model.name!r}. Pass the "
            "arguments that they were trained with."
        )
    return [_Pair(part, own, other) for (part, own), (_, other) in zip(ours, theirs, strict=True)]


def _named_weights(model: Autoencoder) -> list[tuple[str, keras.Variable]]:
    """Each variable with the name of the part that has it, "" for those of the model itself."""
    part_of = {id(v): part.name for part in model.layers for v in part.weights}
    return [(part_of.get(id(v), ""), v) for v in model.weights]


def _same_function(model: Autoencoder, trained: Autoencoder) -> bool:
    import numpy as np

    rows = np.random.default_rng(0).uniform(size=(4, *(n or 32 for n in model.row_shape)))
    inputs = (rows, np.zeros(len(rows), "int32")) if model.needs_labels else rows
    ours, theirs = (m.predict(inputs, verbose=0) for m in (model, trained))
    return np.allclose(ours, theirs, rtol=1e-3, atol=1e-3)


class Written(TypedDict):
    """A written file's hash, and its size in bytes."""

    sha256: str
    size: int


def save(
    model: Autoencoder,
    path: files.AnyPath,
    name: str,
    arguments: dict[str, Any],
    *,
    half: bool = False,
) -> Written:
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
    with files.replacing(path) as new:
        twin.save_weights(new)
        if half:
            _halve(new)
        with h5py.File(new, "r+") as file:
            file.attrs[_ATTRIBUTE] = json.dumps({"name": name, "arguments": arguments})
    return {"sha256": files.sha256(path), "size": Path(path).stat().st_size}


def _halve(file: files.MemoryFile) -> None:
    """Write a file anew with its single-precision tensors in half precision, compressed."""
    import h5py
    import numpy as np

    old_file = files.MemoryFile(file.name, file.getvalue())
    file.truncate(0)
    with h5py.File(old_file) as old, h5py.File(file, "w", libver="latest") as new:

        def copy(name: str, item: h5py.Group | h5py.Dataset) -> None:
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
