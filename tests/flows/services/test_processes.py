"""MLflow, Prefect and the worker as `nightshift up` runs them: real processes on free ports, killed and restarted."""

import json
import os
import re
import shutil
import socket
from pathlib import Path
from typing import NamedTuple

import httpx
import psutil
import pytest

from flows.cli.prefect_server import choose_server, is_a_flow
from tests.fixtures.commands import parts
from tests.fixtures.forked import nightshift
from tests.fixtures.project import NIGHTSHIFT, draw_shape, rows_of
from tests.fixtures.stores import free_port
from tests.fixtures.up import (
    Up,
    answers,
    hold,
    kill_with_its_runs,
    options,
    processes,
    short,
    the_process,
    wait_until,
)

pytestmark = pytest.mark.slow


def test_one_command_starts_all_and_the_pages_show_the_projects_models_and_schedules(up: Up) -> None:
    assert re.search(rf"mlflow +{up.mlflow}  \(\d+ s\)", up.said)
    assert re.search(rf"prefect +{up.prefect}  \(\d+ s\)", up.said)
    found = httpx.get(f"{up.mlflow}/api/2.0/mlflow/registered-models/get", params={"name": "nightshift"}, timeout=30)
    assert {alias["alias"] for alias in found.json()["registered_model"]["aliases"]} == {"challenger", "champion"}
    assert "WARNING: `nightly` will fail: photos does not exist. Put the images to classify there" in up.said
    active = {
        name: up.deployment(name)["schedules"][0]["active"]
        for name in ("training", "learn", "nightly", "nights", "data-watch", "tidy")
    }
    assert active == {
        "training": False, "learn": False, "nightly": True, "nights": False, "data-watch": True, "tidy": False,
    }  # fmt: skip
    assert up.deployment("training")["global_concurrency_limit"]["limit"] == 1
    assert up.deployment("training")["concurrency_options"]["collision_strategy"] == "ENQUEUE"
    assert re.search(r"review +http://127.0.0.1:\d+  \(\d+ s\)", up.said)
    assert httpx.get(up.start.partition("?")[0]).status_code == 403, "without its token"
    with httpx.Client(follow_redirects=True, timeout=30) as browser:
        page = browser.get(up.start).text
    assert "version 1</a></b><small>nightshift, of " in page, "the champion, by MLflow"
    assert up.prefect in page
    assert "<p><code>nightly</code> will fail: photos does not exist. Put the images to classify there" in page
    home = up.project / ".nightshift"
    assert (home / "start.json").stat().st_mode & 0o777 == 0o600
    assert home.stat().st_mode & 0o777 == 0o700
    assert (home / "supervisor.sock").stat().st_mode & 0o777 == 0o700
    assert (home / "prefect/prefect.db").is_file(), "several projects do not mix"
    listening = {one.laddr.ip for process in processes(up.project) for one in process.net_connections("tcp")
                 if one.status == psutil.CONN_LISTEN}  # fmt: skip
    assert listening == {"127.0.0.1"}
    environment = the_process(up.project, "worker").environ()
    assert (environment["DO_NOT_TRACK"], environment["MLFLOW_DISABLE_TELEMETRY"]) == ("1", "true")
    assert environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"


class Killed(NamedTuple):
    """A night that was killed with its worker."""

    run: str
    source: Path
    output: Path
    was: str  # its state a moment later


@pytest.fixture(scope="module")
def killed(up: Up, tmp_path_factory: pytest.TempPathFactory) -> Killed:
    folder = tmp_path_factory.mktemp("killed")
    source, output = folder / "night", folder / "out"
    for number in range(90):
        draw_shape(source / f"{number:03d}.png", ("circle", "square")[number % 2], seed=number)
    run = up.begin("nightly", source=str(source), output=str(output))
    wait_until(lambda: len(parts(output)) >= 2)
    hold(up.project)
    wait_until(lambda: up.heartbeats(run))
    kill_with_its_runs(up.project)
    assert not (output / "predictions.csv").exists(), "it was killed too late"
    return Killed(run, source, output, up.state(run))


def test_a_night_killed_with_its_worker_is_completed_by_the_next(up: Up, killed: Killed, tmp_path: Path) -> None:
    assert killed.was == "Running", "nobody could say that it died"
    following = up.begin("nightly", source=str(killed.source), output=str(killed.output))
    nightshift("classify", str(killed.source), str(tmp_path / "plain"), "--no-prefect", cwd=up.project)
    assert up.end_of(following) == "Completed"
    assert rows_of(killed.output) == rows_of(tmp_path / "plain")
    assert len(rows_of(killed.output)) == 90
    assert up.state(following) == "Completed"
    assert "last scheduled: " in nightshift("status", cwd=up.project).stdout


