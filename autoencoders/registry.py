"""Cards and builders by name.

A *card* is a JSON file in `zoo_configs/`: what a model is, how it is built and trained, and which
pretrained weights it has. A *builder* is the function that a card names. Reading cards needs no
model code, so listing models is instant.
"""

import difflib
import json
from functools import cache
from importlib import import_module
from pathlib import Path

_builders = {}
_user_cards = {}


@cache
def zoo_folder():
    """The folder of the cards: inside an installed package, at the root of a source tree."""
    package = Path(__file__).parent
    installed = package / "zoo_configs"
    return installed if installed.is_dir() else package.parent / "zoo_configs"


@cache
def _bundled_cards():
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(zoo_folder().glob("*.json"))
    }


def cards():
    """Every card by model name: the package's own and those of `register`."""
    return {**_bundled_cards(), **_user_cards}


def card(name):
    """The card of one model.

    Raises:
        ValueError: no model has that name; the message suggests the nearest.
    """
    known = cards()
    if name not in known:
        raise ValueError(unknown("model", name, known))
    return known[name]


def unknown(kind, given, known):
    """The message for a `kind` of thing called `given` that is none of the `known` names."""
    nearest = difflib.get_close_matches(str(given), known, n=1, cutoff=0.5)
    hint = f"Did you mean {nearest[0]!r}? " if nearest else ""
    names = ", ".join(sorted(known)) or "none"
    return f"Unknown {kind} {given!r}. {hint}Known: {names}."


def builder(name):
    """The function that builds the model `name`; imports the models when it is first asked for.

    Where the card names a kind of network, that is the card's objective over it, with the arguments
    of both (`models.building.composed`).
    """
    known = card(name)
    if name in _user_cards:
        return _builders[name]
    import_module("autoencoders.models")
    composed = import_module("autoencoders.models.building").composed
    defaults = {**known["kwargs"], "name": name}
    return composed(_builders[known["builder"]], known["network"], defaults)


def register(build=None, *, name=None, family="custom", paper=None, kwargs=None, recipe=None):
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
