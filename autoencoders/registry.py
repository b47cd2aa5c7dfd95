"""Cards and builders by name.

A *card* is a JSON file in `zoo_configs/`: what a model is, how it is built and trained, and which
pretrained weights it has. A *builder* is the function that a card names. Reading cards needs no
model code, so listing models is instant.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, TypedDict, TypeVar, overload

from autoencoders import docstrings, files

_Builder = TypeVar("_Builder", bound=Callable[..., Any])


class Recipe(TypedDict, total=False):
    """How a model is trained.

    An optimizer is a name, or a dict of its name and its arguments.
    """

    dataset: str
    optimizer: str | dict[str, Any]
    phase_optimizers: dict[str, str | dict[str, Any]]
    schedule: str
    batch_size: int
    epochs: int
    steps_per_epoch: int
    seed: int
    labels: int
    pretraining: dict[str, Any]


class BaselineEntry(TypedDict):
    """What a model's squared error was held against, and by which rule."""

    rule: str
    squared_error: float


class WeightsEntry(TypedDict):
    """What a card says of pretrained weights.

    Attributes:
        file: Its name in `zoo_configs/weights/`.
        sha256: Its hash, as hexadecimal digits.
        size: In bytes.
        dataset: What the model was trained on.
        parameters: How many numbers the model has.
        arguments: Those of the builder.
        recipe: How it was trained.
        figures: Measured on the test set.
        baseline: What the squared error was held against.
        tolerance: The relative difference within which a second training meets the figures.
    """

    file: str
    sha256: str
    size: int
    dataset: str
    parameters: int
    arguments: dict[str, Any]
    recipe: Recipe
    figures: dict[str, float]
    baseline: BaselineEntry
    tolerance: float


class Card(TypedDict):
    """What a model is, how it is built and trained, and its weights by tag.

    Attributes:
        builder: The name of a builder: a function of `autoencoders.models`, or one of `register`.
        network: The name of a `networks.Architecture`; None for a builder that makes its own.
        family: What `list_models(family=...)` goes by.
        description: A sentence.
        paper: Title, authors, year and the like; `differs`, a list of sentences, where the model
            here is not the paper's.
        kwargs: The arguments of builder and network.
        recipe: How it is trained.
        weights: What is known of the pretrained weights of each tag.
    """

    builder: str
    network: str | None
    family: str
    description: str
    paper: dict[str, Any]
    kwargs: dict[str, Any]
    recipe: Recipe
    weights: dict[str, WeightsEntry]


class Info(Card):
    """A card, and a line about each of its model's arguments."""

    arguments: dict[str, str]


_ARCHITECTURES = "networks/architectures.py"

# The package's own builders by their names, which several cards may share; a user's by the names
# of their cards. Neither sees the other's names.
_bundled_builders: dict[str, Callable[..., Any]] = {}
_builders: dict[str, Callable[..., Any]] = {}
_user_cards: dict[str, Card] = {}


@cache
def zoo_folder() -> Path:
    """The folder of the cards: inside an installed package, at the root of a source tree."""
    package = Path(__file__).parent
    installed = package / "zoo_configs"
    return installed if installed.is_dir() else package.parent / "zoo_configs"


@cache
def _bundled_cards() -> dict[str, Card]:
    return files.read_json_folder(zoo_folder())


def cards() -> dict[str, Card]:
    """Every card by model name: the package's own and those of `register`."""
    return {**_bundled_cards(), **_user_cards}


def card(name: str) -> Card:
    """The card of one model.

    Raises:
        ValueError: no model has that name; the message suggests the nearest.
    """
    known = cards()
    if name not in known:
        raise ValueError(unknown("model", name, known))
    return known[name]


def unknown(kind: str, given: object, known: Iterable[str]) -> str:
    """The message for a name `given` of a `kind` of thing, which is not among the `known` ones."""
    known = list(known)
    nearest = difflib.get_close_matches(str(given), known, n=1, cutoff=0.5)
    hint = f"Did you mean {nearest[0]!r}? " if nearest else ""
    names = ", ".join(sorted(known)) or "none"
    return f"Unknown {kind} {given!r}. {hint}Known: {names}."


def builder(name: str) -> Callable[..., Any]:
    """The function that builds the model `name`; imports the models when it is first asked for.

    Where the card names a kind of network, that is the card's builder over it, with the arguments
    of both (`models.building.composed`).
    """
    known = card(name)
    if name in _user_cards:
        build = _builders[name]
    else:
        import_module("autoencoders.models")
        build = _bundled_builders[known["builder"]]
    if known["network"] is None:
        return build
    composed = import_module("autoencoders.models.building").composed
    build = composed(build, known["network"], {**known["kwargs"], "name": name})
    lines = "\n".join(f"    {argument}: {text}" for argument, text in arguments(name).items())
    build.__doc__ = f"{known['description']}\n\nArgs:\n{lines}\n"
    return build