def test_a_second_up_says_that_it_runs_and_status_and_logs_say_how(up: Up) -> None:
    before = the_process(up.project, "worker").pid
    wait_until(lambda: re.search("  worker +running ", nightshift("status", cwd=up.project).stdout))
    again = nightshift("up", cwd=up.project).stdout
    assert "is already running here (mlflow running, prefect running, review running, worker running)" in again
    assert up.prefect in again
    assert up.start in again, "the same token as before"
    assert the_process(up.project, "worker").pid == before
    # The scheduler plans within a minute.
    planned = {
        "deployments": {"name": {"any_": ["nightly"]}},
        "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
    }
    wait_until(lambda: up.api("flow_runs/filter", **planned))
    said = nightshift("status", cwd=up.project).stdout
    for name in ("mlflow", "prefect", "review", "worker"):
        assert re.search(rf"  {name} +running +since \d{{4}}-\d\d-\d\d \d\d:\d\d  [1-9]\d+ MB", said)
    assert re.search(r"next: \d{4}-\d\d-\d\d 02:00 UTC, Scheduled \(`nightly` over photos\)", said)
    assert "WARNING: `nightly` will fail: photos does not exist" in said
    assert re.search(r"^  [12] .*@champion", said, re.MULTILINE)
    assert "started" in nightshift("logs", "worker", "-n", "10000", cwd=up.project).stdout
    assert len(nightshift("logs", "worker", "-n", "1", cwd=up.project).stdout.splitlines()) == 1
    every = nightshift("logs", cwd=up.project).stdout
    names = ["mlflow", "prefect", "review", "worker"]
    assert [name for name in names if f"{name}.log <==" in every or name == "review"] == names, (
        "the page has said nothing"
    )


def test_a_server_that_dies_is_started_again(up: Up) -> None:
    server = the_process(up.project, "mlflow", "server")
    server.kill()
    server.wait(10)
    wait_until(lambda: [one for one in processes(up.project) if {"mlflow", "server"} <= set(one.cmdline())])
    assert the_process(up.project, "mlflow", "server").pid != server.pid
    started = psutil.Process(the_process(up.project, "mlflow", "server").pid)
    port = int(up.mlflow.rpartition(":")[2])

    def the_new_one_alone_listens() -> bool:
        # What is left of the one that was killed must not keep the port, or it would be the one that answers.
        listening = {one.pid for one in processes(up.project) for at in one.net_connections("tcp")
                     if at.status == psutil.CONN_LISTEN and at.laddr.port == port}  # fmt: skip
        return bool(listening) and listening <= {
            started.pid,
            *(child.pid for child in started.children(recursive=True)),
        }

    wait_until(the_new_one_alone_listens)
    wait_until(lambda: answers(f"{up.mlflow}/health"))


