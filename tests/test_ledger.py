"""The books of a run: every file is in one shard, every shard has one part, and one process holds them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import ledger
from pipeline.ledger import LedgerError, Plan
from pipeline.listing import Listed
from pipeline.predictions import COLUMNS
from tests.conftest import REPOSITORY

NAMES = ["a.jpg", "\udcff\udcfe.jpg", "a\nb.jpg", "grün/ä.jpg", '"\\.jpg', "=1.jpg"]


def listing(paths: list[str]) -> Iterator[Listed]:
    return (Listed(path, 1, 1, 1) for path in paths)


def plan_of(files: int, shards: int) -> Plan:
    return Plan(
        input="/photos", model_name="nightshift", model_version="3", contract_hash="ab",
        started_at="2026-01-01T00:00:00+00:00", files=files, shards=shards,
    )  # fmt: skip


def row(text: str) -> list[str]:
    return [text, *[""] * (len(COLUMNS) - 1)]


@given(count=st.integers(0, 40), size=st.integers(1, 45))
def test_every_path_is_in_one_shard_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, count: int, size: int
) -> None:
    output = tmp_path_factory.getbasetemp() / "night"
    paths = [f"{number}/{NAMES[number % len(NAMES)]}" for number in range(count)]
    files, shards = ledger.write_shards(output, listing(paths), size)
    assert (files, shards) == (count, -(-count // size))
    read = [ledger.read_shard(output, number) for number in range(shards)]
    assert [path for shard in read for path in shard] == paths
    assert [len(shard) for shard in read[:-1]] == [size] * max(0, shards - 1)


def test_a_listing_is_taken_shard_by_shard(tmp_path: Path) -> None:
    taken = []

    def endless() -> Iterator[Listed]:
        for number in range(10**9):
            taken.append(number)
            if number == 25:
                raise InterruptedError
            yield Listed(f"{number}.jpg", 1, 1, 1)

    with pytest.raises(InterruptedError):
        ledger.write_shards(tmp_path, endless(), 10)
    assert taken == list(range(26))
    assert os.listdir(ledger.work_folder(tmp_path)) == [], "half a listing is none"


def test_new_shards_replace_those_of_a_plan_that_was_never_finished(tmp_path: Path) -> None:
    ledger.write_shards(tmp_path, listing(["a", "b", "c"]), 1)
    assert ledger.write_shards(tmp_path, listing(["d"]), 1) == (1, 1)
    assert ledger.read_shard(tmp_path, 0) == ["d"]
    with pytest.raises(FileNotFoundError):
        ledger.read_shard(tmp_path, 1)


def test_a_plan_comes_back_and_stamps_its_rows(tmp_path: Path) -> None:
    assert ledger.read_plan(tmp_path) is None
    ledger.write_plan(tmp_path, plan_of(5, 2))
    assert ledger.read_plan(tmp_path) == plan_of(5, 2)
    stamp = plan_of(5, 2).stamp
    assert (stamp.model_name, stamp.model_version, stamp.classified_at) == (
        "nightshift", "3", "2026-01-01T00:00:00+00:00",
    )  # fmt: skip


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1], [1, 2, 0]])
def test_what_is_left_shrinks_part_by_part_and_the_merge_is_in_order(tmp_path: Path, order: list[int]) -> None:
    plan = plan_of(6, 3)
    left = [0, 1, 2]
    for number in order:
        assert ledger.unfinished(tmp_path, plan) == left
        with pytest.raises(LedgerError, match=f"{len(left)} of 3 shards .* are not done. Run the same command again"):
            ledger.merge(tmp_path, plan)
        assert not (tmp_path / "predictions.csv").exists()
        ledger.write_part(tmp_path, number, [row(f"{number}a"), row(f"{number}b")])
        left.remove(number)
    assert ledger.unfinished(tmp_path, plan) == []
    lines = ledger.merge(tmp_path, plan).read_bytes().decode().split("\r\n")
    assert lines[0] == ",".join(COLUMNS)
    assert [line.split(",")[0] for line in lines[1:]] == ["0a", "0b", "1a", "1b", "2a", "2b", ""]


def test_a_part_that_breaks_off_is_no_part(tmp_path: Path) -> None:
    def rows() -> Iterator[list[str]]:
        yield row("first")
        raise InterruptedError

    with pytest.raises(InterruptedError):
        ledger.write_part(tmp_path, 0, rows())
    assert ledger.unfinished(tmp_path, plan_of(2, 1)) == [0]


HOLDER = """
import sys, time
from pathlib import Path
from pipeline.ledger import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the output."""
    words = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(words, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_run_on_the_same_output_is_refused_and_told_who_holds_it(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    with pytest.raises(LedgerError, match=f"is in use by process {holder.pid} on .*Wait until it has ended"):  # noqa: SIM117
        with ledger.held(tmp_path):
            pass
    assert holder.poll() is None
    with pytest.raises(LedgerError, match=f"process {holder.pid} on"), ledger.held(tmp_path):
        pass  # a refused run does not free the output


def test_an_output_is_free_when_its_holder_was_killed(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait(10)
    with ledger.held(tmp_path):
        assert f"process {os.getpid()} " in (tmp_path / ".nightshift.holder").read_text()
    assert not (tmp_path / ".nightshift.holder").exists()


def test_an_output_is_free_after_a_failure_inside(tmp_path: Path) -> None:
    with pytest.raises(InterruptedError), ledger.held(tmp_path / "new"):
        raise InterruptedError
    with ledger.held(tmp_path / "new"):
        assert (tmp_path / "new" / ".nightshift.holder").exists()


def test_closing_removes_the_books_and_leaves_the_result(tmp_path: Path) -> None:
    ledger.write_shards(tmp_path, listing(["a"]), 1)
    ledger.write_plan(tmp_path, plan_of(1, 1))
    ledger.write_part(tmp_path, 0, [row("a")])
    ledger.merge(tmp_path, plan_of(1, 1))
    ledger.close(tmp_path)
    assert os.listdir(tmp_path) == ["predictions.csv"]
    assert ledger.read_plan(tmp_path) is None
    ledger.close(tmp_path)  # and again: nothing is there, nothing happens
    assert os.listdir(tmp_path) == ["predictions.csv"]
