"""Published figures beside this package's: a row of a table each, trained by `fit`.

    python -m benchmarks.papers --list
    python -m benchmarks.papers vae_400_20 deep_autoencoder
    python -m benchmarks.papers deep_autoencoder --limit 500
    python -m benchmarks.papers deep_autoencoder --held-out --set rate=0.002 --set epochs=20
    python -m benchmarks.papers --table
    python -m benchmarks.papers --curves vae_likelihood iwae

A row is a function with the recipe as its arguments. What a recipe says was either chosen
beforehand or on held-out rows of the training set. `--held-out` trains without its last 5,000 rows
and measures on them; docs/experiments.md says where other rows were held out. The test set is only
looked at by a run without it, on all training rows.

Models in training are kept in `--folder`, every two minutes: a run that was cut off, or stopped by
itself after `--limit` seconds, goes on there, bit by bit as if nothing had happened, when the same
command is given again. Results are appended to `results.jsonl` there; `--table` prints the newest
of each row as Markdown.

MNIST comes from `autoencoders.datasets`, the sprites too.
"""

import argparse
import inspect
import json
import sys
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.papers import ROWS
from benchmarks.papers.runs import Run
from benchmarks.turns import table

_COLUMNS = ("result", "protocol", "published", "ours", "epochs", "seconds")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help="see --list")
    parser.add_argument("--list", action="store_true", help="the rows and their papers")
    parser.add_argument("--table", action="store_true", help="the newest results as Markdown")
    parser.add_argument(
        "--curves", nargs="+", metavar="MODEL", help="draw the loss of models in --folder by epoch"
    )
    parser.add_argument("--held-out", action="store_true", help="measure on training rows")
    parser.add_argument(
        "--set", nargs="*", action="extend", default=[], type=_setting, metavar="NAME=VALUE"
    )
    parser.add_argument("--limit", type=float, help="seconds of training before it stops, saved")
    parser.add_argument("--first", type=int, metavar="N", help="rows of data, to try this program")
    parser.add_argument("--folder", default="papers", help="of models and results")
    arguments = parser.parse_args()
    if arguments.list:
        for name, row in ROWS.items():
            print(f"{name:22} {row.__doc__.splitlines()[0]}")
    for name in arguments.rows:
        if name not in ROWS:
            parser.error(f"no row {name!r}; there are {', '.join(ROWS)}")
    settings = dict(arguments.set)
    for name in arguments.rows:
        of_row = list(inspect.signature(ROWS[name]).parameters)[1:]
        if unknown := [key for key in settings if key not in of_row]:
            parser.error(f"{name} has no setting {unknown[0]!r}; it has {', '.join(of_row)}")
    path = Path(arguments.folder, "results.jsonl")
    options = {"held_out": arguments.held_out, "limit": arguments.limit, "rows": arguments.first}
    for name in arguments.rows:
        print(f"\n{name}{' on held-out training rows' * arguments.held_out}: {settings or ''}")
        try:
            results = ROWS[name](Run(arguments.folder, settings, **options), **settings)
        except TimeoutError as error:
            sys.exit(f"{name}: {error}; the same command goes on there.")
        about = {"row": name, "settings": settings, **options}
        del about["limit"]
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            for result in results:
                file.write(json.dumps({**about, **result._asdict()}) + "\n")
                for key, value in result._asdict().items():
                    print(f"  {key:9} {value}")
    if arguments.table:
        print_table(path)
    if arguments.curves:
        draw_curves(Path(arguments.folder), arguments.curves)


def _setting(text):
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def print_table(path):
    """The newest result of each row as it stands on the test set, in the order of the rows."""
    newest = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        result = json.loads(line)
        if not (result["held_out"] or result["rows"] or result["settings"]):
            newest[result["row"], result["result"]] = result
    order = list(ROWS)
    found = sorted(newest.values(), key=lambda result: order.index(result["row"]))
    cells = [
        [result[key] for key in _COLUMNS[:-1]] + [f"{result['seconds']:,.0f}"] for result in found
    ]
    table(_COLUMNS, cells)


def draw_curves(folder, names):
    """Draw the mean loss of each epoch, of models trained there, into `curves.png`.

    The first twentieth, which is steep, is left out.
    """
    axes = Figure(figsize=(7, 4), layout="constrained").subplots()
    for name in names:
        losses = [log["loss"] for log in json.loads((folder / f"{name}.json").read_text())["logs"]]
        epochs = range(len(losses) // 20 + 1, len(losses) + 1)
        label = f"{name}: {losses[-1]:.2f} at the end"
        axes.plot(epochs, losses[epochs[0] - 1 :], label=label)
    axes.set(xlabel="epoch", ylabel="mean loss over the training rows")
    axes.grid(alpha=0.3)
    axes.legend()
    axes.figure.savefig(folder / "curves.png", dpi=110)
    print(f"wrote {folder / 'curves.png'}")


if __name__ == "__main__":
    main()
