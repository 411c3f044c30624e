"""Servers for several machines, as docs/production.md has them: PostgreSQL, S3, passwords; the same night by them."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import fsspec
import httpx
import pytest

from tests.fixtures.forked import nightshift
from tests.fixtures.postgres import PASSWORD, USER, Postgres, postgres
from tests.fixtures.project import REPOSITORY, change_params, copy_of, draw_shape, environment, rows_of
from tests.fixtures.serving import wait_for
from tests.fixtures.stores import environment_of, free_port, upload
from tests.fixtures.up import services, short

pytestmark = pytest.mark.slow  # all of the file, so that they stay together and share their servers

SECRET = "correct horse battery"  # noqa: S105
PAGE = (REPOSITORY / "docs/production.md").read_text()


def command_of(program: str) -> list[str]:
    """The words after `ExecStart=…/PROGRAM server` on the page, but for its host and port."""
    [words] = re.findall(rf"^ExecStart=\S*/{program} (server .*)$", PAGE, re.MULTILINE)
    return [sys.executable, "-m", program, *words.replace(" --allowed-hosts mlflow.example.com", "").split()]


def variables_of(file: str) -> list[str]:
    """The names in a file of environment variables on the page."""
    [block] = re.findall(rf"^```\n# /etc/nightshift/{file},.*?\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return re.findall(r"^(\w+)=", block, re.MULTILINE)


class Server(NamedTuple):
    """One that was started."""

    address: str
    process: "subprocess.Popen[bytes]"


@contextmanager
def server(program: str, folder: Path, known: dict[str, str], variables: list[str]) -> Iterator[Server]:
    """A server of the page, which is only started, with exactly the variables that the page sets."""
    port = str(free_port())
    words = [port if word in ("5000", "4200") else word for word in command_of(program)]
    given = {name: known[name] for name in variables}
    log = (folder / f"{program}.log").open("w")
    with log, subprocess.Popen(
        words, cwd=folder, env=environment(**given, HOME=str(folder), DO_NOT_TRACK="1"), stdout=log, stderr=log,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            yield Server(f"http://127.0.0.1:{port}", process)
        finally:
            os.killpg(process.pid, signal.SIGTERM)


class Site(NamedTuple):
    """The servers, and the environment of a machine that works with them."""

    database: Postgres
    worker: dict[str, str]
    folder: Path  # of the servers' logs


@pytest.fixture(scope="module")
def site(s3: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with postgres() as database:
        for name in ("mlflow", "mlflow_auth", "prefect"):
            database.make(name)
        at = f"{USER}:{quote(PASSWORD)}@127.0.0.1:{database.port}"
        [settings] = re.findall(r"^```\n# /etc/nightshift/mlflow.ini.*?\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
        ini = folder / "mlflow.ini"
        # As in every such file, a per cent sign is written twice.
        ini.write_text(re.sub("://.*/", f"://{at}/".replace("%", "%%"), settings, count=1))
        keys = environment_of(s3)
        known = {
            **keys,
            "MLFLOW_BACKEND_STORE_URI": f"postgresql://{at}/mlflow",
            "MLFLOW_ARTIFACTS_DESTINATION": "s3://models/mlflow",
            "MLFLOW_AUTH_CONFIG_PATH": str(ini),
            "MLFLOW_AUTH_ADMIN_PASSWORD": SECRET,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "signs forms",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "PREFECT_API_DATABASE_CONNECTION_URL": f"postgresql+asyncpg://{at}/prefect",
            "PREFECT_SERVER_API_AUTH_STRING": f"admin:{SECRET}",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        }
        fs = fsspec.filesystem("s3", client_kwargs={"endpoint_url": s3}, key="test", secret="test")  # noqa: S106
        for name in ("models", "photos"):
            fs.mkdir(name)
        to_s3 = [*variables_of("mlflow.env"), *keys]
        with (
            server("mlflow", folder, known, to_s3) as mlflow,
            server("prefect", folder, known, variables_of("prefect.env")) as prefect,
        ):
            wait_for(f"{mlflow.address}/health", mlflow.process)
            wait_for(f"{prefect.address}/api/health", prefect.process)
            worker = {
                "MLFLOW_TRACKING_URI": mlflow.address,
                "MLFLOW_TRACKING_USERNAME": "admin",
                "MLFLOW_TRACKING_PASSWORD": SECRET,
                "PREFECT_API_URL": f"{prefect.address}/api",
                "PREFECT_API_AUTH_STRING": f"admin:{SECRET}",
                **keys,
            }
            yield Site(database, worker, folder)


def test_a_project_trains_and_has_its_night_by_servers_on_postgresql_and_s3(
    site: Site, untouched: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The images are checked and cut already: what speaks to the servers is `train`, and what follows it."""
    for name, value in site.worker.items():
        monkeypatch.setenv(name, value)
    project, photos, output = copy_of(untouched, short(tmp_path_factory)), tmp_path / "photos", tmp_path / "out"
    (project / "mlflow.db").unlink()
    shutil.rmtree(project / "mlartifacts")
    change_params(project, {"train": {"fine_tune": {"steps": 0}}})
    for number in range(12):
        draw_shape(photos / f"{number:02d}.png", ("circle", "square")[number % 2], seed=number)
    (photos / "12.png").write_bytes(b"no picture")
    upload(photos, "s3://photos/tonight")
    said = nightshift("train", cwd=project, **site.worker)
    with services(project, **site.worker) as up:
        assert re.search(r"mlflow +http://127\S+  \(not started here\)\nprefect +http://127\S+  \(not started", up.said)
        run_id = up.begin("nightly", source="s3://photos/tonight", output=str(output))
        assert up.end_of(run_id) == "Completed"
        keys = {found["key"] for found in up.api("artifacts/filter")}
    rows = rows_of(output)
    assert [row["status"] for row in rows] == ["ok"] * 12 + ["unreadable"]
    assert [row["label"] for row in rows] == ["circle", "square"] * 6 + [""]
    plain = tmp_path / "plain"
    nightshift("classify", "s3://photos/tonight", str(plain), "--no-prefect", cwd=project, **site.worker)
    assert rows_of(plain) == rows
    assert {"summary", "data"} <= keys
    versions = site.database.ask("mlflow", "SELECT name, version, status FROM model_versions")
    assert versions == "nightshift|1|READY"
    nights = "SELECT status FROM runs JOIN experiments USING (experiment_id) WHERE experiments.name LIKE '%nights'"
    assert site.database.ask("mlflow", nights) == "FINISHED\nFINISHED"
    states = site.database.ask("prefect", "SELECT state_type FROM flow_run WHERE name LIKE 'nightly%'")
    assert states.splitlines() == ["COMPLETED"]
    stored = fsspec.filesystem("s3").find("models")
    assert any(name.endswith("model.keras") for name in stored)
    assert not (project / "mlflow.db").exists()
    assert not (project / "mlartifacts").exists()
    logs = "".join(file.read_text() for file in site.folder.glob("*.log"))
    everything = said.stdout + said.stderr + up.said + logs
    everything += "".join(file.read_text() for file in (project / ".nightshift/logs").iterdir())
    assert SECRET not in everything
    assert PASSWORD not in everything
    assert quote(PASSWORD) not in everything


