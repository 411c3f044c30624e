"""Promise: a server that dies, a move or a change in the night is named, and the same command completes the CSV."""

import os
import shutil
import signal
import socket
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipeline.registry.store import Store
from pipeline.storage.files import sha256_of_file
from tests.fixtures.commands import IMPATIENT, go_on, kill_at, parts, stop_at
from tests.fixtures.forked import nightshift
from tests.fixtures.prefect_server import prefect_server
from tests.fixtures.project import draw_shape
from tests.fixtures.serving import mlflow_server
from tests.fixtures.undisturbed import FILES, rows

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def images(undisturbed: tuple[Path, list[list[str]]], tmp_path: Path) -> Path:
    """A copy of them, for a test to change."""
    return Path(shutil.copytree(undisturbed[0], tmp_path / "images"))


def test_mlflow_that_is_down_at_the_plan(
    trained: Path, undisturbed: tuple[Path, list[list[str]]], tmp_path: Path
) -> None:
    words = ["classify", str(undisturbed[0]), str(tmp_path / "out"), "--no-prefect"]
    done = nightshift(*words, cwd=trained, check=False, MLFLOW_TRACKING_URI=NOWHERE)
    assert done.returncode == 1
    assert f"The MLflow store {NOWHERE} failed: " in done.stderr
    assert "check that it runs" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out/predictions.csv").exists()
    nightshift(*words, cwd=trained)
    assert rows(tmp_path / "out") == undisturbed[1]


@pytest.mark.slow
def test_an_mlflow_server_that_dies_after_the_plan_is_not_missed(
    trained: Path, undisturbed: tuple[Path, list[list[str]]], tmp_path: Path
) -> None:
    with mlflow_server(trained, "server", "--workers", "1", check="/health") as address:
        words = ["classify", str(undisturbed[0]), str(tmp_path / "out"), "--no-prefect"]
        process = stop_at("after plan.json", *words, cwd=trained, MLFLOW_TRACKING_URI=address)
    with pytest.raises(ConnectionError), socket.create_connection(("127.0.0.1", int(address.rsplit(":", 1)[1]))):
        pass
    assert parts(tmp_path / "out") == []
    status, said = go_on(process)
    assert status == 0, said
    assert rows(tmp_path / "out") == undisturbed[1]


def test_a_prefect_server_that_is_down_is_not_needed(
    trained: Path, undisturbed: tuple[Path, list[list[str]]], tmp_path: Path
) -> None:
    words = ["classify", str(undisturbed[0]), str(tmp_path / "out")]
    done = nightshift(*words, cwd=trained, check=False, PREFECT_API_URL=f"{NOWHERE}/api")
    assert done.returncode == 1
    assert f"The Prefect server {NOWHERE}/api does not answer" in done.stderr
    nightshift(*words, "--no-prefect", cwd=trained, PREFECT_API_URL=f"{NOWHERE}/api")
    assert rows(tmp_path / "out") == undisturbed[1]


@pytest.mark.slow
def test_a_prefect_server_that_dies_in_the_middle_is_named_and_the_run_is_finished_without_it(
    trained: Path, undisturbed: tuple[Path, list[list[str]]], prefect_database: Path, tmp_path: Path
) -> None:
    """And a flow that dies with it: the same command goes on without."""
    on, dead = tmp_path / "out", tmp_path / "dead"
    words, also = (["classify", str(undisturbed[0]), str(output)] for output in (on, dead))
    with prefect_server(tmp_path / "prefect", prefect_database) as (address, server):
        there = {"PREFECT_API_URL": address, "PREFECT_CLIENT_MAX_RETRIES": "0"}
        kill_at("after 00001.csv", *also, cwd=trained, **there)
        process = stop_at("after 00000.csv", *words, cwd=trained, before=IMPATIENT, **there)
        os.killpg(server.pid, signal.SIGKILL)
        status, said = go_on(process)
    assert status == 1
    assert f"\nError: The Prefect server {address} stopped answering in the middle: " in said
    assert f"The run itself finished without it and wrote {on / 'summary.json'}." in said
    assert rows(on) == undisturbed[1]
    assert len(parts(dead)) == 2
    again = nightshift(*also, "--no-prefect", cwd=trained, PREFECT_API_URL=address)
    assert "Resuming the run" in again.stderr
    assert rows(dead) == undisturbed[1]


def test_an_alias_that_moves_in_the_middle_changes_the_next_run_only(
    project: Path, undisturbed: tuple[Path, list[list[str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    client = MlflowClient(Store.of_project().address)
    first = client.get_model_version("nightshift", "1")
    second = client.create_model_version("nightshift", str(first.source), first.run_id)
    output, words = tmp_path / "out", ["classify", str(undisturbed[0]), str(tmp_path / "out"), "--no-prefect"]
    kill_at("after 00000.csv", *words, cwd=project)
    client.set_registered_model_alias("nightshift", "champion", second.version)
    nightshift(*words, cwd=project)
    assert rows(output) == undisturbed[1], "version 1 in every row"
    nightshift(*words, cwd=project)
    version = undisturbed[1][0].index("model_version")
    assert {row[version] for row in rows(output)[1:]} == {str(second.version)}


def test_files_that_come_change_and_go_while_it_runs(trained: Path, images: Path, tmp_path: Path) -> None:
    output, words = tmp_path / "out", ["classify", str(images), str(tmp_path / "out"), "--no-prefect"]
    process = stop_at("after plan.json", *words, cwd=trained)
    draw_shape(images / "0-new.png", "circle", seed=77)
    draw_shape(images / "8.png", "circle", seed=88)
    (images / "7.png").unlink()
    status, said = go_on(process)
    assert status == 0, said
    heading, *found = rows(output)
    assert [row[0] for row in found] == [*(f"{number}.png" for number in range(FILES - 1)), "x.jpg"]
    by_path = {row[0]: dict(zip(heading, row, strict=False)) for row in found}
    assert by_path["8.png"]["sha256"] == sha256_of_file(images / "8.png")
    assert by_path["7.png"]["status"] == "unreadable"
    assert by_path["7.png"]["error"] == "the file is gone; it was there when the files were listed"
    nightshift(*words, cwd=trained)
    now = ["0-new.png", *(f"{number}.png" for number in (0, 1, 2, 3, 4, 5, 6, 8)), "x.jpg"]
    assert [row[0] for row in rows(output)[1:]] == now


def test_two_runs_at_once_on_one_output(
    trained: Path, undisturbed: tuple[Path, list[list[str]]], tmp_path: Path
) -> None:
    output, words = tmp_path / "out", ["classify", str(undisturbed[0]), str(tmp_path / "out"), "--no-prefect"]
    first = stop_at("after plan.json", *words, cwd=trained)
    second = nightshift(*words, cwd=trained, check=False)
    assert second.returncode == 1
    assert f"{output} is in use by process {first.pid} on {socket.gethostname()}. Wait until" in second.stderr
    status, said = go_on(first)
    assert status == 0, said
    assert rows(output) == undisturbed[1]
