"""The nightly flow: classify a folder into one CSV, a task a shard, with retries; on Dask if asked for."""

from pathlib import Path
from typing import Any, Literal

import pandas as pd
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from pipeline import classify, ledger, reports
from pipeline.addresses import place
from pipeline.ledger import Plan
from pipeline.params import Params, load_params
from pipeline.stores import Place


@task(task_run_name="plan", cache_policy=NO_CACHE)
def begin(source: Place, output: Place, params: Params) -> Plan:
    """Settle the model and the files."""
    return classify.begin(source, output, params)


@task(task_run_name="shard {number}", retries=2, retry_delay_seconds=5, cache_policy=NO_CACHE)
def shard(output: Place, number: int, plan: Plan, params: Params) -> None:
    """Classify one shard."""
    images = classify.classify_shard(output, number, plan, params)
    get_run_logger().info("shard %d of %d: %d images", number + 1, plan.shards, images)


@task(task_run_name="shard {number}", retries=2, retry_delay_seconds=5, cache_policy=NO_CACHE)
def shard_on_worker(output: Place, number: int, plan: Plan, params: Params) -> int:
    """Classify one shard in the Dask worker's process; returns its number of files."""
    return classify.classify_alone(output, number, plan, params)


@flow(name="shards", flow_run_name="shards", validate_parameters=False)
def shards_on(output: Place, numbers: list[int], plan: Plan, params: Params) -> list[int]:
    """Classify shards on the Dask cluster of this flow's task runner; returns those that its workers died of."""
    from flows import cluster

    log, client = get_run_logger(), cluster.client_of_flow()
    submit: Any = shard_on_worker.submit
    work = cluster.Work(
        lambda number: submit(output, number, plan, params).wrapped_future, lambda state: state.result(_sync=True)
    )
    return cluster.run_shards(
        client,
        numbers,
        work,
        lambda number, images: log.info("shard %d of %d: %d images", number + 1, plan.shards, images),
    )


@task(task_run_name="finish", cache_policy=NO_CACHE)
def finish(output: Place, plan: Plan, params: Params, labels: Path | None) -> dict[str, Any]:
    """Merge, count, reconcile."""
    return classify.finish(output, plan, params.batch.max_unreadable, pd.read_parquet(labels) if labels else None)


@flow(name="nightly", flow_run_name="nightly {source}")
def nightly(
    source: str | Path,
    output: str | Path | None = None,
    labels: Path | None = None,
    runner: Literal["here", "dask"] = "here",
    dask_address: str | None = None,
    workers: int | None = None,
) -> dict[str, Any]:
    """Classify the images in `source` into `output`/predictions.csv (default: predictions/ and today's date).

    source, output: folders or addresses (s3://…). labels: a Parquet table with columns sha256 and label, to count
    right answers with. runner `dask`: on the cluster at `dask_address`, or a local one of so many `workers`.
    """
    params, images = load_params(), place(source)
    results = (place(output) if output else classify.folder_for_today()).absolute()  # a worker has another folder
    with ledger.held(results):
        plan = begin(images, results, params)
        left = ledger.unfinished(results, plan)
        if runner == "dask" and left:
            left = on_dask(results, left, plan, params, dask_address, workers)
        for number in left:
            shard(results, number, plan, params)
        summary = finish(results, plan, params, labels)
    create_markdown_artifact(reports.summary_markdown(summary), key="summary")
    create_link_artifact((results / "predictions.csv").as_uri(), key="predictions", link_text="predictions.csv")
    return summary


def on_dask(
    output: Place, numbers: list[int], plan: Plan, params: Params, address: str | None, workers: int | None
) -> list[int]:
    """Classify shards on a Dask cluster; returns those that its workers died of."""
    from flows import cluster

    with cluster.connected(address, workers) as client:
        runner = cluster.task_runner(client)
        return shards_on.with_options(task_runner=runner)(output, numbers, plan, params)
