"""`autoencoders reproduce` and `autoencoders verify`: what the cards say, put to the test."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import autoencoders
from autoencoders import files, recipes, registry, zoo
from autoencoders.cli.quiet import import_keras
from autoencoders.cli.train import fit
from autoencoders.zoo import sources

console: Console = Console()

_NOT_AT_HAND = "{} is not at hand: see AUTOENCODERS_DATA_DIR"


def reproduce(
    name: Annotated[str, typer.Argument(help="A model's name.")],
    tag: Annotated[
        str | None, typer.Option("--weights", help="Which of its weights; all unless given.")
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where the new weights go.")] = Path("reproduced"),
) -> None:
    """Train bundled weights anew, from their card's recipe and seed, and compare the figures.

    Fails if a figure is further from the card's than the tolerance stated there, or if the model
    would not pass the zoo's gate. Interrupt it at any time: the same command goes on where it
    stopped.
    """
    tags = zoo.list_weights(name)
    if not tags:
        raise ValueError(f"{name} has no bundled weights to reproduce.")
    failed = []
    for each in [tag] if tag else tags:
        entry = sources.entry(name, each)
        console.print(f"[bold]{name}, {each}[/bold]")
        run, data = recipes.load(name, each)
        path = folder / entry["file"]
        model, partial = fit(run, data, path)
        with files.trial(path) as new:
            figures = recipes.save_weights(model, new, run, data)["figures"]
        partial.unlink()
        if not _report(figures, entry):
            failed.append(each)
    if failed:
        raise ValueError(f"{name} was not reproduced within the tolerance: {', '.join(failed)}.")


def verify(
    name: Annotated[str | None, typer.Argument(help="A model's name; all unless given.")] = None,
) -> None:
    """Check the hash of every bundled file, and measure its figures again.

    Fails if a file is not the one of its card, a figure is not the card's, or a model does not
    pass the zoo's gate. Needs no network; figures of data that is not at hand are left out.
    """
    if name and not zoo.list_weights(name):
        raise ValueError(f"{name} has no bundled weights to verify.")
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


def _verify(name: str, tag: str) -> tuple[str, str]:
    """The outcome for one file of weights, and what it is about, as text for the console."""
    try:
        entry = sources.entry(name, tag)
        sources.find(name, tag)
        if not autoencoders.datasets.at_hand(tag):
            return "hash only", _NOT_AT_HAND.format(tag)
        _, data = recipes.load(name, tag)
        figures = recipes.measure(name, tag, data)
        model = autoencoders.get(name, weights=tag)
        bar = recipes.baseline(model, name, data)
        problems = []
        if not recipes.same(figures, entry["figures"]):
            problems.append(f"the card says {entry['figures']}, here {figures}")
        if not recipes.same_bar(bar, recipes.Baseline(**entry["baseline"])):
            problems.append(f"the card has the bar {entry['baseline']}, here it is {bar}")
        if model.count_params() != entry["parameters"]:
            problems.append(f"it has {model.count_params()} parameters, not {entry['parameters']}")
        if not recipes.passes(figures, bar):
            problems.append("it does not pass the gate")
    except (ValueError, OSError, KeyError) as error:
        return "wrong", escape(f"{type(error).__name__}: {error}")
    detail = f"squared error {figures['squared_error']:.4g}, {bar.rule} {bar.squared_error:.4g}"
    return ("wrong" if problems else "measured"), escape("; ".join([detail, *problems]))


def _verify_classifier(name: str, tag: str) -> tuple[str, str]:
    """As `_verify`, for a classifier in whose features generated images are measured."""
    features = autoencoders.metrics.features
    try:
        model = features.load(features.folder() / f"{tag}.json")
    except ValueError as error:
        return "wrong", escape(str(error))
    if not autoencoders.datasets.at_hand(tag):
        return "hash only", _NOT_AT_HAND.format(tag)
    _, (x, y) = autoencoders.datasets.load(tag)
    expected = features.cards()[tag]["figures"]["test_error"]
    error = features.test_error(model, x, y)
    outcome = "measured" if abs(error - expected) <= recipes.SAME_WEIGHTS else "wrong"
    return outcome, f"test error {error:.2%}, on the card {expected:.2%}"


def _report(figures: dict[str, float], entry: registry.WeightsEntry) -> bool:
    """Print figures beside those of a card, and return whether they reproduce it."""
    off, tolerance = recipes.deviations(figures, entry["figures"]), entry["tolerance"]
    table = Table("", "card", "here", "off by", box=None, header_style="bold")
    for key, expected in entry["figures"].items():
        difference = f"{off[key]:.2%}" if key in off else ""
        table.add_row(key, f"{expected:.6g}", f"{figures[key]:.6g}", difference)
    console.print(table)
    within, bar = recipes.within(off, tolerance), recipes.Baseline(**entry["baseline"])
    verdict = "[green]within[/]" if within else "[red]outside[/]"
    console.print(f"{verdict} the tolerance of {tolerance:.1%}")
    passes = recipes.passes(figures, bar)
    if not passes:
        console.print(f"[red]below the gate[/]: {bar}")
    return within and passes