def test_without_the_password_nobody_gets_in_and_is_told_so(site: Site, trained: Path, tmp_path: Path) -> None:
    assert httpx.get(f"{site.worker['MLFLOW_TRACKING_URI']}/", timeout=30).status_code == 401
    assert httpx.post(f"{site.worker['PREFECT_API_URL']}/flow_runs/filter", json={}, timeout=30).status_code == 401
    wrong = {**site.worker, "MLFLOW_TRACKING_PASSWORD": "wrong password"}
    done = nightshift("status", cwd=trained, check=False, **wrong)
    assert done.returncode == 1
    assert "MLFLOW_TRACKING_USERNAME" in done.stderr
    assert "wrong password" not in done.stderr + done.stdout
    (tmp_path / "photos").mkdir()
    draw_shape(tmp_path / "photos/1.png", "circle", seed=1)
    wrong = {**site.worker, "PREFECT_API_AUTH_STRING": "admin:wrong password"}
    done = nightshift("classify", str(tmp_path / "photos"), str(tmp_path / "out"), cwd=trained, check=False, **wrong)
    assert done.returncode == 1
    assert "PREFECT_API_AUTH_STRING" in done.stderr
    assert "Traceback" not in done.stderr
    assert "wrong password" not in done.stderr + done.stdout
