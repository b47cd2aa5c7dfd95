"""Cards and builders by name.

A *card* is a JSON file in `zoo_configs/`: what a model is, how it is built and trained, and which
pretrained weights it has. A *builder* is the function that a card names. Reading cards needs no
model code, so listing models is instant.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, TypedDict, TypeVar, overload

from autoencoders import files

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
    """What a model is, how it is built and trained, and its weights by tag."""

    builder: str
    family: str
    description: str
    paper: dict[str, Any]
    kwargs: dict[str, Any]
    recipe: Recipe
    weights: dict[str, WeightsEntry]


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
    """The function that builds the model `name`; imports its family when it is first asked for."""
    builder_name = card(name)["builder"]
    if builder_name not in _builders:
        import_module(f"autoencoders.models.{card(name)['family']}")
    return _builders[builder_name]


@overload
def register(
    build: _Builder,
    *,
    name: str | None = None,
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
    family: str = "custom",
    paper: dict[str, Any] | None = None,
    kwargs: dict[str, Any] | None = None,
    recipe: Recipe | None = None,
) -> Callable[[_Builder], _Builder]: ...
def register(
    build: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
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
        family: The family that `list_models(family=...)` and `info` show.
        paper: A mapping (title, authors, year, ...) for `info`.
        kwargs: Arguments that `get` passes to the builder unless told otherwise.
        recipe: How it is trained: `optimizer`, `batch_size`, `epochs`, `seed`, `dataset`.

    Raises:
        ValueError: the name belongs to another builder.
    """
    if build is None:
        return lambda function: register(
            function, name=name, family=family, paper=paper, kwargs=kwargs, recipe=recipe
        )
    name = name or build.__name__
    identity = (build.__module__, build.__qualname__)
    ours = build.__module__.startswith("autoencoders.models.")
    existing = _builders.get(name)
    taken = name in _bundled_cards() and not ours
    if taken or (existing and (existing.__module__, existing.__qualname__) != identity):
        raise ValueError(f"A model named {name!r} exists already; pass another `name`.")
    _builders[name] = build
    if not ours:
        _user_cards[name] = {
            "builder": name,
            "family": family,
            "description": (build.__doc__ or "").strip().partition("\n")[0],
            "paper": paper or {},
            "kwargs": kwargs or {},
            "recipe": recipe or {},
            "weights": {},
        }
    return build
