"""Requests to Prefect's server: the work pool, the deployments, dead runs, the nights. Starts and stops no service."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pipeline.core.errors import NightshiftError
from pipeline.core.text import named

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.filters import FlowRunFilterState
    from pydantic import BaseModel

    from flows.show_nights import Coming

NIGHTS = ("nightly", "nights")  # the deployments that classify
ZOMBIES = "Nightshift: runs without a sign of life have crashed"
LOOKED_AT = 200  # runs, to find the last night
SILENCE = timedelta(seconds=90)  # three missed heartbeats


@contextmanager
def client_of(api: str) -> "Iterator[SyncPrefectClient]":
    """A client of the server at `api`."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: api}), get_client(sync_client=True) as client:
        yield client


def make_pool(api: str, name: str) -> None:
    """Create the work pool if it is missing. Its worker runs each flow as a process of this machine."""
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists
    from prefect.workers.process import ProcessWorker

    with client_of(api) as client:
        try:
            template = ProcessWorker.get_default_base_job_template()
            client.create_work_pool(WorkPoolCreate(name=name, type=ProcessWorker.type, base_job_template=template))
        except ObjectAlreadyExists:
            return


def deploy(environment: dict[str, str]) -> None:
    """Register the deployments in prefect.yaml with the server. Raises NightshiftError with Prefect's message."""
    words = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    done = subprocess.run(words, env=environment, text=True, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
        raise NightshiftError(f"Prefect refused the deployments in prefect.yaml (`prefect deploy --all`):\n{last}")


def watch_for_zombies(api: str) -> None:
    """Let the server mark a run as crashed when its heartbeats stop: its machine, or the run and its worker, died.

    Without this the run would stay `Running` for ever. Creates the automation once, and updates it when it has changed.
    """
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
    from prefect.events.schemas.events import ResourceSpecification

    ends = {f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Cancelled", "Crashed")}
    automation = AutomationCore(
        name=ZOMBIES,
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.heartbeat", *ends},
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=SILENCE,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED, name=None, message="No heartbeat: the run was killed.", force=False
            )
        ],
    )
    with client_of(api) as client:
        known = client.read_automations_by_name(ZOMBIES)
        if not known:
            client.create_automation(automation)
        elif _plain(known[0].trigger) != _plain(
            automation.trigger
        ):  # only then: an update forgets the runs it waits for
            client.update_automation(known[0].id, automation)


def _plain(trigger: "BaseModel") -> object:
    return trigger.model_dump(exclude={"id"})


def worker_is_online(api: str, pool: str, name: str, since: datetime) -> bool:
    """Whether the worker has sent a heartbeat after `since`."""
    with client_of(api) as client:
        workers = client.read_workers_for_work_pool(pool)
    return any(one.name == name and one.last_heartbeat_time and one.last_heartbeat_time > since for one in workers)


def not_ready(api: str) -> list[str]:
    """The scheduled deployments that would fail tonight, each with why and what to do."""
    from flows.services.readiness import lacking
    from pipeline.params.file import load_params

    with client_of(api) as client:
        known = client.read_deployments()
    usual = load_params().register_.model_name
    active = [one for one in known if not one.paused and any(schedule.active for schedule in one.schedules)]
    return [line for one in active for line in lacking(one.name, one.parameters, usual)]


def coming_nights(api: str) -> "list[Coming]":
    """The planned runs of the deployments that classify, soonest first."""
    from prefect.client.schemas.filters import (
        DeploymentFilter,
        DeploymentFilterName,
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType
    from prefect.client.schemas.sorting import FlowRunSort

    from flows.services.readiness import inputs_of
    from flows.show_nights import Coming

    scheduled = FlowRunFilterStateType(any_=[StateType.SCHEDULED])
    with client_of(api) as client:
        names = {one.id: one.name for one in client.read_deployments()}
        found = client.read_flow_runs(
            deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=list(NIGHTS))),
            flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=scheduled)),
            sort=FlowRunSort.EXPECTED_START_TIME_ASC,
        )
    return [
        Coming(run.expected_start_time, names[run.deployment_id], inputs_of(run.parameters))
        for run in found
        if run.expected_start_time and run.deployment_id in names
    ]


def nights(api: str) -> list[str]:
    """The last night of a deployment and how it went, and the next one, as lines. Nights by hand are not among them.

    A planned run has a random name of Prefect's.
    """
    from prefect.client.schemas.filters import (
        DeploymentFilter,
        DeploymentFilterName,
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType
    from prefect.client.schemas.sorting import FlowRunSort

    from flows.services.readiness import inputs_of

    def of(states: "FlowRunFilterState", sort: FlowRunSort) -> "Iterator[str]":
        found = client.read_flow_runs(
            deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=list(NIGHTS))),
            flow_run_filter=FlowRunFilter(state=states),
            sort=sort,
            limit=LOOKED_AT,
        )
        for run in found:
            if run.state_type == StateType.CANCELLED and not run.run_count:
                continue  # a late one, whose work another did
            when = run.start_time or run.expected_start_time
            name = names.get(run.deployment_id, run.name) if run.deployment_id else run.name
            what = f"`{name}` over {named([one.source for one in inputs_of(run.parameters)])}"
            yield f"{when:%Y-%m-%d %H:%M} UTC, {run.state_name} ({what})" if when else what

    scheduled = FlowRunFilterStateType(any_=[StateType.SCHEDULED])
    begun = FlowRunFilterStateType(not_any_=[StateType.SCHEDULED, StateType.PENDING])
    with client_of(api) as client:
        names = {one.id: one.name for one in client.read_deployments()}
        last = next(of(FlowRunFilterState(type=begun), FlowRunSort.START_TIME_DESC), "none yet")
        following = next(of(FlowRunFilterState(type=scheduled), FlowRunSort.EXPECTED_START_TIME_ASC), "none")
    return [f"last scheduled: {last}", f"next: {following}"]
