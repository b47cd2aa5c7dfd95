"""Models by name: their lists and cards, building them, loading saved ones."""

from __future__ import annotations

import copy
import fnmatch
import inspect
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, overload

from autoencoders import files, installation, registry
from autoencoders.checks import plain
from autoencoders.zoo import saved, sources
from autoencoders.zoo import weights as weights_files
from autoencoders.zoo.optimizers import compile_arguments

if TYPE_CHECKING:
    from autoencoders.autoencoder import Autoencoder


def list_models(
    pattern: str = "*", *, family: str | None = None, pretrained: bool | str | None = None
) -> list[str]:
    """Sorted names of the registered models. Imports neither Keras nor TensorFlow.

    Args:
        pattern: Wildcards as in `fnmatch`: `"*_mlp"`.
        family: Only this family: "variational", "denoising", ...
        pretrained: True for models with pretrained weights only, False for those without, or the
            tag that they must have.

    Raises:
        ValueError: no model belongs to such a family.
    """
    cards = registry.cards()
    families = {card["family"] for card in cards.values()}
    if family is not None and family not in families:
        raise ValueError(registry.unknown("family", family, families))

    def wanted(name: str, card: registry.Card) -> bool:
        tags = card["weights"]
        has = pretrained in tags if isinstance(pretrained, str) else bool(tags) == pretrained
        return (
            fnmatch.fnmatchcase(name, pattern)
            and family in (None, card["family"])
            and (pretrained is None or has)
        )

    return sorted(name for name, card in cards.items() if wanted(name, card))


@overload
def list_weights(name: str) -> list[str]: ...
@overload
def list_weights(name: None = None) -> dict[str, list[str]]: ...
def list_weights(name: str | None = None) -> list[str] | dict[str, list[str]]:
    """Pretrained tags: of one model as a sorted list, or of all models as a dict of lists.

    Raises:
        ValueError: no model has that name.
    """
    if name is not None:
        return sorted(registry.card(name)["weights"])
    return {model: sorted(registry.card(model)["weights"]) for model in list_models()}


def info(name: str) -> registry.Info:
    """The model's card, as a dict of its own.

    Returns:
        `builder` and `network` (by which the model is made), `family`, `description`,
        `paper` (`differs` says where the model here is not the paper's), `kwargs` (the arguments
        of both), `arguments` (what each of them does), `recipe` (dataset, optimizer, batch size,
        epochs, seed; `pretraining` for stacked models) and `weights` (by tag: file, sha256, size,
        dataset, arguments, recipe, and figures measured on the test set).

    Raises:
        ValueError: no model has that name; the message suggests the nearest.
    """
    return {**copy.deepcopy(registry.card(name)), "arguments": registry.arguments(name)}


def get(
    name: str,
    weights: files.AnyPath | None = None,
    *,
    compile: bool = True,
    **overrides: Any,
) -> Autoencoder:
    """Build a model by name.

    >>> model = autoencoders.get("vae_mlp", weights="mnist")
    >>> model = autoencoders.get("ae_mlp", input_shape=(20,), latent_dim=4)

    Args:
        name: One of `list_models()`.
        weights: Pretrained weights: a tag of the card (`list_weights(name)`), a file
            (`.weights.h5` or `.keras`), a folder that holds one, an address
            (`https://...#sha256=...`) or a Hugging Face repository (`hf://owner/repo`).
        compile: Whether to compile the model with its recipe's optimizers.
        overrides: Arguments of the builder. They win over those that the weights were trained
            with, which win over the card's. Any model takes `corruption`, a layer such as
            `layers.MaskingNoise(0.3)` that acts on the input while training.

    Returns:
        An `Autoencoder`, built and, if asked for, compiled.

    Raises:
        ValueError: unknown name, tag or argument (the message suggests the nearest); weights
            that are corrupt or do not fit.
    """
    card = registry.card(name)
    found = None if weights is None else sources.find(name, weights)
    overrides = _with_tuples(overrides)
    accepted = inspect.signature(registry.builder(name)).parameters
    _check_arguments(name, overrides, accepted)
    trained_with = _with_tuples({**card["kwargs"], **(found.arguments if found else {})})
    shapes = _shapes_of_networks(overrides, trained_with)
    shapes = {argument: size for argument, size in shapes.items() if argument in accepted}
    arguments = {**trained_with, **shapes, **overrides}
    if found is None:
        model = _build(name, arguments)
    else:
        # A file that does not say how it was trained is taken to have had the caller's arguments.
        known = trained_with if found.arguments else arguments
        model = _pretrained(name, found, known, arguments, as_it_is=not overrides)
    if compile:
        model.compile(**compile_arguments(card["recipe"]))
    return model


