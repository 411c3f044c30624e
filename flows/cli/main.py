"""The command `nightshift`. Starts fast: each command imports what it needs when it runs."""

import sys
from typing import Annotated

import typer

from flows.cli.data import data
from flows.cli.models import app as models
from flows.cli.night import app as night
from flows.cli.prefect_server import choose_server
from flows.cli.project import app as project
from flows.cli.services import app as services
from flows.cli.training import app as training

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for commands in (training, night, project):
    app.add_typer(commands)
app.add_typer(data, name="data")
for commands in (models, services):
    app.add_typer(commands)


def show_version(asked: bool) -> None:
    """Print the version and end."""
    if asked:
        from importlib.metadata import version

        typer.echo(f"nightshift {version('nightshift')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    """Learn from labelled images, then classify folders of new ones, every night, into a CSV you can trust."""


def main() -> None:
    """Run the command. An error that a person can fix is shown as a message, without a traceback."""
    from pipeline.core.command import run

    choose_server()
    sys.exit(run(lambda: app(standalone_mode=True)))
