"""The command `nightshift`. Starts fast: each command imports what it needs when it runs."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from flows.cli.data import data
from flows.cli.models import app as models
from flows.cli.services import app as services
from pipeline.core.errors import NightshiftError

if TYPE_CHECKING:
    from pipeline.notices.messages import Message
    from pipeline.registry.verdict import Registration
    from pipeline.storage.stores import Place

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Learn from labelled images, then classify folders of new ones, every night, into a CSV you can trust.",
)
app.add_typer(data, name="data")
app.add_typer(models)
app.add_typer(services)


class Runner(StrEnum):
    """Where shards are classified."""

    HERE = "here"
    DASK = "dask"


WithPrefect = Annotated[
    bool,
    typer.Option("--prefect/--no-prefect", help="Run as a Prefect flow (retries, history, a web page), or plainly."),
]


def _require_server() -> None:
    """Where a Prefect server is named, it must let us in; where none is, Prefect starts one for the time of the run."""
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL

    if not (address := PREFECT_API_URL.value()):
        return
    try:
        # Asked plainly first: Prefect's own client tries a server that hangs again and again.
        httpx.get(f"{address.rstrip('/')}/health", timeout=10).raise_for_status()
    except httpx.HTTPError as error:
        raise NightshiftError(
            f"The Prefect server {address} does not answer: {error}. Start it (`nightshift up`), unset PREFECT_API_URL "
            "to run without one, or add --no-prefect."
        ) from error
    try:
        with get_client(sync_client=True) as client:
            client.hello()
    except httpx.HTTPStatusError as error:
        raise NightshiftError(
            f"The Prefect server {address} refuses us ({error.response.status_code}): PREFECT_API_AUTH_STRING is to be "
            "user:password as the server has it (PREFECT_API_KEY for Prefect Cloud). Or add --no-prefect."
        ) from error


@contextmanager
def _with_server(failed: Callable[[NightshiftError], "Message"], result: Path | None = None) -> Iterator[None]:
    """A flow's run. Where a Prefect server is named it must answer at the start, and is named when it stops to.

    failed: what people are told then, as the flow's own hooks cannot. result: the file that the run writes last.
    Prefect itself goes on without its server until it has to report.
    """
    import httpx
    from prefect.settings import PREFECT_API_URL

    from pipeline.notices.send import tell

    try:
        _require_server()
    except NightshiftError as error:
        down = error  # the name above ends with its block
        tell(lambda: failed(down))
        raise
    before = result.stat().st_mtime_ns if result and result.exists() else None
    try:
        yield
    except httpx.HTTPError as error:
        done = result is not None and result.exists() and result.stat().st_mtime_ns != before
        gone = NightshiftError(
            f"The Prefect server {PREFECT_API_URL.value() or 'of this run'} stopped answering in the middle: {error}. "
            + (
                f"The run itself was finished without it: {result} is written."
                if done
                else "What is done is kept. Start the server and run the same command again, or add --no-prefect."
            )
        )
        tell(lambda: failed(gone))
        raise gone from error


@app.command()
def train(prefect: WithPrefect = True) -> None:
    """Check the images, train a model, measure it, and register it in MLflow; the gate says whether it may be used.

    Work that is done already is not done again.
    """
    from flows.show_models import print_registration
    from pipeline.notices import around, messages
    from pipeline.registry.verdict import Refused

    try:
        if prefect:
            from flows.training import training

            with _with_server(messages.of_failed_training):
                registration = training()
        else:
            registration = around.training(_train_plainly)
    except Refused as refused:
        print_registration(refused.registration)
        raise
    print_registration(registration)


def _train_plainly() -> "Registration":
    from pipeline.params.file import load_params
    from pipeline.register import register_current
    from pipeline.versions import dvc, remote

    dvc.add_data()
    for stage in dvc.stages():
        dvc.reproduce(stage)
    remote.push()
    return register_current(load_params())


@app.command()
def tune(
    trials: Annotated[
        int | None, typer.Option(min=1, help="Trials in all; without it, tune.trials of params.yaml.")
    ] = None,
    fine_tune: Annotated[
        bool, typer.Option("--fine-tune", help="Whole trainings, not only heads on the frozen backbone: slow.")
    ] = False,
    write: Annotated[
        bool, typer.Option("--write/--no-write", help="Change params.yaml to what was best, if it is better.")
    ] = True,
) -> None:
    """Search better parameters in the ranges of params.yaml, judged on the validation images.

    If the search is interrupted, the same command goes on where it stopped; all trials are in MLflow.
    """
    from flows.show_search import print_found
    from pipeline.params.file import load_params
    from pipeline.search import run as searching
    from pipeline.search.study import check, plan
    from pipeline.versions import dvc

    params = load_params()
    fine_tune = fine_tune or params.tune.fine_tune
    check(params, fine_tune)  # before minutes are spent
    dvc.add_data(lambda line: None)
    dvc.reproduce_up_to("embed")
    found = searching.run_search(plan(params, fine_tune), trials or params.tune.trials)
    print_found(found, searching.write_winner(found) if write else None)


@app.command()
def classify(
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="A folder of images, or its address (s3://, gs://, az://, …); folders in it are read too.",
        ),
    ],
    output: Annotated[
        str, typer.Argument(help="A folder for predictions.csv, review.csv and summary.json, or its address.")
    ],
    labels: Annotated[
        Path | None,
        typer.Option(help="A Parquet table with columns sha256 and label: count how many answers are right."),
    ] = None,
    since_last: Annotated[
        bool,
        typer.Option(
            "--since-last",
            help="Repeat the last run's answers, from OUTPUT or a folder beside it, where a file's content and the "
            "model are the same.",
        ),
    ] = False,
    until: Annotated[
        str | None,
        typer.Option(metavar="HH:MM", help="Stop at this time of day, with exit status 75; the same command goes on."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A registered model; without it, register.model_name of params.yaml."),
    ] = None,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Then ask @challenger about the same files, and say where they differ.")
    ] = False,
    runner: Annotated[
        Runner, typer.Option(help="Classify in this process, or on the workers of a Dask cluster.")
    ] = Runner.HERE,
    dask_address: Annotated[
        str | None,
        typer.Option(help="The cluster's scheduler (tcp://host:8786); without it, a cluster on this machine."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes of the cluster on this machine; without it, one a core.")
    ] = None,
    prefect: WithPrefect = True,
) -> None:
    """Classify every image in a folder into one CSV, one row a file; a file that cannot be read has its reason.

    If the run is interrupted, the same command goes on where it stopped.
    """
    from pipeline.night import summary as reports
    from pipeline.notices import around, messages
    from pipeline.storage.addresses import place

    if runner is Runner.HERE and (dask_address or workers):
        raise NightshiftError("--dask-address and --workers are of a Dask cluster. Add --runner dask.")
    if prefect:
        from flows.hooks import STOPPED
        from flows.nightly import nightly
        from pipeline.night.deadline import OutOfTime

        results = place(output)
        failed = partial(messages.of_failed_night, results)
        with _with_server(failed, results / "summary.json" if isinstance(results, Path) else None):
            where = (runner.value, dask_address, workers)
            state = nightly(source, output, labels, since_last, until, shadow, *where, model, return_state=True)
            if state.name == STOPPED:
                raise OutOfTime(state.message or "")
            summary = cast("dict[str, Any]", state.result())
    else:
        results = place(output)
        where = (runner, dask_address, workers)
        summary = around.night(
            results, lambda: _classify_plainly(place(source), results, labels, since_last, until, shadow, *where, model)
        )
    for line in reports.summary_lines(summary):
        typer.echo(line)
    typer.echo(place(output) / "predictions.csv")
    if summary["review"]["of"]:
        typer.echo(place(output) / "review.html")


def _classify_plainly(
    images: "Place", output: "Place", labels: Path | None, since_last: bool, until: str | None, shadow: bool,
    runner: Runner, dask_address: str | None, workers: int | None, model: str | None,
) -> dict[str, Any]:  # fmt: skip
    import pandas as pd

    from pipeline.classify import classify as classify_folder
    from pipeline.classify import with_model
    from pipeline.night.workers import Classifier, classify_shards
    from pipeline.params.file import load_params

    truth = pd.read_parquet(labels) if labels else None
    classify_rest: Classifier = classify_shards
    if runner is Runner.DASK:
        from flows.services.dask import plainly

        classify_rest = plainly(dask_address, workers)
    params = with_model(load_params(), model)
    return classify_folder(images, output, params, truth, since_last, until, shadow, classify_rest)


@app.command()
def notify() -> None:
    """Send a test message to every address in NIGHTSHIFT_NOTIFY, and say which took it."""
    from pipeline.notices.send import NotifyError, try_all

    told = try_all()
    for one in told:
        typer.echo(f"{one.who}: {'sent' if one.arrived else 'NOT sent'}")
    if not all(one.arrived for one in told):
        raise NotifyError(
            "Not every address took the test message. Check its user, password, host and port in NIGHTSHIFT_NOTIFY, "
            "and that this machine may reach the service; then run `nightshift notify` again."
        )


@app.command()
def report(
    output: Annotated[
        str | None,
        typer.Argument(help="A finished night's folder, or its address; without one, the newest below predictions/."),
    ] = None,
) -> None:
    """Write a night's morning.html anew: is all well, what ran, what to look at, beside what is usual."""
    from pipeline.night import morning
    from pipeline.night import summary as reports
    from pipeline.params.file import load_params
    from pipeline.storage.addresses import place

    folder = place(output) if output else reports.latest_night()
    if folder is None:
        raise morning.MorningError(
            "predictions/ holds no finished night. Name the folder of one, or run `nightshift classify INPUT OUTPUT`."
        )
    typer.echo(morning.draw_again(folder, load_params().batch))


