"""The commands about the project as a whole: init, upgrade, notify, tidy, status."""

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def init(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="A new folder, an empty one, or a git repository; `.` is the one you are in."
        ),
    ],
) -> None:
    """Make a new project: a folder with its own settings, images, models and nights, in git and DVC.

    One installation of Nightshift serves any number of projects.
    """
    from pipeline.project.new import new_project

    made = new_project(folder)
    typer.echo(
        f"{made.folder} is a Nightshift project now: params.yaml has its settings, dvc.yaml its stages, prefect.yaml "
        f"its schedules. {'DVC knows it, git not yet.' if made.uncommitted else 'It is in git and DVC.'}"
    )
    if made.uncommitted:
        typer.echo(made.uncommitted)
    typer.echo("Next:")
    if made.folder != Path.cwd():
        typer.echo(f"  cd {shlex.quote(os.path.relpath(made.folder))}")
    typer.echo("  nightshift data import IMAGES     # a folder with one folder of images per class")
    typer.echo("  nightshift train")


@app.command()
def upgrade(
    write: Annotated[
        bool, typer.Option("--write", help="Put it into the files. Your own values, comments and schedules stay.")
    ] = False,
) -> None:
    """Show what the installed version has for this project: new parameters, stages and schedules, and changed code.

    Run it after `pip install --upgrade`, and again with --write.
    """
    from importlib.metadata import version

    from pipeline.params.file import load_params
    from pipeline.project import upgrade as upgrades

    found = upgrades.look()
    for change in found.changes:
        typer.echo(f"{change.name}:")
        for line in (*change.words, *change.lines()):
            typer.echo(f"  {line}")
    if found.stages:
        typer.echo(
            f"New code: {', '.join(found.stages)}. The next `nightshift train` runs this again, and what follows."
        )
    if not found.writes:
        typer.echo(f"There is nothing to write: this project has all that Nightshift {version('nightshift')} has.")
        return
    if not write:
        typer.echo("Nothing is written yet: `nightshift upgrade --write` does it.")
        return
    for line in upgrades.write(found):
        typer.echo(line)
    load_params()  # what only a person can mend is said now, not at night
    typer.echo(f"This project now follows Nightshift {version('nightshift')}. Commit it: `git commit --all`.")


@app.command()
def notify() -> None:
    """Send a test message to every address in NIGHTSHIFT_NOTIFY, and say which of them accepted it."""
    from pipeline.notices.send import NotifyError, try_all

    told = try_all()
    for one in told:
        typer.echo(f"{one.who}: {'sent' if one.arrived else 'NOT sent'}")
    if not all(one.arrived for one in told):
        raise NotifyError(
            "Not every address accepted the test message. Check its user, password, host and port in "
            "NIGHTSHIFT_NOTIFY, and that this machine can reach the service; then run `nightshift notify` again."
        )


@app.command()
def tidy(
    nights: Annotated[int | None, typer.Option(min=1, metavar="DAYS", help="Delete older folders of nights.")] = None,
    runs: Annotated[int | None, typer.Option(min=1, metavar="DAYS", help="Delete older MLflow runs of nights.")] = None,
    versions: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="DAYS", help="Delete older versions of the model without an alias that were never champion."
        ),
    ] = None,
    cache: Annotated[
        bool,
        typer.Option("--cache", help="Delete from DVC's cache all data that no commit, stash or experiment uses."),
    ] = False,
    prepared: Annotated[
        bool,
        typer.Option(
            "--prepared",
            help="Delete from it decoded pixels and features that only old commits use: no branch, tag, experiment or "
            "champion. `dvc repro` makes them again.",
        ),
    ] = False,
    prefect: Annotated[
        bool, typer.Option("--prefect", help="Delete the history that Prefect keeps in this project.")
    ] = False,
) -> None:
    """Show what takes disk space; with options, delete old data. A deleted night cannot be recovered."""
    from pipeline import tidy as housekeeping
    from pipeline.params.file import load_params

    asked = housekeeping.Asked(nights, runs, versions, cache, prepared, prefect)
    housekeeping.tidy(load_params().register_.model_name, asked, typer.echo)


@app.command()
def status() -> None:
    """Show the models, the latest CSV, the reports, how to open MLflow, the services, the last and the next night."""
    from flows.cli.services import service_lines
    from flows.show_collect import camera_lines
    from flows.show_models import print_versions
    from flows.status import mlflow_lines, status_lines, versions_table
    from pipeline.night.awaited import unknown_to_the_newest
    from pipeline.params.file import load_params
    from pipeline.registry import champions
    from pipeline.registry.succession import CHAMPION

    params = load_params()
    name = params.register_.model_name
    every = champions.known_versions(name)
    rows, notes = versions_table(every)
    if every and not any(CHAMPION in model.aliases for model in every):
        notes.append(champions.without_champion(name, every))
    print_versions(name, rows, notes)
    for line in (*status_lines(every), *mlflow_lines(name), *service_lines(), *camera_lines(params.collect)):
        typer.echo(line)
    for line in unknown_to_the_newest(params.notify.when):
        typer.echo(f"WARNING: {line}")
