"""Promise: whatever breaks in the night is named with what to do, and the same command again completes the same CSV."""

import csv
import os
import re
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipeline.night.rows import COLUMNS
from pipeline.registry.store import Store
from pipeline.storage.files import sha256_of_file
from tests.fixtures.commands import AT_ONCE, IMPATIENT, go_on, kill_at, parts, stop_at
from tests.fixtures.disk import Disk, disk
from tests.fixtures.forked import Forked, nightshift, run
from tests.fixtures.prefect_server import prefect_server
from tests.fixtures.project import NIGHTSHIFT, draw_shape
from tests.fixtures.serving import mlflow_server

FILES, SHARDS = 10, 4  # three files a shard, as the small project says
ROOM = 64 << 20  # bytes of disk, enough for all
WHOLE = [
    ".nightshift.lock", "model_card.html", "morning.html", "predictions.csv", "review.csv", "review.html",
    "summary.json",
]  # fmt: skip
AGAIN = "run the same command again; what is done is kept."
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def undisturbed(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[list[str]]]:
    """The images, and the rows of a run that nothing disturbs."""
    folder = tmp_path_factory.mktemp("undisturbed")
    for number in range(FILES - 1):
        draw_shape(folder / "night" / f"{number}.png", ("circle", "square")[number % 2], seed=number)
    (folder / "night" / "x.jpg").write_bytes(b"not a picture")
    nightshift("classify", str(folder / "night"), str(folder / "out"), "--no-prefect", cwd=trained)
    return folder / "night", rows(folder / "out")


@pytest.fixture
def images(undisturbed: tuple[Path, list[list[str]]], tmp_path: Path) -> Path:
    """A copy of them, for a test to change."""
    return Path(shutil.copytree(undisturbed[0], tmp_path / "images"))


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Disk]:
    with disk(tmp_path / "disk", ROOM) as mounted:
        yield mounted


def rows(output: Path) -> list[list[str]]:
    """All but when the run was planned, which is the same in every row."""
    with (output / "predictions.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.reader(file))
    when = COLUMNS.index("classified_at")
    assert len({row[when] for row in found[1:]}) == 1
    return [row[:when] + row[when + 1 :] for row in found]


def assert_nothing_half(output: Path) -> None:
    assert not (output / "predictions.csv").exists()
    assert not list(output.rglob(".*.tmp"))
    for part in output.glob(".nightshift/parts/*.csv"):
        assert part.read_bytes().count(b"\r\n") == (1 if part.name == f"{SHARDS - 1:05d}.csv" else 3)


def has_plan(output: Path) -> bool:
    return (output / ".nightshift/plan.json").exists()


class OnDisk:
    """A night whose output is on a small disk."""

    def __init__(self, small: Disk, project: Path, source: Path) -> None:
        self.disk, self.project = small, project
        self.words = ["classify", str(source), str(small.place / "out")]
        self.output = small.seen / "out"

    def run(self, *more: str, before: str = "", **env: str) -> tuple[int, str]:
        """Its exit status, and what it said."""
        words = [str(NIGHTSHIFT), *self.words, *(more or ["--no-prefect"])]
        done = run(*words, cwd=self.project, check=False, before=f"{self.disk.enter_it}\n{before}", **env)
        return done.returncode, done.stdout + done.stderr

    def plan(self) -> None:
        """Leave an unfinished run behind."""
        kill_at("after plan.json", *self.words, "--no-prefect", cwd=self.project, before=self.disk.enter_it)
        assert has_plan(self.output)
        assert parts(self.output) == []

    def stop_at(self, moment: str) -> Forked:
        """A run that stands still since the moment."""
        return stop_at(moment, *self.words, "--no-prefect", cwd=self.project, before=self.disk.enter_it)


@pytest.fixture
def night(small: Disk, trained: Path, undisturbed: tuple[Path, list[list[str]]]) -> OnDisk:
    return OnDisk(small, trained, undisturbed[0])


@pytest.mark.parametrize(
    ("where", "leave"), [("before anything", 0), ("at the list of files", 1), ("at the copy of the model", 12)]
)
def test_a_disk_that_is_full_at_the_plan(
    night: OnDisk, undisturbed: tuple[Path, list[list[str]]], where: str, leave: int
) -> None:
    night.disk.fill(leave)
    status, said = night.run()
    assert status == 1
    assert f"Error: The disk at {night.disk.place} is full: {night.disk.place / 'out'}" in said
    assert f"Free some space and {AGAIN}" in said
    assert "Traceback" not in said
    assert_nothing_half(night.output)
    assert not has_plan(night.output)
    night.disk.free()
    assert night.run()[0] == 0
    assert rows(night.output) == undisturbed[1]


@pytest.mark.parametrize(("where", "leave", "done"), [("parts", 1, 1), ("merge", SHARDS, SHARDS)])
def test_a_disk_that_is_full_in_the_middle(
    night: OnDisk, undisturbed: tuple[Path, list[list[str]]], where: str, leave: int, done: int
) -> None:
    night.plan()
    night.disk.fill(leave)
    status, said = night.run()
    assert status == 1
    file = night.disk.place / ("out/predictions.csv" if where == "merge" else f"out/.nightshift/parts/{done:05d}.csv")
    assert f"Error: The disk at {night.disk.place} is full: {file} could not be written. Free some space" in said
    assert "Traceback" not in said
    assert_nothing_half(night.output)
    assert len(parts(night.output)) == done
    night.disk.free()
    assert night.run()[0] == 0
    assert rows(night.output) == undisturbed[1]


def test_a_disk_that_is_full_fails_the_flow_in_the_same_words(
    night: OnDisk, undisturbed: tuple[Path, list[list[str]]], prefect_api: str
) -> None:
    night.plan()
    night.disk.fill(1)
    status, said = night.run("--prefect", before=AT_ONCE, PREFECT_API_URL=prefect_api)
    assert status == 1
    assert f"\nError: The disk at {night.disk.place} is full: " in said
    assert f"Free some space and {AGAIN}\n" in said
    [log] = re.findall(r"^Log: (.*)$", said, re.MULTILINE)
    state = "the flow run's state on Prefect's page"
    assert "DiskError: The disk at" in (night.project / log).read_text(), state
    assert_nothing_half(night.output)
    night.disk.free()
    assert night.run()[0] == 0
    assert rows(night.output) == undisturbed[1]


@pytest.mark.parametrize("when", ["before", "between", "in the middle"])
def test_a_disk_that_is_read_only(night: OnDisk, undisturbed: tuple[Path, list[list[str]]], when: str) -> None:
    if when == "in the middle":
        process = night.stop_at("after 00000.csv")
        night.disk.freeze("out/.nightshift/parts")
        status, said = go_on(process)
        night.disk.thaw("out/.nightshift/parts")
    else:
        if when == "between":
            night.plan()
        night.disk.remount("ro")
        status, said = night.run()
        night.disk.remount("rw")
    assert status == 1, said
    assert f"Error: The disk at {night.disk.place} is read-only: {night.disk.place / 'out'}" in said
    assert f"Mount it for writing, or name a folder on another disk, and {AGAIN}" in said
    assert "Traceback" not in said
    assert not (night.output / "predictions.csv").exists()
    assert night.run()[0] == 0
    assert rows(night.output) == undisturbed[1]
    assert sorted(os.listdir(night.output)) == WHOLE


@pytest.mark.parametrize(("limit", "done"), [(400, 0), (1000, SHARDS)], ids=["part", "merge"])
def test_a_limit_of_file_sizes(
    trained: Path, undisturbed: tuple[Path, list[list[str]]], tmp_path: Path, limit: int, done: int
) -> None:
    output, words = tmp_path / "out", ["classify", str(undisturbed[0]), str(tmp_path / "out"), "--no-prefect"]
    kill_at("after plan.json", *words, cwd=trained)
    limits = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
    said = run(str(NIGHTSHIFT), *words, cwd=trained, check=False, before=limits)
    assert said.returncode == 1
    assert re.search(r"Error: .*csv reached the file size that .* \(`ulimit -f`\) allows. Raise the", said.stderr)
    assert AGAIN in said.stderr
    assert_nothing_half(output)
    assert len(parts(output)) == done
    nightshift(*words, cwd=trained)
    assert rows(output) == undisturbed[1]


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
    trained: Path, undisturbed: tuple[Path, list[list[str]]], tmp_path: Path
) -> None:
    """And a flow that dies with it: the same command goes on without."""
    on, dead = tmp_path / "out", tmp_path / "dead"
    words, also = (["classify", str(undisturbed[0]), str(output)] for output in (on, dead))
    with prefect_server(tmp_path / "prefect") as (address, server):
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
    assert by_path["7.png"]["error"] == "the file cannot be read: No such file or directory"
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


