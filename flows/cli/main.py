"""The command `nightshift`. Starts fast: each command imports what it needs when it runs."""

import os
import shlex
import sys
from typing import Annotated, Any

import typer

from flows.cli.collect import app as collect
from flows.cli.data import data
from flows.cli.models import app as models
from flows.cli.night import app as night
from flows.cli.prefect_server import choose_server
from flows.cli.project import app as project
from flows.cli.review import app as review
from flows.cli.services import app as services
from flows.cli.taking_out import app as taking_out
from flows.cli.training import app as training
from pipeline.core import log_file
from pipeline.core.errors import NightshiftError
from pipeline.core.text import shown

VERBOSE = "--verbose"

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for commands in (training, night, taking_out, review, project, collect):
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
    verbose: Annotated[
        bool,
        typer.Option(VERBOSE, help="Show the log too, which is otherwise only in .nightshift/logs/command-*.log."),
    ] = False,
) -> None:
    """Learn from labelled images, then classify folders of new ones, every night, into a CSV you can trust."""


def main() -> None:
    """Run the command. An error is shown as a message, without a traceback."""
    from pipeline.core.command import ended

    if VERBOSE in sys.argv[1:]:  # anywhere, as people add it at the end
        sys.argv.remove(VERBOSE)
        os.environ[log_file.VERBOSE] = "1"
    choose_server()
    command = typer.main.get_command(app)
    _log_all(command, [])

    def work() -> None:
        _refuse_empty(sys.argv[1:])
        command(standalone_mode=True)

    sys.exit(ended(work))


def _refuse_empty(words: list[str]) -> None:
    """Raise NightshiftError for an empty word of the command: as a path it would mean this folder."""
    if "" in words:
        raise NightshiftError(
            f"`{shown(shlex.join(['nightshift', *words]))}` has an empty word, such as a variable that is not set in "
            "the shell. Give a folder, a file or another value there, or omit it; `.` is the folder you are in."
        )


def _log_all(command: Any, names: list[str]) -> None:
    """Give every command a log file for the time of its work; what is said of its options comes before."""
    for name, one in getattr(command, "commands", {}).items():
        _log_all(one, [*names, name])
    if not hasattr(command, "commands"):
        command.callback = log_file.opened("-".join(names))(command.callback)


if __name__ == "__main__":
    main()
