"""The commands about a night: classify a folder, draw its page again."""

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from flows.cli.interrupt import interruptible
from flows.cli.prefect_server import WithPrefect, is_a_flow, require, with_server
from pipeline.core.errors import NightshiftError

if TYPE_CHECKING:
    from pipeline.night.options import NightOptions
    from pipeline.night.summary import NightSummary
    from pipeline.params.file import Params

app = typer.Typer()


class Runner(StrEnum):
    """Where shards are classified."""

    HERE = "here"
    DASK = "dask"


@app.command()
def classify(
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="A folder of images, or its address (s3://, gs://, az://, …), with all its subfolders.",
        ),
    ],
    output: Annotated[
        str | None,
        typer.Argument(
            metavar="OUTPUT",
            help="A folder for predictions.csv, review.csv and summary.json, or its address; without it, that of the "
            "unfinished night over INPUT, or a new one in predictions/ with today's date.",
            show_default=False,
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="A Parquet table with columns sha256 and label: count how many predictions are right."),
    ] = None,
    since_last: Annotated[
        bool,
        typer.Option(
            "--since-last",
            help="Reuse predictions of the last run (in OUTPUT or a folder beside it) if the file and the model are "
            "unchanged.",
        ),
    ] = False,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="HH:MM",
            help="Stop when the clock shows this, with exit status 75; the same command goes on where it stopped.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A registered model; without it, register.model_name of params.yaml."),
    ] = None,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Also run @challenger on the same files, and report where it differs.")
    ] = False,
    runner: Annotated[
        Runner, typer.Option(help="Classify in this process, or on the workers of a Dask cluster.")
    ] = Runner.HERE,
    dask_address: Annotated[
        str | None,
        typer.Option(help="The cluster's scheduler (tcp://host:8786); without it, a cluster on this machine."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes of the cluster on this machine; without it, one per core.")
    ] = None,
    prefect: WithPrefect = None,
) -> None:
    """Classify every image in a folder into one CSV, one row per file; an unreadable file gets a row with the reason.

    To resume an interrupted run, run the same command again.
    """
    flow = is_a_flow(prefect)
    if runner is Runner.HERE and not flow:
        from pipeline.night.worker import warm_up

        warm_up()  # before all that this process imports: it takes as long
    from pipeline.night.deadline import time_of_day
    from pipeline.night.neighbours import MORNING, as_typed
    from pipeline.night.options import Cluster, NightOptions
    from pipeline.night.outputs import folder_for
    from pipeline.night.planning import require_possible
    from pipeline.night.review import PAGE as REVIEW_PAGE
    from pipeline.night.rows import PREDICTIONS_CSV
    from pipeline.night.summary import summary_lines
    from pipeline.notices import messages, when_a_run_ends
    from pipeline.params.file import load_params
    from pipeline.storage.folders import folder_at

    if runner is Runner.HERE and (dask_address or workers):
        raise NightshiftError("--dask-address and --workers are for a Dask cluster. Add --runner dask.")
    if until:
        time_of_day(until)  # a mistake at the keyboard is told here, and to nobody else

    results = folder_at(output or folder_for(folder_at(source), model=model))
    cluster = Cluster(dask_address, workers) if runner is Runner.DASK else None
    options = NightOptions(folder_at(source), results, labels, since_last, until, shadow, model, not output, cluster)

    with interruptible(lambda: messages.to_go_on(results), tell=lambda how: when_a_run_ends.of_crashed(results, how)):
        if flow:
            words = (source, str(results), labels, since_last, until, shadow, runner.value, dask_address, workers)
            summary = _as_flow(options, (*words, model, not output))
        else:
            require(partial(messages.of_failed_night, results), lambda: require_possible(options, load_params()))
            summary = when_a_run_ends.night(results, lambda params: _plainly(options, params))
    for line in summary_lines(summary):
        typer.echo(line)
    if not results.local or (results.local / MORNING).is_file():  # a warning has said why it is not there
        typer.echo(results / MORNING)
    typer.echo(results / PREDICTIONS_CSV)
    if summary.review and summary.review.of:
        typer.echo(results / REVIEW_PAGE)
        typer.echo(f"To look and correct in the browser: nightshift review {as_typed(results)}")


def _as_flow(options: "NightOptions", words: tuple[Any, ...]) -> "NightSummary":
    """The night as a run of the flow `nightly`, with these parameters."""
    from pipeline.night.deadline import OutOfTime
    from pipeline.night.planning import require_possible
    from pipeline.night.summary import SUMMARY
    from pipeline.notices import messages
    from pipeline.params.file import load_params
    from pipeline.storage.output_lock import InUse

    results = options.output
    failed, possible = partial(messages.of_failed_night, results), lambda: require_possible(options, load_params())
    with with_server(failed, possible, results.local and results.local / SUMMARY):
        from flows.nightly import nightly
        from flows.prefect_hooks import REFUSED, STOPPED

        state = nightly(*words, return_state=True)
        if state.name == STOPPED:
            stopped = OutOfTime(state.message or "")
            messages.of_stopped(results, str(stopped)).add_to(stopped)
            raise stopped
        if state.name == REFUSED:
            raise InUse(state.message or "")
        return cast("NightSummary", state.result())


def _plainly(options: "NightOptions", params: "Params") -> "NightSummary":
    from pipeline.night.run import Steps, night
    from pipeline.night.workers import Classifier, classify_shards
    from pipeline.notices import when_a_run_ends

    classify_left: Classifier = classify_shards
    if options.cluster:
        from flows.services import dask

        classify_left = dask.classifier(options.cluster)
    return night(options, params, Steps(classify=classify_left, tell_of_killed=when_a_run_ends.of_killed))


@app.command()
def report(
    output: Annotated[
        str | None,
        typer.Argument(
            metavar="OUTPUT",
            help="A finished night's folder, or its address; without one, the newest below predictions/.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write a night's morning.html again: is all well, what ran, what to look at, compared with earlier nights.

    Its review.csv then shows what people have judged since.
    """
    from pipeline.night import morning
    from pipeline.night.outputs import latest_night
    from pipeline.night.review_labels import known_judgements, show_known
    from pipeline.params.file import load_params
    from pipeline.storage.folders import folder_at

    folder = output or latest_night()
    if folder is None:
        raise morning.MorningError(
            "predictions/ holds no finished night. Give the folder of one, or run `nightshift classify INPUT OUTPUT`."
        )
    params = load_params()
    show_known(folder_at(folder), known_judgements())
    typer.echo(morning.draw_again(folder_at(folder), params))
