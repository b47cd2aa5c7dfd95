"""The command line: `autoencoders --help`. One file per command group."""

import os

import typer

from autoencoders import __version__, installation
from autoencoders.cli import bundled, demo, draw, features, models, train

app: typer.Typer = typer.Typer(
    help="The Keras autoencoder zoo.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
app.command("list")(models.list_)
app.command()(models.info)
app.command()(train.train)
app.command()(bundled.reproduce)
app.command()(bundled.verify)
app.command()(features.features)
app.command()(draw.draw)
app.command()(demo.demo)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    pass


def main() -> None:
    """Run the command line; expected errors become one line and a non-zero exit."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if message := installation.conflict():
        typer.secho(f"Warning: {message}", fg="yellow", err=True)
    try:
        app()
    except (ValueError, OSError, RuntimeError, ImportError) as error:
        if os.environ.get("AUTOENCODERS_TRACEBACK"):
            raise
        typer.secho(f"Error: {error}", fg="red", err=True)
        raise SystemExit(1) from None
