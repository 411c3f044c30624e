"""The worker of `nightshift up`: Prefect's, which starts no run that a newer one makes needless, and keeps watch.

    python -m flows.services.worker worker start WORD...    as `prefect worker start WORD...`

A machine that slept for an hour wakes with a late run for each time that its schedules name, and Prefect's worker would
start them all at once.
"""

import json
import runpy
import warnings
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

from prefect.logging import get_logger
from prefect.workers.process import ProcessWorker

from flows.services.configuration import POOL

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun
    from prefect.types import DateTime

LATE = timedelta(seconds=60)  # after its time; the worker looks for due runs every 15 s
PAGE = 200  # runs in one answer of the server, at most


def superseded(due: Iterable["FlowRun"], now: datetime) -> Iterator[tuple["FlowRun", "FlowRun"]]:
    """The late ones among runs that are due, each with a newer one of the same deployment and the same parameters.

    The newer one does their work. Another person's run, with other parameters, is no such run.
    """
    newest: dict[str, FlowRun] = {}
    for run in sorted(due, key=_time_of, reverse=True):
        what = json.dumps([str(run.deployment_id), run.parameters], sort_keys=True, default=str)
        if (newer := newest.setdefault(what, run)) is not run and now - _time_of(run) > LATE:
            yield run, newer


def _time_of(run: "FlowRun") -> datetime:
    time = run.next_scheduled_start_time or run.expected_start_time
    assert time  # noqa: S101 - all are scheduled
    return time


async def cancel_superseded(client: "PrefectClient", pool: str, now: datetime) -> int:
    """Cancel the pool's late runs that a newer one makes needless, and say so in their state; returns how many."""
    from prefect.states import Cancelled

    cancelled = list(superseded(await _due(client, pool, now), now))
    for run, newer in cancelled:
        late = now - _time_of(run)
        words = (
            f"Late by {late.total_seconds() // 60:.0f} min, as the machine slept or no worker ran. The run that was "
            f"due at {_time_of(newer).astimezone():%H:%M} does the same work."
        )
        await client.set_flow_run_state(run.id, Cancelled(message=words))
    return len(cancelled)


async def _due(client: "PrefectClient", pool: str, now: datetime) -> list["FlowRun"]:
    """The pool's runs whose time has come. Those that wait for their turn, or for a retry, are not late."""
    from prefect.client.schemas import filters
    from prefect.client.schemas.sorting import FlowRunSort

    wanted = filters.FlowRunFilter(
        state=filters.FlowRunFilterState(name=filters.FlowRunFilterStateName(any_=["Scheduled", "Late"])),
        next_scheduled_start_time=filters.FlowRunFilterNextScheduledStartTime(before_=cast("DateTime", now)),
        deployment_id=filters.FlowRunFilterDeploymentId(is_null_=False),
    )
    here = filters.WorkPoolFilter(name=filters.WorkPoolFilterName(any_=[pool]))
    found: list[FlowRun] = []
    while not len(found) % PAGE:
        page = await client.read_flow_runs(
            flow_run_filter=wanted, work_pool_filter=here, sort=FlowRunSort.EXPECTED_START_TIME_DESC,
            limit=PAGE, offset=len(found),
        )  # fmt: skip
        found += page
        if not page:
            break
    return found


with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it takes the place of Prefect's own worker, on purpose

    class Worker(ProcessWorker):
        """Prefect's worker of the type `process`, but for late runs."""

        async def get_and_submit_flow_runs(self) -> list["FlowRun"]:
            """Begin the runs that are due."""
            if cancelled := await cancel_superseded(self.client, POOL, datetime.now(UTC)):
                get_logger("worker").info("Cancelled %d late runs: newer ones do their work.", cancelled)
            return await super().get_and_submit_flow_runs()


if __name__ == "__main__":
    from flows.services.watching import begin_watch

    begin_watch()
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)