def load(path: files.AnyPath, *, allow_nan: bool = False) -> Any:
    """A saved model or detector, as `keras.saving.load_model` gives it.

    Args:
        path: A `.keras` file; a folder that holds one, an address (`https://...#sha256=...`) or a
            Hugging Face repository (`hf://owner/repo`). Or a folder that
            `model.save(..., zipped=False)` made, of which nothing can be verified.
        allow_nan: Whether weights, or what a detector decides by, may be NaN.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, written by a newer version of this package, or not a saved
            model; or it holds code, NaN, or a class that is not known here.
        ImportError: an `hf://` address without the hub's client.
    """
    if message := installation.conflict():
        warnings.warn(message, stacklevel=2)
    return saved.read(sources.whole_model(path), allow_nan=allow_nan)


def _with_tuples(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments with lists as tuples, so that those from JSON equal those from Python."""
    return {k: plain(tuple(v) if isinstance(v, list) else v) for k, v in arguments.items()}


def _check_arguments(
    name: str, overrides: dict[str, Any], accepted: Mapping[str, inspect.Parameter]
) -> None:
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted.values()):
        return
    known = {"corruption", *accepted}
    for argument in overrides:
        if argument not in known:
            raise ValueError(registry.unknown(f"argument of {name}", argument, known))


def _shapes_of_networks(overrides: dict[str, Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """The `input_shape` and `latent_dim` that the caller's own networks have, if there are any.

    Args:
        overrides: What the caller gave, `encoder` and `decoder` perhaps among it.
        arguments: Those of the builder where the caller gave none.
    """
    from autoencoders.networks.endings import known_shape

    shapes: dict[str, Any] = {}
    encoder_input = known_shape(overrides.get("encoder"), "input_shape")
    if encoder_input is not None:
        shapes["input_shape"] = encoder_input[1:]
    decoder_input = known_shape(overrides.get("decoder"), "input_shape")
    if decoder_input is not None and len(decoder_input) == 2:
        # The decoder takes the code, and beside it the class where there are classes.
        classes = {**arguments, **overrides}.get("num_classes", 0)
        shapes["latent_dim"] = decoder_input[1] - classes
    return shapes


def _pretrained(
    name: str,
    found: weights_files.Weights,
    trained_with: dict[str, Any],
    arguments: dict[str, Any],
    as_it_is: bool,
) -> Autoencoder:
    """The model of these arguments, with the weights that were found.

    It is the trained model itself where that is what was asked for, otherwise a new one into which
    the tensors are copied. Whether a whole saved model was asked for, the caller says by
    `as_it_is`, for its arguments are not known.
    """
    trained = weights_files.load(found, lambda: _build(name, trained_with))
    trained.note_pretrained()
    if not found.whole_model and arguments == trained_with:
        return trained
    model = _build(name, arguments)
    if found.whole_model and as_it_is and weights_files.same_kind(trained, model):
        return trained
    # The warnings are for the caller of `get`.
    if weights_files.transplant(trained, model, stacklevel=4):
        model.note_pretrained()
    return model


def _build(name: str, arguments: dict[str, Any]) -> Autoencoder:
    """The model of a name and arguments, with its variables wherever the shape of rows is known."""
    builder = registry.builder(name)
    parameters = inspect.signature(builder).parameters
    arguments = {"name": name, **arguments} if "name" in parameters else dict(arguments)
    corruption = None
    if "corruption" not in parameters:
        corruption = arguments.pop("corruption", None)
        if corruption is not None and not callable(corruption):
            raise ValueError(
                "`corruption` must be a layer, such as `layers.GaussianNoise(0.3)`; got "
                f"{corruption!r}."
            )
    model = builder(**arguments)
    if corruption is not None:
        model.corruption = corruption
    if not model.built:
        default = parameters["input_shape"].default if "input_shape" in parameters else None
        shape = arguments.get("input_shape", default)
        if shape is not None:
            model.build((None, *(shape if isinstance(shape, tuple) else (shape,))))
        elif model.known_input_shape:
            model.build(model.known_input_shape)
    return model
