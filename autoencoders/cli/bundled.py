"""`autoencoders reproduce` and `autoencoders verify`: what the cards say, put to the test."""

from functools import cache
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import autoencoders
from autoencoders import recipes, weights, zoo
from autoencoders.cli.quiet import import_keras
from autoencoders.cli.train import fit

console = Console()

# The same weights on another machine differ by its arithmetic alone.
_SAME_WEIGHTS = 1e-3

_NOT_AT_HAND = "{} is not at hand: see AUTOENCODERS_DATA_DIR"


def reproduce(
    name: Annotated[str, typer.Argument(help="A model's name.")],
    tag: Annotated[
        str | None, typer.Option("--weights", help="Which of its weights; all unless given.")
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where the new weights go.")] = Path("reproduced"),
):
    """Train bundled weights anew, from their card's recipe and seed, and compare the figures.

    Fails if a figure is further from the card's than the tolerance stated there. Interrupt it at
    any time: the same command goes on where it stopped.
    """
    tags = zoo.list_weights(name)
    if not tags:
        raise ValueError(f"{name} has no bundled weights to reproduce.")
    failed = []
    for each in [tag] if tag else tags:
        entry = weights.entry(name, each)
        console.print(f"[bold]{name}, {each}[/bold]")
        run, data = recipes.load(name, each)
        path = folder / entry["file"]
        model, partial = fit(run, data, path)
        figures = recipes.save_weights(model, path, run, data)["figures"]
        partial.unlink()
        if not _report(figures, entry, entry["tolerance"]):
            failed.append(each)
    if failed:
        raise ValueError(f"{name} was not reproduced within the tolerance: {', '.join(failed)}.")


def verify(
    name: Annotated[str | None, typer.Argument(help="A model's name; all unless given.")] = None,
):
    """Check the hash of every bundled file, and measure its figures again.

    Fails if a file is not the one of its card, a figure is not the card's, or a model does not
    pass the zoo's gate. Needs no network; figures of data that is not at hand are left out.
    """
    names = [name] if name else zoo.list_models(pretrained=True)
    entries = [(_verify, name, tag) for name in names for tag in zoo.list_weights(name)]
    import_keras()
    if name is None:
        classifiers = autoencoders.metrics.features.cards()
        entries += [(_verify_classifier, "features", tag) for tag in classifiers]
    outcomes = []
    for number, (check, name, tag) in enumerate(entries, start=1):
        outcome, detail = check(name, tag)
        outcomes.append(outcome)
        colour = {"measured": "green", "hash only": "yellow", "wrong": "red"}[outcome]
        console.print(
            f"[dim]{number:3}/{len(entries)}[/]  {name}, {tag}: [{colour}]{outcome}[/]  {detail}",
            highlight=False,
            soft_wrap=True,
        )
    counts = {kind: outcomes.count(kind) for kind in ("measured", "hash only", "wrong")}
    console.print(", ".join(f"{count} {kind}" for kind, count in counts.items()))
    if counts["wrong"]:
        raise ValueError(f"{counts['wrong']} of {len(entries)} files are not what their cards say.")


@cache
def _at_hand(dataset):
    """Whether a data set can be had. Asked once: a network may take its time to fail."""
    try:
        if dataset != "sprites":  # drawn, not read
            autoencoders.datasets.load(dataset)
    except RuntimeError:
        return False
    return True


def _verify(name, tag):
    expected = weights.entry(name, tag)["figures"]
    try:
        weights.find(name, tag)
        if not _at_hand(tag):
            return "hash only", _NOT_AT_HAND.format(tag)
        _, data = recipes.load(name, tag)
        figures = recipes.measure(name, tag, data)
    except ValueError as error:
        return "wrong", escape(str(error))
    off = recipes.deviations(figures, expected)
    bar = recipes.Baseline(**weights.entry(name, tag)["baseline"])
    detail = f"squared error {figures['squared_error']:.4g}, {bar.rule} {bar.squared_error:.4g}"
    if max(off.values()) > _SAME_WEIGHTS or not recipes.passes(figures, bar):
        return "wrong", f"{detail}; the card says {expected}, here {figures}"
    return "measured", detail


def _verify_classifier(name, tag):
    """As `_verify`, for a classifier in whose features generated images are measured."""
    features = autoencoders.metrics.features
    try:
        model = features.load(features.folder() / f"{tag}.json")
    except ValueError as error:
        return "wrong", escape(str(error))
    if not _at_hand(tag):
        return "hash only", _NOT_AT_HAND.format(tag)
    _, (x, y) = autoencoders.datasets.load(tag)
    expected = features.cards()[tag]["figures"]["test_error"]
    error = features.test_error(model, x, y)
    outcome = "measured" if abs(error - expected) <= _SAME_WEIGHTS else "wrong"
    return outcome, f"test error {error:.2%}, on the card {expected:.2%}"


def _report(figures, entry, tolerance):
    """Print figures beside a card's; whether all that count are within the tolerance."""
    off = recipes.deviations(figures, entry["figures"])
    table = Table("", "card", "here", "off by", box=None, header_style="bold")
    for key, expected in entry["figures"].items():
        difference = f"{off[key]:.2%}" if key in off else ""
        table.add_row(key, f"{expected:.6g}", f"{figures[key]:.6g}", difference)
    console.print(table)
    within = max(off.values()) <= tolerance
    verdict = "[green]within[/]" if within else "[red]outside[/]"
    console.print(f"{verdict} the tolerance of {tolerance:.1%}")
    return within