def arguments(name: str) -> dict[str, str]:
    """What is said of each argument of a model's builder: a dict of lines by argument.

    They stand once, in the docstrings of the builders and of the architectures. These are read
    from the source, so that asking imports no Keras; without the source there are none.
    """
    known, ours = card(name), _docstrings()
    if name in _user_cards:
        build = inspect.getdoc(_builders[name]) or ""
    else:
        build = ours.get(known["builder"], "")
    network = "" if known["network"] is None else ours.get(known["network"], "")
    texts = {**docstrings.arguments(network), **docstrings.arguments(build)}
    if known["network"] is not None:
        texts.pop("network", None)
    return {argument: _followed(argument, text) for argument, text in texts.items()}


@cache
def _docstrings() -> dict[str, str]:
    """The docstrings of the package's builders and architectures, by their names."""
    models = docstrings.docstrings("models/**/*.py")
    return {**models, **docstrings.docstrings(_ARCHITECTURES)}


def _followed(argument: str, text: str, seen: tuple[str, ...] = ()) -> str:
    """What is said of an argument; "As in `x`." stands for what the package says of it there."""
    reference = re.match(r"As in `(\w+)`\.\s*", text)
    if reference is None or reference[1] in seen:
        return text
    there = docstrings.arguments(_docstrings().get(reference[1], ""))
    if argument not in there:
        return text
    line = _followed(argument, there[argument], (*seen, reference[1]))
    return f"{line} {text[reference.end() :]}".strip()


@overload
def register(
    build: _Builder,
    *,
    name: str | None = None,
    network: str | None = None,
    family: str = "custom",
    paper: dict[str, Any] | None = None,
    kwargs: dict[str, Any] | None = None,
    recipe: Recipe | None = None,
) -> _Builder: ...
@overload
def register(
    build: None = None,
    *,
    name: str | None = None,
    network: str | None = None,
    family: str = "custom",
    paper: dict[str, Any] | None = None,
    kwargs: dict[str, Any] | None = None,
    recipe: Recipe | None = None,
) -> Callable[[_Builder], _Builder]: ...
def register(
    build: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    network: str | None = None,
    family: str = "custom",
    paper: dict[str, Any] | None = None,
    kwargs: dict[str, Any] | None = None,
    recipe: Recipe | None = None,
) -> Callable[..., Any]:
    """Register a model builder under its function's name, so that `get` and `list_models` know it.

    The package's own builders use it bare; their cards are the files in `zoo_configs/`. A builder
    of yours gets a card from the arguments here.

    >>> @autoencoders.register(family="custom", recipe={"optimizer": {"name": "adam"}})
    ... def my_autoencoder(input_shape=(8, 8, 1), latent_dim=4):
    ...     encoder, decoder = autoencoders.networks.mlp(input_shape, latent_dim)
    ...     return autoencoders.Autoencoder(encoder, decoder)

    Args:
        build: The function. It returns an `Autoencoder`; each of its arguments has a default.
        name: The model's name, if not the function's.
        network: The name of a `networks.Architecture`, such as "Conv", if the function takes one
            as its argument `network`: the model then has the arguments of both.
        family: The family that `list_models(family=...)` and `info` show.
        paper: A mapping (title, authors, year, ...) for `info`.
        kwargs: Arguments that `get` passes to the builder unless told otherwise.
        recipe: How it is trained: `optimizer`, `batch_size`, `epochs`, `seed`, `dataset`.

    Raises:
        ValueError: the name belongs to another model, there is no such network, or the function
            has no argument for it.
    """
    if build is None:
        return lambda function: register(
            function,
            name=name,
            network=network,
            family=family,
            paper=paper,
            kwargs=kwargs,
            recipe=recipe,
        )
    if build.__module__.startswith("autoencoders.models."):
        _bundled_builders[build.__name__] = build
        return build
    if network is not None:
        _check_network(build, network)
    name = name or build.__name__
    identity = (build.__module__, build.__qualname__)
    existing = _builders.get(name)
    taken = existing and (existing.__module__, existing.__qualname__) != identity
    if taken or name in _bundled_cards():
        raise ValueError(f"A model named {name!r} exists already; pass another `name`.")
    _builders[name] = build
    _user_cards[name] = {
        "builder": name,
        "network": network,
        "family": family,
        "description": (build.__doc__ or "").strip().partition("\n")[0],
        "paper": paper or {},
        "kwargs": kwargs or {},
        "recipe": recipe or {},
        "weights": {},
    }
    return build


def _check_network(build: Callable[..., Any], network: str) -> None:
    known = docstrings.docstrings(_ARCHITECTURES)
    if known and network not in known:  # without the source none are known here
        raise ValueError(unknown("network", network, known))
    if "network" not in inspect.signature(build).parameters:
        raise ValueError(f"{build.__name__} must have an argument `network` to be built over one.")
