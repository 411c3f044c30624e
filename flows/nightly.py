"""The nightly flow: the steps of a night as Prefect tasks, one for each shard, with retries; on Dask if wanted."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed

from flows.artifacts import files_markdown, summary_markdown
from flows.prefect_hooks import END, REFUSED, STOPPED, night_crashed, night_failed
from flows.retries import RETRIES
from pipeline.night import planning, results, shadow
from pipeline.night import run as order
from pipeline.night.deadline import OutOfTime
from pipeline.night.ledger import Done, Run
from pipeline.night.morning import PAGE as MORNING_PAGE
from pipeline.night.options import Cluster, NightOptions
from pipeline.night.outputs import PHOTOS, folder_for
from pipeline.night.results import Results
from pipeline.night.review import PAGE as REVIEW_PAGE
from pipeline.night.rows import PREDICTIONS_CSV
from pipeline.night.shadow import NoShadow
from pipeline.night.shard import classify_alone
from pipeline.night.summary import NightSummary
from pipeline.night.workers import classify_shards
from pipeline.notices import messages, when_a_run_ends
from pipeline.notices.send import tell
from pipeline.params.file import Params, load_params
from pipeline.storage.folders import Folder, folder_at
from pipeline.storage.output_lock import InUse

if TYPE_CHECKING:
    from distributed import Client

    from flows.services.dask import Work


@task(task_run_name="plan", cache_policy=NO_CACHE, **RETRIES)
def begin(options: NightOptions, params: Params) -> Run:
    """Choose the model and list the files."""
    return planning.begin(options, params)


class Shards:
    """Shards in order; a task waits for each one, while the worker process reads the files of the next."""

    def __init__(self, run: Run, numbers: list[int], params: Params) -> None:
        """numbers: the shards, in the order of the calls of `take`."""
        self._run, self._numbers, self._params = run, numbers, params
        self._coming: Done | None = None

    def take(self, number: int) -> int:
        """Wait for a shard; returns its count of files. After an error the next call starts again at its shard."""
        try:
            if self._coming is None:
                left = self._numbers[self._numbers.index(number) :]
                self._coming = classify_shards(self._run, left, self._params)
            _, files = next(self._coming)
        except BaseException:
            self.close()
            raise
        return files

    def close(self) -> None:
        """Stop the work on later shards."""
        if self._coming:
            self._coming.close()
        self._coming = None


@task(task_run_name="shard {number}", cache_policy=NO_CACHE, **RETRIES)
def shard(shards: Shards, number: int) -> int:
    """Classify one shard; returns its count of files."""
    return shards.take(number)


def classify_as_tasks(run: Run, numbers: list[int], params: Params) -> Done:
    """Classify shards on this machine."""
    with closing(Shards(run, numbers, params)) as shards:
        for number in numbers:
            yield number, shard(shards, number)


@task(task_run_name="shard {number}", cache_policy=NO_CACHE, **RETRIES)
def shard_on_worker(run: Run, number: int, params: Params) -> int:
    """Classify one shard in the Dask worker's process; returns its count of files."""
    return classify_alone(run, number, params)


@contextmanager
def dask_tasks(client: "Client", run: Run, params: Params) -> "Iterator[Work]":
    """Shards as tasks on a Dask cluster."""
    from prefect_dask import DaskTaskRunner

    from flows.services.dask import Work

    with DaskTaskRunner(address=client.scheduler.address) as runner:

        def submit(number: int) -> Any:
            parameters = {"run": run, "number": number, "params": params}
            return runner.submit(shard_on_worker, parameters).wrapped_future

        yield Work(submit, lambda state: state.result(_sync=True))


@task(task_run_name="finish", cache_policy=NO_CACHE, **RETRIES)
def finish(run: Run, params: Params, labels: Path | None) -> Results:
    """Merge, count, reconcile."""
    return results.finish(run, params, labels)


@task(task_run_name="plan of the shadow", cache_policy=NO_CACHE)
def begin_shadow(run: Run) -> Run | NoShadow:
    """Choose the challenger."""
    return shadow.begin(run)


@task(task_run_name="compare with the shadow", cache_policy=NO_CACHE)
def finish_shadow(run: Run, beside: Run, found: Results, params: Params) -> Results:
    """Merge, compare."""
    return results.finish_shadow(run, beside, found, params)


