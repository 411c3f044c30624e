"""The commands about the project as a whole: notify, tidy, status."""

from typing import Annotated

import typer

app = typer.Typer()


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
    cache: Annotated[
        bool, typer.Option("--cache", help="Delete from DVC's cache all data that no commit uses.")
    ] = False,
) -> None:
    """Show what takes disk space; with options, delete old data. A deleted night cannot be recovered."""
    from pipeline import tidy as housekeeping
    from pipeline.params.file import load_params

    housekeeping.tidy(load_params().register_.model_name, nights, runs, cache, typer.echo)


@app.command()
def status() -> None:
    """Show the models, the latest CSV, the reports, how to open MLflow, the services, the last and the next night."""
    from flows.cli.services import service_lines
    from flows.show_models import print_versions
    from flows.status import mlflow_lines, status_lines, versions_table
    from pipeline.params.file import load_params
    from pipeline.registry import champions

    name = load_params().register_.model_name
    every = champions.known_versions(name)
    print_versions(name, *versions_table(every))
    for line in (*status_lines(every), *mlflow_lines(name), *service_lines()):
        typer.echo(line)