def spoil(file: Path, data: bytes) -> None:
    assert file.is_file()
    file.write_bytes(data)


SPOILT = {
    "plan": lambda books: spoil(books / "plan.json", b""),
    "part": lambda books: spoil(next((books / "parts").glob("*.csv")), b""),
    "model": lambda books: spoil(next((books / "model").rglob("model.bin")), b"\0" * 1000),
    "contract": lambda books: spoil(next((books / "model").rglob("contract.json")), b""),
    "no model": lambda books: shutil.rmtree(books / "model"),
}


@pytest.mark.parametrize("what", SPOILT)
def test_what_a_disk_lost_in_a_power_cut_is_made_again(
    trained: Path, undisturbed: tuple[Path, list[list[str]]], tmp_path: Path, what: str
) -> None:
    output, words = tmp_path / "out", ["classify", str(undisturbed[0]), str(tmp_path / "out"), "--no-prefect"]
    kill_at("after 00000.csv", *words, cwd=trained)
    SPOILT[what](output / ".nightshift")
    done = nightshift(*words, cwd=trained)
    assert rows(output) == undisturbed[1]
    assert "again" in done.stderr or "anew" in done.stderr
    assert sorted(os.listdir(output)) == WHOLE


def test_a_list_of_files_that_is_lost_is_named(
    trained: Path, undisturbed: tuple[Path, list[list[str]]], tmp_path: Path
) -> None:
    output, words = tmp_path / "out", ["classify", str(undisturbed[0]), str(tmp_path / "out"), "--no-prefect"]
    kill_at("after plan.json", *words, cwd=trained)
    spoil(output / ".nightshift/shards/00002.json", b"")
    done = nightshift(*words, cwd=trained, check=False)
    assert done.returncode == 1
    assert "00002.json, the unfinished run's list of files, is missing or damaged" in done.stderr
    assert f"Delete {output / '.nightshift'} and run the same command again" in done.stderr
    shutil.rmtree(output / ".nightshift")
    nightshift(*words, cwd=trained)
    assert rows(output) == undisturbed[1]
