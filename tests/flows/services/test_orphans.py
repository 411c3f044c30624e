"""Services whose supervisord was killed: shown as what they are, replaced without their flow runs, or ended."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from flows.cli.prefect_server import choose_server
from flows.cli.services import service_lines
from flows.services import orphans, processes
from flows.services.configuration import ADDRESSES, MARK, SOCKET, STOPPING
from pipeline.storage.files import write_json
from tests.fixtures.web import Web

SERVICE = "import signal; print(flush=True); signal.pause()"
FLOW_RUN = [sys.executable, "-c", SERVICE, "-m", "prefect.engine"]
# It notices when its flow run ends, as Prefect's worker does: nobody waits for a zombie.
WORKER = (
    "import signal, subprocess; signal.signal(signal.SIGCHLD, signal.SIG_IGN); "
    f"subprocess.Popen({FLOW_RUN!r}); signal.pause()"
)


@pytest.fixture
def left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """In a project, processes as `up` leaves them when its supervisord is killed while a worker has a flow run."""
    monkeypatch.chdir(tmp_path)
    ADDRESSES.parent.mkdir()
    write_json(
        ADDRESSES, {"mlflow": "http://127.0.0.1:9", "prefect": "http://127.0.0.1:9", "ours": ["mlflow", "prefect"]}
    )
    commands = {"prefect": ["-c", SERVICE], "worker": ["-c", WORKER]}
    started = {}
    for name, words in commands.items():
        env = {**os.environ, MARK: str(tmp_path), orphans.NAME: name}
        started[name] = subprocess.Popen([sys.executable, *words], env=env, stdout=subprocess.PIPE)
        out = started[name].stdout
        assert out
        out.readline()  # of the flow run, where it is the worker
    [run] = psutil.Process(started["worker"].pid).children()
    yield {name: one.pid for name, one in started.items()} | {"run": run.pid}
    for one in (*map(psutil.Process, [one.pid for one in started.values() if one.poll() is None]), run):
        if one.is_running():
            one.kill()
    for process in started.values():
        process.wait(10)
        assert process.stdout
        process.stdout.close()


def test_status_says_which_services_run_without_their_supervisor(left: dict[str, int]) -> None:
    said = "\n".join(service_lines())
    assert "their supervisor was killed, so nothing starts them again" in said
    assert "  prefect  running  since " in said
    assert "  worker   running  since " in said
    assert "  mlflow   stopped" in said
    assert {name: one.pid for name, one in orphans.orphans().items()} == {
        "prefect": left["prefect"], "worker": left["worker"],
    }  # fmt: skip


def test_a_command_uses_the_server_that_still_answers(left: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "PREFECT_HOME"):
        monkeypatch.setenv(name, str(Path.cwd()))
    monkeypatch.setenv("PREFECT_API_URL", "")
    Path("params.yaml").touch()
    SOCKET.touch()
    choose_server()
    assert os.environ["PREFECT_API_URL"] == "http://127.0.0.1:9/api"


def test_they_are_named_and_ended_and_their_flow_run_goes_on(left: dict[str, int]) -> None:
    said = orphans.replace(orphans.orphans())
    assert said == [
        f"Left by a supervisor that was killed: prefect (process {left['prefect']}), "
        f"worker (process {left['worker']}). They are ended, and started again.",
        "A flow run goes on beside it.",
    ]
    assert orphans.orphans() == {}
    assert psutil.Process(left["run"]).status() != psutil.STATUS_ZOMBIE
    assert processes.stop() == 1, "down ends the flow run too"
    assert not psutil.pid_exists(left["run"])


def test_down_ends_them(left: dict[str, int]) -> None:
    assert processes.stop() == 3
    assert not STOPPING.exists()
    assert orphans.orphans() == {}
    assert service_lines() == ["Services:", "  stopped; `nightshift up` starts them"]


def test_a_night_that_down_stops_alarms_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, web: Web, prefect_api: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NIGHTSHIFT_NOTIFY", web.json)
    from prefect.client.schemas.objects import FlowRun
    from prefect.settings import PREFECT_API_URL, temporary_settings
    from prefect.states import Crashed

    from flows.nightly import nightly
    from flows.prefect_hooks import night_crashed

    run = FlowRun(flow_id=uuid.UUID(int=1), parameters={"source": "photos", "output": "out"})
    STOPPING.parent.mkdir()
    STOPPING.touch()
    with temporary_settings({PREFECT_API_URL: prefect_api}):  # else Prefect starts a server of its own
        night_crashed(nightly, run, Crashed(message="Execution was aborted by a termination signal."))
        assert web.messages == []
        STOPPING.unlink()
        night_crashed(nightly, run, Crashed(message="Killed."))
    [message] = web.messages
    assert message["message"].startswith("The run was killed. Prefect says: Killed.")


def test_where_there_are_none_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert orphans.replace(orphans.orphans()) == []
