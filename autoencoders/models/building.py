"""The function that builds a card's model: a builder over an architecture, with all arguments."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from autoencoders import networks
from autoencoders.autoencoder import Autoencoder


def composed(
    builder: Callable[..., Autoencoder], network: str, defaults: Mapping[str, Any]
) -> Callable[..., Autoencoder]:
    """One function of keyword arguments: those of the network, then those of the builder.

    Its signature (`inspect.signature`) is complete, and what it does is

        builder(architecture(**its_arguments), **the_others)

    Args:
        builder: A function of `autoencoders.models`, or of `autoencoders.register`.
        network: The name of a `networks.Architecture`, such as "Conv".
        defaults: The card's arguments; they win over the defaults of the two.

    Raises:
        ValueError: the two have an argument in common.
    """
    architecture = getattr(networks, network)
    names = {field.name for field in fields(architecture)}
    if common := names & set(inspect.signature(builder).parameters):
        raise ValueError(
            f"{builder.__name__} and {network} both have the argument {min(common)!r}: give the "
            "builder's another name."
        )
    defaults = {k: tuple(v) if isinstance(v, list) else v for k, v in defaults.items()}
    parameters = {
        name: parameter.replace(
            kind=parameter.KEYWORD_ONLY, default=defaults.get(name, parameter.default)
        )
        for function in (architecture, builder)
        for name, parameter in inspect.signature(function).parameters.items()
        if name != "network"
    }
    signature = inspect.Signature(list(parameters.values()), return_annotation=Autoencoder)

    def build(**arguments: Any) -> Autoencoder:
        bound = signature.bind(**arguments)
        bound.apply_defaults()
        ours = {name: value for name, value in bound.arguments.items() if name in names}
        theirs = {name: value for name, value in bound.arguments.items() if name not in names}
        return builder(architecture(**ours), **theirs)

    build.__name__ = build.__qualname__ = builder.__name__
    build.__signature__ = signature
    return build
