"""`autoencoders list` and `autoencoders info`: what the zoo holds. Neither imports TensorFlow."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from autoencoders import registry, zoo

console: Console = Console()


def list_(
    pattern: Annotated[str, typer.Argument(help="Wildcards, as in '*_mlp'.")] = "*",
    family: Annotated[str | None, typer.Option(help="Only this family.")] = None,
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="Only models with pretrained weights.")
    ] = False,
) -> None:
    """List the models, their families and pretrained weights."""
    names = zoo.list_models(pattern, family=family, pretrained=pretrained or None)
    if not names:
        raise ValueError(f"No model matches {pattern!r}; `autoencoders list` shows them all.")
    table = Table("model", "family", "weights", "what it is", box=None, header_style="bold")
    for name in names:
        card = registry.card(name)
        table.add_row(name, card["family"], ", ".join(card["weights"]), card["description"])
    console.print(table)


def info(name: Annotated[str, typer.Argument(help="A model's name.")]) -> None:
    """Show a model's card: paper, arguments, recipe, weights and their figures."""
    card = zoo.info(name)
    console.print(f"[bold]{name}[/bold]  ({card['family']})\n{card['description']}\n")
    _print("paper", card["paper"])
    _print("kwargs", card["kwargs"])
    _print("recipe", card["recipe"])
    for tag, entry in card["weights"].items():
        _print(f"weights={tag!r}", {k: v for k, v in entry.items() if k != "figures"})
        _print(f"weights={tag!r}, measured on the test set", entry["figures"])


def _print(title: str, values: Mapping[str, Any]) -> None:
    table = Table(box=None, show_header=False, padding=(0, 2))
    table.add_column()
    table.add_column(overflow="fold")
    for key, value in values.items():
        if isinstance(value, dict):
            value = ", ".join(f"{k}={v}" for k, v in value.items())
        elif key == "differs":
            value = " ".join(value)
        table.add_row(key, f"{value:.4g}" if isinstance(value, float) else str(value))
    console.print(f"[italic]{escape(title)}[/italic]")
    console.print(table)
