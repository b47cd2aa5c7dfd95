"""Cards and builders by name.

A *card* is a JSON file in `zoo_configs/`: what a model is, how it is built and trained, and which
pretrained weights it has. A *builder* is the function that a card names. Reading cards needs no
model code, so listing models is instant.
"""

import ast
import difflib
import inspect
import json
import re
from functools import cache
from importlib import import_module
from pathlib import Path

_ARCHITECTURES = "networks/architectures.py"
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
    import_module("autoencoders.models")
    if known["network"] is None:
        return _builders[name]
    composed = import_module("autoencoders.models.building").composed
    defaults = {**known["kwargs"], "name": name}
    build = composed(_builders[known["builder"]], known["network"], defaults)
    lines = "\n".join(f"    {argument}: {text}" for argument, text in arguments(name).items())
    build.__doc__ = f"{known['description']}\n\nArgs:\n{lines}\n"
    return build


def arguments(name):
    """What is said of each argument of a model's builder: a dict of lines by argument.

    They stand once, in the docstrings of the objectives and of the architectures. These are read
    from the source, so that asking imports no Keras.
    """
    known = card(name)
    parts = [part for part in (known["network"], known["builder"]) if part is not None]
    texts = {
        argument: _followed(part, argument)
        for part in parts
        for argument in _arguments_in(_docstring(part))
    }
    if known["network"] is not None:
        del texts["network"]
    return texts


def _docstring(name):
    """The docstring of an objective or an architecture, the user's own ones among them."""
    if name in _user_cards:
        return inspect.getdoc(_builders[name]) or ""
    return {**_docstrings("models/**/*.py"), **_docstrings(_ARCHITECTURES)}[name]


@cache
def _docstrings(files):
    """The docstrings of the classes and functions in the package's files, by their names."""
    return {
        node.name: ast.get_docstring(node) or ""
        for path in Path(__file__).parent.glob(files)
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, (ast.ClassDef, ast.FunctionDef))
    }


def _arguments_in(docstring):
    """The entries of a docstring's section "Args:"."""
    entries = []
    for line in docstring.partition("\nArgs:\n")[2].splitlines():
        if line and not line.startswith(" "):
            break
        if line.startswith(" " * 8):
            entries[-1] += f" {line.strip()}"
        elif line:
            entries.append(line.strip())
    parts = (entry.partition(": ") for entry in entries)
    return {name: text for names, _, text in parts for name in names.split(", ")}


def _followed(part, argument):
    """What is said of an argument; "As in `x`." stands for what is said of it there."""
    text = _arguments_in(_docstring(part))[argument]
    reference = re.match(r"As in `(\w+)`\.\s*", text)
    if reference is None:
        return text
    return f"{_followed(reference[1], argument)} {text[reference.end() :]}".strip()


def register(
    build=None,
    *,
    name=None,
    network=None,
    family="custom",
    paper=None,
    kwargs=None,
    recipe=None,
):
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
        ValueError: the name belongs to another builder, or there is no such network.
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
    if network is not None and network not in (known := _docstrings(_ARCHITECTURES)):
        raise ValueError(unknown("network", network, known))
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
            "network": network,
            "family": family,
            "description": (build.__doc__ or "").strip().partition("\n")[0],
            "paper": paper or {},
            "kwargs": kwargs or {},
            "recipe": recipe or {},
            "weights": {},
        }
    return build