@app.command()
def tidy(
    nights: Annotated[int | None, typer.Option(min=1, metavar="DAYS", help="Delete older folders of nights.")] = None,
    runs: Annotated[int | None, typer.Option(min=1, metavar="DAYS", help="Delete older nights from MLflow.")] = None,
    cache: Annotated[bool, typer.Option("--cache", help="Delete data that no commit names from DVC's cache.")] = False,
) -> None:
    """Show what takes room; with options, delete what is old. A night's rows exist in its folder only."""
    from pipeline import tidy as housekeeping
    from pipeline.params.file import load_params

    housekeeping.tidy(load_params().register_.model_name, nights, runs, cache, typer.echo)


@app.command()
def status() -> None:
    """Show where things are: models and their aliases, the latest CSV, reports, how to open MLflow, what runs."""
    from flows.cli.services import service_lines
    from flows.show_models import print_versions
    from pipeline.night import summary as reports
    from pipeline.params.file import load_params

    name = load_params().register_.model_name
    print_versions(name, *reports.versions_table(name))
    for line in (*reports.status_lines(), *service_lines()):
        typer.echo(line)


def main() -> None:
    """The command's entry: errors that a person can mend are shown as words."""
    from pipeline.core.command import run

    sys.exit(run(lambda: app(standalone_mode=True)))