@task(task_run_name="record", cache_policy=NO_CACHE)
def record(output: Folder, summary: NightSummary, params: Params) -> None:
    """Record the night in MLflow."""
    order.record(output, summary, params, str(flow_run.id or ""))


@contextmanager
def log_shards(run: Run, done: int) -> Iterator[Callable[[int, int], None]]:
    """A progress bar where the flow runs, and one line per shard on the page of the flow run."""
    log = get_run_logger()
    with order.progress_bar(run, done) as advance:

        def finished(number: int, files: int) -> None:
            advance(number, files)
            log.info("shard %d of %d: %d images", number + 1, run.plan.shards, files)

        yield finished


def steps_for(cluster: Cluster | None) -> order.Steps:
    """The steps of a night as tasks, the shards on `cluster` if there is one."""
    classify: Any = classify_as_tasks
    if cluster:
        from flows.services import dask

        classify = dask.classifier(cluster, dask_tasks, classify_as_tasks)
    return order.Steps(
        begin=begin, begin_shadow=begin_shadow, classify=classify, finish=finish, finish_shadow=finish_shadow,
        record=record, tell_of_killed=when_a_run_ends.of_killed, progress=log_shards,
    )  # fmt: skip


@flow(
    name="nightly", flow_run_name="nightly {source}", on_failure=[night_failed], on_crashed=[night_crashed],
)  # fmt: skip
def nightly(  # each option is a parameter, for deployments and Prefect's UI
    source: str | Path = PHOTOS, output: str | Path | None = None, labels: Path | None = None,
    since_last: bool = False, until: str | None = None, with_shadow: bool = False,
    runner: Literal["here", "dask"] = "here", dask_address: str | None = None, workers: int | None = None,
    model_name: str | None = None, keep_finished: bool = False,
) -> NightSummary | State:  # fmt: skip
    """Classify the images in `source` into `output`/predictions.csv. Its state `Stopped`: the next run goes on with it.

    Args:
        source: The folder of images, or its address (s3://…), with all its subfolders.
        output: The folder for the results, or its address. Empty: that of the unfinished night over `source`, else one
            in predictions/ with today's date.
        labels: A Parquet table with the columns sha256 and label, to count how many answers are right.
        since_last: Repeat the last night's answers for files with the same content, if the model is the same.
        until: The time of day to stop at, such as 06:00; the next run goes on. Empty: when all files are done.
        with_shadow: Also classify with the @challenger, and report where it differs.
        runner: here, in one process; dask, on the workers of a cluster.
        dask_address: The cluster's scheduler, such as tcp://host:8786. Empty: a cluster on this machine.
        workers: Processes of the cluster on this machine. Empty: one per core.
        model_name: A registered model. Empty: register.model_name of params.yaml.
        keep_finished: Refuse an `output` that holds a finished night, as a night without `output` always does.

    """
    params, images = load_params(), folder_at(source)
    options = NightOptions(
        images, folder_at(output or folder_for(images, model=model_name)), labels, since_last, until, with_shadow,
        model_name, keep_finished or not output, Cluster(dask_address, workers) if runner == "dask" else None,
    )  # fmt: skip
    try:
        summary = order.night(options, params, steps_for(options.cluster))
    except OutOfTime as stopped:
        words = str(stopped)
        message = messages.of_stopped(options.output, words)
        create_markdown_artifact(message.markdown, key=END)
        tell(lambda: message)
        return Completed(name=STOPPED, message=words)
    except InUse as refused:  # not a failed night: the one at work is the night
        return Cancelled(name=REFUSED, message=str(refused))
    publish(options.output, summary)
    if end := messages.of_night(options.output, summary, params.batch, always=True):
        create_markdown_artifact(end.markdown, key=END)
    when_a_run_ends.of_night(options.output, summary, params)
    return summary


def publish(output: Folder, summary: NightSummary) -> None:
    """Publish the night as an artifact of its flow run, which says where its files are."""
    files = ((MORNING_PAGE, "the morning page"), (REVIEW_PAGE, "what to look at"), (PREDICTIONS_CSV, "all rows"))
    places = files_markdown((output.absolute().path / name, words) for name, words in files)
    create_markdown_artifact("\n".join([summary_markdown(summary), *places]), key="summary")
