"""The nightly flow: classify a folder into one CSV, a task a shard, with retries."""

from pathlib import Path
from typing import Any

import pandas as pd
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from pipeline import classify, ledger, reports
from pipeline.ledger import Plan
from pipeline.params import Params, load_params
from pipeline.review import PAGE as REVIEW_PAGE


@task(task_run_name="plan", cache_policy=NO_CACHE)
def begin(source: Path, output: Path, params: Params) -> Plan:
    """Settle the model and the files."""
    return classify.begin(source, output, params)


@task(task_run_name="shard {number}", retries=2, retry_delay_seconds=5, cache_policy=NO_CACHE)
def shard(output: Path, number: int, plan: Plan, params: Params) -> None:
    """Classify one shard."""
    images = classify.classify_shard(output, number, plan, params)
    get_run_logger().info("shard %d of %d: %d images", number + 1, plan.shards, images)


@task(task_run_name="finish", cache_policy=NO_CACHE)
def finish(output: Path, plan: Plan, params: Params, labels: Path | None) -> dict[str, Any]:
    """Merge, count, reconcile."""
    return classify.finish(output, plan, params, pd.read_parquet(labels) if labels else None)


@flow(name="nightly", flow_run_name="nightly {source}")
def nightly(source: Path, output: Path | None = None, labels: Path | None = None) -> dict[str, Any]:
    """Classify the images in `source` into `output`/predictions.csv (default: predictions/ and today's date).

    labels: a Parquet table with columns sha256 and label, to count right answers with.
    """
    params, output = load_params(), output or classify.folder_for_today()
    with ledger.held(output):
        plan = begin(source, output, params)
        for number in ledger.unfinished(output, plan):
            shard(output, number, plan, params)
        summary = finish(output, plan, params, labels)
    create_markdown_artifact(reports.summary_markdown(summary), key="summary")
    create_link_artifact(
        (output / "predictions.csv").absolute().as_uri(), key="predictions", link_text="predictions.csv"
    )
    create_link_artifact((output / REVIEW_PAGE).absolute().as_uri(), key="review", link_text="what to look at first")
    return summary
