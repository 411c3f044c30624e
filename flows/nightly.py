"""The nightly flow: classify a folder into one CSV, a task a shard, with retries."""

import datetime
from pathlib import Path
from typing import Any

import pandas as pd
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from pipeline import classify, ledger, nights, reports, shadow
from pipeline.earlier import OutOfTime, deadline_at, folder_for, stop_if_late
from pipeline.ledger import Plan
from pipeline.params import Params, load_params
from pipeline.review import PAGE as REVIEW_PAGE
from pipeline.shadow import SHADOW

STOPPED = "Stopped"  # the state of a run that came to its hour


@task(task_run_name="plan", cache_policy=NO_CACHE)
def begin(source: Path, output: Path, params: Params, since_last: bool) -> Plan:
    """Settle the model and the files."""
    return classify.begin(source, output, params, since_last)


@task(task_run_name="shard {number}", retries=2, retry_delay_seconds=5, cache_policy=NO_CACHE)
def shard(output: Path, number: int, plan: Plan, params: Params) -> None:
    """Classify one shard."""
    images = classify.classify_shard(output, number, plan, params)
    get_run_logger().info("shard %d of %d: %d images", number + 1, plan.shards, images)


@task(task_run_name="finish", cache_policy=NO_CACHE)
def finish(output: Path, plan: Plan, params: Params, labels: Path | None) -> dict[str, Any]:
    """Merge, count, reconcile."""
    return classify.finish(output, plan, params, pd.read_parquet(labels) if labels else None)


@task(task_run_name="plan of the shadow", cache_policy=NO_CACHE)
def begin_shadow(output: Path, plan: Plan) -> Plan | None:
    """Settle the challenger."""
    return shadow.begin(output, plan)


@task(task_run_name="compare with the shadow", cache_policy=NO_CACHE)
def finish_shadow(output: Path, plan: Plan, params: Params) -> dict[str, Any]:
    """Merge, compare."""
    return classify.finish_shadow(output, plan, params)


@task(task_run_name="record", cache_policy=NO_CACHE)
def record(output: Path, summary: dict[str, Any]) -> None:
    """Keep the night in MLflow."""
    nights.record(output, summary, str(flow_run.id or ""))


def shards(output: Path, plan: Plan, params: Params, deadline: datetime.datetime | None) -> None:
    """Those that are left, one after another."""
    for number in ledger.unfinished(output, plan):
        stop_if_late(deadline, output, plan)
        shard(output, number, plan, params)


@flow(name="nightly", flow_run_name="nightly {source}")
def nightly(
    source: Path, output: Path | None = None, labels: Path | None = None,
    since_last: bool = False, until: str | None = None, with_shadow: bool = False,
) -> dict[str, Any] | State:  # fmt: skip
    """Classify the images in `source` into `output`/predictions.csv.

    Without `output` it goes on with the run over `source` that is unfinished, else begins one in predictions/ and
    today's date. labels: a Parquet table with columns sha256 and label, to count right answers with. since_last: repeat
    the last run's answers where a file's content and the model are the same. until: time of day, such as 06:00, at
    which it stops; the next run goes on, and this one's state is then `Stopped`. with_shadow: then also by @challenger,
    and how they differ.
    """
    params, output, deadline = load_params(), output or folder_for(source), deadline_at(until)
    with ledger.held(output):
        plan = begin(source, output, params, since_last)
        beside = begin_shadow(output, plan) if with_shadow else None
        try:
            shards(output, plan, params, deadline)
            summary = finish(output, plan, params, labels)
            if beside:
                shards(output / SHADOW, beside, params, deadline)
                summary = finish_shadow(output, beside, params)
        except OutOfTime as stopped:
            create_markdown_artifact(str(stopped), key="summary")
            return Completed(name=STOPPED, message=str(stopped))
        if params.batch.track:
            record(output, summary)
    create_markdown_artifact(reports.summary_markdown(summary), key="summary")
    create_link_artifact(
        (output / "predictions.csv").absolute().as_uri(), key="predictions", link_text="predictions.csv"
    )
    create_link_artifact((output / REVIEW_PAGE).absolute().as_uri(), key="review", link_text="what to look at first")
    return summary
