"""`autoencoders train`: train a model on a data set by its recipe, resumably."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from autoencoders import files, recipes, registry
from autoencoders.cli.quiet import import_keras
from autoencoders.zoo import weights

if TYPE_CHECKING:
    from autoencoders.autoencoder import Autoencoder

console: Console = Console()


def train(
    name: Annotated[str, typer.Argument(help="A model's name.")],
    data: Annotated[str, typer.Option(help="Data set: digits, mnist, ecg5000, sprites, ...")],
    save: Annotated[
        Path | None,
        typer.Option(help="Where to: a .keras file (the whole model) or a .weights.h5 file."),
    ] = None,
    arguments: Annotated[
        list[str] | None,
        typer.Option("--set", help="Argument of the builder, as in latent_dim=8; repeatable."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="In place of the recipe's.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Likewise.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Likewise.")] = None,
    seed: Annotated[int | None, typer.Option(help="Likewise.")] = None,
    recipe: Annotated[
        list[str] | None,
        typer.Option("--recipe", help="Other entry, as in schedule=cosine; repeatable."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file if it exists.")
    ] = False,
    publish: Annotated[
        bool,
        typer.Option("--publish", help="Into the zoo of this source tree, and onto the card."),
    ] = False,
    tolerance: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="With --publish: how far a reproduction may be off, relatively.",
        ),
    ] = None,
) -> None:
    """Train a model on a data set and measure it on the test set.

    The settings are those with which the bundled weights for this data set were trained; if there
    are none, those of the card. Interrupt it at any time: the same command goes on where it
    stopped.
    """
    registry.card(name)
    if publish == (save is not None):
        raise ValueError("Say where the result goes: --save PATH, or --publish.")
    path = recipes.published(name, data) if save is None else save
    if not path.name.endswith((".keras", ".weights.h5")):
        raise ValueError(f"--save takes a .keras or a .weights.h5 file, got {path}.")
    if path.exists() and not (overwrite or publish):
        raise ValueError(f"{path} exists; --overwrite replaces it.")
    if publish and not os.access(path.parent, os.W_OK):
        raise ValueError(f"{path.parent} cannot be written to: publish from a source tree.")
    options = {"epochs": epochs, "batch_size": batch_size, "seed": seed}
    changes = {key: value for key, value in options.items() if value is not None}
    changes |= _parse("--recipe", recipe)
    run, rows = recipes.load(name, data, _parse("--set", arguments), **changes)
    if learning_rate is not None:
        optimizer = run.recipe["optimizer"]
        optimizer = {"name": optimizer} if isinstance(optimizer, str) else optimizer
        optimizer = {**optimizer, "learning_rate": learning_rate}
        run = run._replace(recipe={**run.recipe, "optimizer": optimizer})

    # What is unfinished lies in the current folder, not among the weights of the zoo.
    model, partial = fit(run, rows, Path(path.name) if publish else path)
    if publish:
        entry = recipes.publish(model, run, rows, tolerance)
        figures, bar = entry["figures"], recipes.Baseline(**entry["baseline"])
    else:
        with files.trial(path) as new:
            if path.suffix == ".keras":
                model.save(new)
            else:
                weights.save(model, new, name, run.arguments)
            figures, bar = recipes.measure(name, new, rows), recipes.baseline(model, name, rows)
    table = Table("measured on the test set", "", box=None, header_style="bold")
    for key, value in figures.items():
        table.add_row(key, f"{value:.4f}")
    table.add_row(f"squared_error of the baseline, {bar.rule}", f"{bar.squared_error:.4f}")
    console.print(table)
    partial.unlink()
    console.print(f"Saved to [bold]{path}[/bold]")


def fit(run: recipes.Run, data: recipes.Data, path: Path) -> tuple[Autoencoder, Path]:
    """Train with progress; an interruption says how to go on. Returns model and checkpoint."""
    import_keras()
    try:
        model = recipes.train(run, data, path, say=console.print)
    except KeyboardInterrupt:
        console.print("\nInterrupted. The same command goes on where it last saved.")
        raise typer.Exit(130) from None
    return model, recipes.checkpoint(run, path)


def _parse(option: str, arguments: list[str] | None) -> dict[str, Any]:
    """`key=value` pairs; a value is JSON (`[256, 64]`, `0.5`, `null`), otherwise a plain string."""
    parsed = {}
    for argument in arguments or []:
        key, separator, value = argument.partition("=")
        if not separator:
            raise ValueError(f"{option} takes key=value, got {argument!r}.")
        try:
            parsed[key] = json.loads(value)
        except json.JSONDecodeError:
            parsed[key] = value
    return parsed
