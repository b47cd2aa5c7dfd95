"""`autoencoders features`: train the classifier in whose features generated images are measured."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import autoencoders
from autoencoders.cli.quiet import import_keras

console: Console = Console()

_RECIPE = {
    "filters": [16, 32],
    "units": 64,
    "dropout": 0.25,
    "learning_rate": 0.002,
    "batch_size": 128,
    "epochs": 10,
    "seed": 0,
}


def features(
    data: Annotated[str, typer.Option(help="Data set: digits, mnist, fashion_mnist, cifar10.")],
    save: Annotated[Path | None, typer.Option(help="Where to: the .json file of its card.")] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="The card's, or 10, unless given.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Likewise, or 128.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Likewise, or 0.")] = None,
    publish: Annotated[
        bool, typer.Option("--publish", help="Into the zoo of this source tree.")
    ] = False,
) -> None:
    """Train a small classifier of images and measure it on the test set.

    Its penultimate layer gives the features of `metrics.generation.evaluate`. The settings are
    those of the bundled one for this data set, if there is one.
    """
    if publish == (save is not None):
        raise ValueError("Say where the result goes: --save PATH.json, or --publish.")
    if save is not None and save.suffix != ".json":
        raise ValueError(f"--save takes the .json file of a card, got {save}.")
    for file in (save, save.with_suffix(".npz")) if save is not None else ():
        if file.exists():
            raise ValueError(f"{file} exists; delete it to replace it, or take another name.")
    import_keras()
    module = autoencoders.metrics.features
    (x_train, y_train), (x_test, y_test) = autoencoders.datasets.load(data)
    if x_train.ndim != 4:
        raise ValueError(f"{data!r} does not hold images.")
    given = {"epochs": epochs, "batch_size": batch_size, "seed": seed}
    earlier = module.cards().get(data, {"recipe": _RECIPE})["recipe"]
    recipe = {**earlier, **{key: value for key, value in given.items() if value is not None}}
    path = module.folder() / f"{data}.json" if save is None else save
    model = module.train(x_train, y_train, **recipe)
    # What is measured is what the file will have: half precision.
    model.set_weights([value.astype("float16") for value in model.get_weights()])
    error = module.test_error(model, x_test, y_test)
    figures = {"test_error": error}
    card = {"dataset": data, "parameters": model.count_params(), "recipe": recipe}
    module.save(model, path, {**card, "figures": figures})
    console.print(f"Error on the test set: {error:.2%}\nSaved to [bold]{path}[/bold]")
