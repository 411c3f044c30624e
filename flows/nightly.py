"""The nightly flow: classify a folder into one CSV, a task a shard, with retries; on Dask if asked for."""

import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.hooks import STOPPED, night_completed, night_crashed, night_failed
from flows.retries import RETRIES
from pipeline import classify
from pipeline.night import ledger, shadow
from pipeline.night import summary as reports
from pipeline.night.deadline import OutOfTime, deadline_at, folder_for, stop_if_late
from pipeline.night.ledger import Plan
from pipeline.night.morning import PAGE as MORNING_PAGE
from pipeline.night.review import PAGE as REVIEW_PAGE
from pipeline.night.shadow import SHADOW
from pipeline.night.shard import classify_alone
from pipeline.notices import around
from pipeline.params.file import Params, load_params
from pipeline.registry import history
from pipeline.storage.addresses import place
from pipeline.storage.stores import Place


class Runner(NamedTuple):
    """Where shards are classified."""

    kind: Literal["here", "dask"]
    address: str | None  # of a Dask scheduler
    workers: int | None  # of a cluster on this machine


@task(task_run_name="plan", cache_policy=NO_CACHE, **RETRIES)
def begin(source: Place, output: Place, params: Params, since_last: bool) -> Plan:
    """Settle the model and the files."""
    return classify.begin(source, output, params, since_last)


@task(task_run_name="shard {number}", cache_policy=NO_CACHE, **RETRIES)
def shard(output: Place, number: int, plan: Plan, params: Params) -> None:
    """Classify one shard."""
    images = classify.classify_shard(output, number, plan, params)
    get_run_logger().info("shard %d of %d: %d images", number + 1, plan.shards, images)


@task(task_run_name="finish", cache_policy=NO_CACHE, **RETRIES)
def finish(output: Place, plan: Plan, params: Params, labels: Path | None) -> dict[str, Any]:
    """Merge, count, reconcile."""
    return classify.finish(output, plan, params, pd.read_parquet(labels) if labels else None)


@task(task_run_name="plan of the shadow", cache_policy=NO_CACHE)
def begin_shadow(output: Place, plan: Plan) -> Plan | None:
    """Settle the challenger."""
    return shadow.begin(output, plan)


@task(task_run_name="compare with the shadow", cache_policy=NO_CACHE)
def finish_shadow(output: Place, plan: Plan, params: Params) -> dict[str, Any]:
    """Merge, compare."""
    return classify.finish_shadow(output, plan, params)


@task(task_run_name="record", cache_policy=NO_CACHE)
def record(output: Place, summary: dict[str, Any]) -> None:
    """Keep the night in MLflow."""
    history.record(output, summary, str(flow_run.id or ""))


@task(task_run_name="shard {number}", cache_policy=NO_CACHE, **RETRIES)
def shard_on_worker(output: Place, number: int, plan: Plan, params: Params) -> int:
    """Classify one shard in the Dask worker's process; returns its number of files."""
    return classify_alone(output, number, plan, params)


@flow(name="shards", flow_run_name="shards", validate_parameters=False)
def shards_on(
    output: Place, numbers: list[int], plan: Plan, params: Params, deadline: datetime.datetime | None
) -> list[int]:
    """Classify shards on the Dask cluster of this flow's task runner; returns those that its workers died of."""
    from flows.services import dask

    log, client = get_run_logger(), dask.client_of_flow()
    submit: Any = shard_on_worker.submit
    work = dask.Work(
        lambda number: submit(output, number, plan, params).wrapped_future, lambda state: state.result(_sync=True)
    )

    def done(number: int, images: int) -> None:
        log.info("shard %d of %d: %d images", number + 1, plan.shards, images)
        stop_if_late(deadline, output, plan)

    return dask.run_shards(client, numbers, work, done)


def shards(output: Place, plan: Plan, params: Params, deadline: datetime.datetime | None, on: Runner) -> None:
    """Those that are left: on the cluster, or one after another here."""
    left = ledger.unfinished(output, plan)
    if on.kind == "dask" and left:
        from flows.services import dask

        with dask.connected(on.address, on.workers) as client:
            flow_on = shards_on.with_options(task_runner=dask.task_runner(client))
            left = flow_on(output, left, plan, params, deadline)
    for number in left:
        stop_if_late(deadline, output, plan)
        shard(output, number, plan, params)


@flow(
    name="nightly", flow_run_name="nightly {source}",
    on_completion=[night_completed], on_failure=[night_failed], on_crashed=[night_crashed],
)  # fmt: skip
def nightly(
    source: str | Path, output: str | Path | None = None, labels: Path | None = None,
    since_last: bool = False, until: str | None = None, with_shadow: bool = False,
    runner: Literal["here", "dask"] = "here", dask_address: str | None = None, workers: int | None = None,
    model_name: str | None = None,
) -> dict[str, Any] | State:  # fmt: skip
    """Classify the images in `source` into `output`/predictions.csv; both are folders or addresses (s3://…).

    Without `output` it goes on with the run over `source` that is unfinished, else begins one in predictions/ and
    today's date. labels: a Parquet table with columns sha256 and label, to count right answers with. since_last: repeat
    the last run's answers where a file's content and the model are the same. until: time of day, such as 06:00, at
    which it stops; the next run goes on, and this one's state is then `Stopped`. with_shadow: then also by @challenger,
    and how they differ. runner `dask`: on the cluster at `dask_address`, or a local one of so many `workers`.
    model_name: a registered model other than register.model_name.
    """
    params = classify.with_model(load_params(), model_name)
    images, deadline = place(source), deadline_at(until)
    results = (place(output) if output else folder_for(images)).absolute()  # a worker has another folder
    on = Runner(runner, dask_address, workers)
    with ledger.held(results) as killed:
        around.of_killed(results, killed)
        plan = begin(images, results, params, since_last)
        beside = begin_shadow(results, plan) if with_shadow else None
        try:
            shards(results, plan, params, deadline, on)
            summary = finish(results, plan, params, labels)
            if beside:
                shards(results / SHADOW, beside, params, deadline, on)
                summary = finish_shadow(results, beside, params)
        except OutOfTime as stopped:
            create_markdown_artifact(str(stopped), key="summary")
            return Completed(name=STOPPED, message=str(stopped))
        if params.batch.track:
            record(results, summary)
    create_markdown_artifact(reports.summary_markdown(summary), key="summary")
    create_link_artifact((results / "predictions.csv").as_uri(), key="predictions", link_text="predictions.csv")
    create_link_artifact((results / MORNING_PAGE).as_uri(), key="morning", link_text="the morning page")
    create_link_artifact((results / REVIEW_PAGE).as_uri(), key="review", link_text="what to look at first")
    return summary
