"""What `nightshift up` runs in a project: its processes, what Prefect's server says of them, and the end of it all."""

import contextlib
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil
import pytest

from tests.conftest import REPOSITORY
from tests.project import nightshift, run
from tests.stores import free_port

PATIENCE = 150  # seconds; a busy machine starts slowly
ENDED = ("Completed", "Failed", "Crashed")  # runs


class Up(NamedTuple):
    """A project whose services run."""

    project: Path
    mlflow: str
    prefect: str
    said: str
    key: str | None = None  # of Prefect's server, user:password

    def api(self, path: str, **body: Any) -> Any:
        """What Prefect's server answers to a question."""
        user, _, password = (self.key or "").partition(":")
        auth = (user, password) if self.key else None
        reply = httpx.post(f"{self.prefect}/api/{path}", json=body, timeout=30, auth=auth)
        return reply.raise_for_status().json()

    def deployment(self, name: str) -> dict[str, Any]:
        """A deployment as the server knows it."""
        [found] = self.api("deployments/filter", deployments={"name": {"any_": [name]}})
        assert isinstance(found, dict)
        return found

    def begin(self, name: str, **parameters: object) -> str:
        """A run of a deployment, for the worker to take; its id."""
        asked = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        return str(self.api(f"deployments/{self.deployment(name)['id']}/create_flow_run", **asked)["id"])

    def state(self, run_id: str) -> str:
        """How a run is."""
        [found] = self.api("flow_runs/filter", flow_runs={"id": {"any_": [run_id]}})
        return str(found["state_name"])

    def end_of(self, run_id: str) -> str:
        """How a run has ended, once it has."""
        wait_until(lambda: self.state(run_id) in ENDED)
        return self.state(run_id)

    def run_code(self, code: str) -> str:
        """Python in the project, with this server; what it says."""
        done = run(sys.executable, "-c", code, cwd=self.project, PREFECT_API_URL=f"{self.prefect}/api")
        return done.stdout + done.stderr


def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place for a project where services are to run: a test's own folder is too long for the name of their socket."""
    return tmp_path_factory.mktemp("up") / "project"


def options(mlflow: int, prefect: int) -> list[str]:
    return ["--mlflow-port", str(mlflow), "--prefect-port", str(prefect)]


@contextlib.contextmanager
def services(project: Path, **env: str) -> Iterator[Up]:
    """`nightshift up` on free ports; at the end `nightshift down`, which leaves nothing behind."""
    if not (project / "prefect.yaml").exists():
        shutil.copy(REPOSITORY / "prefect.yaml", project)
    mlflow, prefect = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    ports = [int(address.rpartition(":")[2]) for address in (mlflow, prefect)]
    try:
        said = nightshift("up", *options(*ports), cwd=project, **env).stdout  # type: ignore[arg-type]
        elsewhere = env.get("PREFECT_API_URL", "").removesuffix("/api")
        yield Up(
            project, env.get("MLFLOW_TRACKING_URI") or mlflow, elsewhere or prefect, said,
            env.get("PREFECT_API_AUTH_STRING"),
        )  # fmt: skip
    finally:
        last = nightshift("down", cwd=project)
        left = list(processes(project))
        for one in left:
            one.kill()
    assert re.search(r"Stopped: \d+ processes", last.stdout)
    assert left == []
    assert nightshift("down", cwd=project).stdout == "Nothing was running.\n"
    assert not answers(f"{prefect}/api/health")


def processes(project: Path) -> Iterator[psutil.Process]:
    """All that come from the project's services."""
    for one in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if one.environ().get("NIGHTSHIFT_SERVICES") == str(project):
                yield one


def the_process(project: Path, *words: str) -> psutil.Process:
    """The one of them with these words in its command."""
    [found] = [one for one in processes(project) if set(words) <= set(one.cmdline())]
    return found


def kill_with_its_runs(project: Path) -> None:
    """SIGKILL to the worker and to each flow run that it has begun, as when the machine dies."""
    worker = the_process(project, "worker")
    for one in (worker, *worker.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    for one in list(processes(project)):
        with contextlib.suppress(psutil.Error):
            if "PREFECT__FLOW_RUN_ID" in one.environ():
                one.kill()


def wait_until(there: Callable[[], object], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def answers(address: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(address, timeout=5).is_success
    return False
