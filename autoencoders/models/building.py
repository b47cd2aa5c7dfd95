"""The function that builds a card's model: a builder over an architecture, with all arguments."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from autoencoders import networks
from autoencoders.autoencoder import Autoencoder
from autoencoders.checks import plain


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
    name = defaults.get("name", builder.__name__)
    defaults = {k: tuple(v) if isinstance(v, list) else v for k, v in defaults.items()}
    parameters = [
        parameter.replace(
            kind=parameter.KEYWORD_ONLY, default=defaults.get(argument, parameter.default)
        )
        for function in (architecture, builder)
        for argument, parameter in inspect.signature(function).parameters.items()
        if argument != "network" and parameter.kind is not parameter.VAR_KEYWORD
    ]
    others = [p for p in inspect.signature(builder).parameters.values() if p.kind is p.VAR_KEYWORD]
    signature = inspect.Signature([*parameters, *others], return_annotation=Autoencoder)

    def build(**arguments: Any) -> Autoencoder:
        try:
            bound = signature.bind(**arguments)
        except TypeError as error:
            raise TypeError(f"{name}() {error}") from None
        bound.apply_defaults()
        given = {argument: plain(value) for argument, value in bound.arguments.items()}
        for other in others:
            given |= given.pop(other.name)
        ours = {argument: value for argument, value in given.items() if argument in names}
        theirs = {argument: value for argument, value in given.items() if argument not in names}
        return builder(architecture(**ours), **theirs)

    build.__name__ = build.__qualname__ = name
    build.__signature__ = signature
    return build