def test_one_folder_that_fails_keeps_no_other_from_its_night_and_is_named(up: Up, tmp_path: Path, night: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(night, other)
    (tmp_path / "empty").mkdir()
    inputs = [
        {"source": str(tmp_path / "empty"), "output": str(tmp_path / "a")},
        {"source": str(night), "output": str(tmp_path / "b"), "model_name": "nobody"},
        {"source": str(night), "output": str(tmp_path / "c"), "model_name": "nightshift"},
        {"source": str(other)},
    ]
    said = up.run_code(
        f"""
from flows.nights import Input, nights
from pipeline.core.errors import NightshiftError
try:
    nights([Input(**one) for one in {inputs!r}])
except NightshiftError as error:
    print("RAISED", error)
"""
    )
    assert f"RAISED 2 of 4 folders failed: {tmp_path / 'empty'}, {night}." in said
    assert not (tmp_path / "b/predictions.csv").exists()
    [by_default] = up.project.glob("predictions/*-other")
    assert len(rows_of(tmp_path / "c")) == len(rows_of(by_default)) == 10
    [several] = up.api("flow_runs/filter", flows={"name": {"any_": ["nights"]}})
    assert several["state_name"] == "Failed"
    parts = up.api("flow_runs/filter", flow_runs={"parent_flow_run_id": {"any_": [several["id"]]}})
    assert sorted(part["state_name"] for part in parts) == ["Completed", "Completed", "Failed", "Failed"]


WATCH = "from flows.watch import watch; print('CHECKED', watch())"


def test_new_images_are_checked_and_unchanged_ones_left_alone(up: Up) -> None:
    manifest = up.project / "data/manifest.parquet"
    before = manifest.stat().st_mtime_ns
    assert "CHECKED False" in up.run_code(WATCH)
    assert manifest.stat().st_mtime_ns == before
    draw_shape(up.project / "data/raw/circle/new.png", "circle", seed=99)
    model = (up.project / "models/current/contract.json").stat().st_mtime_ns
    assert "CHECKED True" in up.run_code(WATCH)
    assert manifest.stat().st_mtime_ns > before
    assert (up.project / "models/current/contract.json").stat().st_mtime_ns == model, "nothing is trained"
    keys = {artifact["key"] for artifact in up.api("artifacts/filter")}
    assert "data" in keys
    assert "CHECKED False" in up.run_code(WATCH)


RETRIED = """
from prefect import flow, task
from flows.retries import RETRIES
from pipeline.core.errors import NightshiftError
from pipeline.storage.stores import StoreError
from pipeline.registry.store import TrackingError

tries = []
soon = {**RETRIES, "retry_delay_seconds": 0, "retry_jitter_factor": None}

@task(**soon)
def work(error):
    tries.append(error.__name__)
    raise error("so it is")

@flow
def all_of_them():
    for error in (StoreError, TrackingError, ConnectionError, NightshiftError):
        work(error, return_state=True)

all_of_them()
print("TRIES", {name: tries.count(name) for name in tries})
"""


def test_what_may_pass_is_tried_again_and_what_a_person_has_to_mend_is_not(up: Up) -> None:
    said = up.run_code(RETRIED + "\n")
    assert "TRIES {'StoreError': 4, 'TrackingError': 4, 'ConnectionError': 4, 'NightshiftError': 1}" in said


def test_retries_wait_longer_and_longer() -> None:
    from prefect import task

    from flows.retries import RETRIES

    def work() -> None: ...

    assert task(**RETRIES)(work).retry_delay_seconds == [5, 10, 20]


def test_a_port_that_is_taken_is_named_with_its_owner_and_another(trained: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = nightshift("up", *options(port, free_port()), cwd=trained, check=False)
    assert done.returncode == 1
    assert f"Port {port}, where mlflow must listen, is in use by process {os.getpid()}" in done.stderr
    assert f"nightshift up --mlflow-port {port + 1}" in done.stderr
    assert list(processes(trained)) == []


@pytest.mark.parametrize(("variable", "address"), [("MLFLOW_TRACKING_URI", ""), ("PREFECT_API_URL", "/api")])
def test_a_server_elsewhere_that_does_not_answer_is_named(trained: Path, variable: str, address: str) -> None:
    there = {variable: f"http://127.0.0.1:9{address}"}
    done = nightshift("up", *options(free_port(), free_port()), cwd=trained, check=False, **there)
    assert done.returncode == 1
    assert f"The server that {variable} names does not answer at http://127.0.0.1:9{address}/health" in done.stderr
    assert list(processes(trained)) == []


def test_a_service_that_does_not_start_is_named_with_its_last_words_and_nothing_stays_behind(
    up: Up, two_versions: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    project = short(tmp_path_factory)
    shutil.copytree(two_versions, project, symlinks=True)
    env = {"MLFLOW_TRACKING_URI": "nowhere:///dev/null"}  # of a kind that MLflow does not know, so it does not retry
    env["PREFECT_API_URL"] = f"{up.prefect}/api"  # so it starts no server of its own besides
    done = nightshift("up", *options(free_port(), free_port()), cwd=project, check=False, **env)
    assert done.returncode == 1
    assert re.search(r"mlflow does not start \((BACKOFF|FATAL|EXITED)\)\. Its last log lines:\n(  .*\n)+", done.stderr)
    assert "/dev/null" in done.stderr
    assert "(.nightshift/logs/mlflow.log)" in done.stderr
    assert list(processes(project)) == []
    assert "stopped; `nightshift up` starts them" in nightshift("status", cwd=project).stdout


def test_the_folder_of_the_command_need_not_be_on_the_path(up: Up) -> None:
    worker = the_process(up.project, "worker")
    assert worker.environ()["PATH"].split(os.pathsep)[0] == str(NIGHTSHIFT.parent)
    assert json.loads((up.project / ".nightshift/addresses.json").read_text())["ours"] == ["mlflow", "prefect"]


def test_without_services_there_are_no_logs_and_nothing_to_stop(two_versions: Path) -> None:
    done = nightshift("logs", cwd=two_versions, check=False)
    assert done.returncode == 1
    assert "`nightshift up` starts the services" in done.stderr
    assert nightshift("down", cwd=two_versions).stdout == "Nothing was running.\n"


def test_a_command_beside_them_is_a_flow_on_their_server(up: Up, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(up.project)
    monkeypatch.setenv("HOME", str(up.project))
    monkeypatch.setenv("PREFECT_API_URL", "")
    choose_server()
    assert os.environ["PREFECT_API_URL"] == f"{up.prefect}/api"
    assert is_a_flow(None)


def test_a_night_that_was_killed_ends_as_crashed(up: Up, killed: Killed) -> None:
    """Last here: its signs of life must be missed for a minute and a half, in which the other tests run."""
    wait_until(lambda: up.state(killed.run) != "Running", every=1.0)
    assert up.state(killed.run) == "Crashed"
