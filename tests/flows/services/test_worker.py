"""Which late runs the worker leaves out: those whose work a newer one does."""

import datetime
import json
import subprocess
import uuid
from pathlib import Path

import httpx
import psutil
import pytest

from flows.services.worker import superseded
from tests.fixtures.forked import nightshift
from tests.fixtures.project import NIGHTSHIFT
from tests.fixtures.up import Up, wait_until

NOW = datetime.datetime(2026, 1, 2, 3, tzinfo=datetime.UTC)
A, B = uuid.UUID(int=1), uuid.UUID(int=2)


def runs(*about: tuple[float, uuid.UUID, dict[str, object]]) -> list[object]:
    """Due runs: minutes since their time, deployment, parameters."""
    from prefect.client.schemas.objects import FlowRun

    return [
        FlowRun(
            flow_id=uuid.UUID(int=9), deployment_id=deployment, parameters=parameters,
            next_scheduled_start_time=NOW - datetime.timedelta(minutes=late),
        )
        for late, deployment, parameters in about
    ]  # fmt: skip


PHOTOS: dict[str, object] = {"source": "photos", "until": None}


@pytest.mark.parametrize(
    ("about", "left_out"),
    [
        ([(minute, A, PHOTOS) for minute in range(60)], list(range(2, 60))),
        ([(1.5, A, PHOTOS), (0.5, A, PHOTOS)], [0]),
        ([(60 * 24 * days, A, PHOTOS) for days in (3, 1, 2)], [0, 2]),
        ([(600, A, PHOTOS)], []),
        ([(60, A, PHOTOS), (1, B, PHOTOS)], []),
        ([(60, A, PHOTOS), (1, A, {"source": "other", "until": None})], []),
        ([(60, A, {"until": None, "source": "photos"}), (1, A, PHOTOS)], [0]),
        ([(0.5, A, PHOTOS), (0.2, A, PHOTOS)], []),
        ([], []),
    ],
    ids=[
        "an hour of minutes", "one", "nights of a machine that was off", "the only one", "another deployment",
        "another person's", "the order of parameters", "not late", "none",
    ],
)  # fmt: skip
def test_a_late_run_is_left_out_when_a_newer_one_does_its_work(
    about: list[tuple[float, uuid.UUID, dict[str, object]]], left_out: list[int]
) -> None:
    due = runs(*about)
    assert {old.id for old, _ in superseded(due, NOW)} == {due[place].id for place in left_out}  # type: ignore
    newest = {newer.id for _, newer in superseded(due, NOW)}  # type: ignore[arg-type]
    assert not newest & {due[place].id for place in left_out}  # type: ignore[attr-defined]


@pytest.mark.slow
def test_after_a_sleep_one_run_a_deployment_catches_up_and_nobody_is_alarmed(up: Up, night: Path) -> None:
    """The run deletes what is old; a person who follows the worker's log reads of it."""
    for name in ("young", "old"):
        nightshift("classify", str(night), f"predictions/{name}", "--no-prefect", cwd=up.project)
    summary = up.project / "predictions/old/summary.json"
    summary.write_text(json.dumps({**json.loads(summary.read_text()), "finished_at": "2020-01-01T00:00:00+00:00"}))
    now = datetime.datetime.now(datetime.UTC)
    ids = {}
    pool = f"{up.prefect}/api/work_pools/nightshift"
    httpx.patch(pool, json={"is_paused": True}, timeout=30).raise_for_status()  # asleep
    for minutes in range(1, 9):
        at = (now - datetime.timedelta(minutes=minutes)).isoformat()
        state = {"type": "SCHEDULED", "state_details": {"scheduled_time": at}}
        place = f"deployments/{up.deployment('tidy')['id']}/create_flow_run"
        ids[minutes] = str(up.api(place, state=state)["id"])
    # The worker looks before it asks for runs to start: only what was created between the two could still be started.
    assert {up.end_of(run) for minutes, run in ids.items() if minutes > 1} == {"Cancelled"}
    words = [str(NIGHTSHIFT), "logs", "worker", "-n", "0", "--follow"]
    with subprocess.Popen(words, cwd=up.project, stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout
        wait_until(lambda: psutil.Process(following.pid).open_files())  # it has to be there first
        httpx.patch(pool, json={"is_paused": False}, timeout=30).raise_for_status()
        assert next(line for line in following.stdout if "submitting flow run" in line)
        following.terminate()
    assert up.end_of(ids[1]) == "Completed"
    left = {folder.name for folder in (up.project / "predictions").iterdir()}
    assert "young" in left
    assert "old" not in left
    [last] = up.api("flow_runs/filter", flow_runs={"id": {"any_": [ids[8]]}})
    assert "The run that was due at" in last["state"]["message"]
