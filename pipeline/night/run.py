"""A night from start to end: the one order of steps for the plain command, the Prefect flow and Dask.

Knows neither who runs the steps nor who gets messages.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipeline.core import terminal
from pipeline.core.log import log
from pipeline.night import at_work, planning, results, shadow
from pipeline.night.deadline import deadline_at, is_past, stop
from pipeline.night.ledger import Run
from pipeline.night.options import NightOptions
from pipeline.night.results import Results
from pipeline.night.shadow import NoShadow
from pipeline.night.summary import NightSummary
from pipeline.night.worker import warm_up
from pipeline.night.workers import Classifier, classify_shards
from pipeline.params.file import Params
from pipeline.registry import history
from pipeline.storage.folders import Folder

Advance = Callable[[int, int], None]  # called with the number of a finished shard, and its count of files


@contextmanager
def progress_bar(run: Run, done: int) -> Iterator[Advance]:
    """A progress bar in the terminal. done: files that already have rows."""
    with terminal.progress_bar(desc=run.output.name, total=run.plan.files, initial=done, unit="image") as bar:

        def advance(_number: int, files: int) -> None:
            bar.update(files)

        yield advance


def tell_nobody(_output: Folder, _killed: str | None) -> None:
    """Send no message about a killed run."""


def record(output: Folder, summary: NightSummary, params: Params, flow_run: str = "") -> None:
    """Record the night in MLflow. flow_run: the orchestrator's name for this run, if it has one."""
    history.record(output, summary.for_history, params, flow_run)


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of a night: plain functions. A flow passes the same ones as tasks."""

    begin: Callable[[NightOptions, Params], Run] = planning.begin
    begin_shadow: Callable[[Run], Run | NoShadow] = shadow.begin
    classify: Classifier = classify_shards
    finish: Callable[[Run, Params, Path | None], Results] = results.finish
    finish_shadow: Callable[[Run, Run, Results, Params], Results] = results.finish_shadow
    record: Callable[[Folder, NightSummary, Params], None] = record
    tell_of_killed: Callable[[Folder, str | None], None] = tell_nobody  # the output, the name of the killed run
    progress: Callable[[Run, int], AbstractContextManager[Advance]] = progress_bar


PLAIN = Steps()


def night(options: NightOptions, params: Params, steps: Steps = PLAIN) -> NightSummary:
    """Classify the images in `options.source` into `options.output`/predictions.csv; returns the summary.

    An interrupted run is resumed, with the model and the files that it started with. Raises OutOfTime.
    """
    deadline, params = deadline_at(options.until), options.applied_to(params)
    with options.output.hold() as killed:
        steps.tell_of_killed(options.output, killed)
        at_work.note(options)
        if options.cluster is None:
            warm_up()
        began = time.perf_counter()
        run = _begun(options, params, steps)
        at_work.note(options, run.counted())
        results.prepare(run)
        beside = steps.begin_shadow(run) if options.with_shadow else None
        _classify_left(run, params, deadline, steps)
        found = steps.finish(run, params, options.labels)
        log.info("%d images in %.1f s", run.plan.files, time.perf_counter() - began)
        if isinstance(beside, Run):
            _classify_left(beside, params, deadline, steps)
            found = steps.finish_shadow(run, beside, found, params)
        elif beside:
            found = results.without_shadow(run, found, params, beside.why)
        if params.batch.track:
            steps.record(options.output, found.summary, params)
        at_work.forget(options.output)
    return found.summary


def _begun(options: NightOptions, params: Params, steps: Steps) -> Run:
    """The run. One that ends before it has a plan leaves nothing of itself."""
    with ExitStack() as undoing:
        undoing.callback(at_work.forget_unplanned, options.output)
        undoing.callback(planning.give_up, options.output)
        run = steps.begin(options, params)
        undoing.pop_all()
    return run


def _classify_left(run: Run, params: Params, deadline: datetime | None, steps: Steps) -> None:
    left = run.unfinished()
    done = run.plan.files - run.count_files(left)
    with steps.progress(run, done) as advance, closing(steps.classify(run, left, params)) as coming:
        for number, files in coming:
            advance(number, files)
            if is_past(deadline):
                break
    if deadline and is_past(deadline):  # only now, as the worker process has ended and its parts can be counted
        stop(deadline, run)
