"""Promise: whatever a disk does in the night is named with what to do, and the same command again completes the CSV."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.commands import AT_ONCE, go_on, kill_at, parts, stop_at
from tests.fixtures.disk import Disk, disk
from tests.fixtures.forked import Forked, nightshift, run
from tests.fixtures.project import NIGHTSHIFT
from tests.fixtures.undisturbed import AGAIN, SHARDS, assert_nothing_half, has_plan, rows

ROOM = 64 << 20  # bytes of disk, enough for all
WHOLE = [
    ".nightshift.lock", "model_card.html", "morning.html", "predictions.csv", "review.csv", "review.html",
    "summary.json",
]  # fmt: skip


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Disk]:
    with disk(tmp_path / "disk", ROOM) as mounted:
        yield mounted


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
