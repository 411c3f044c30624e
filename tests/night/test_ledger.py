"""The books of a run: every file is in one shard, every shard has one part, and one process holds them."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from upath import UPath

from pipeline.night import shard_lists
from pipeline.night.ledger import WORK, LedgerError, Run, books_of
from pipeline.night.rows import COLUMNS
from pipeline.storage.folders import folder_at
from pipeline.storage.listing import Listed
from tests.fixtures.ledgers import plan_of, row

NAMES = ["a.jpg", "\udcff\udcfe.jpg", "a\nb.jpg", "grün/ä.jpg", '"\\.jpg', "=1.jpg"]


def listing(paths: list[str]) -> Iterator[Listed]:
    return (Listed(path, 1, 1, 1) for path in paths)


def begin(output: Path, paths: list[str], size: int) -> Run:
    """A run over these paths in shards of so many, begun."""
    return Run.begin(folder_at(output), listing(paths), size, plan_of)


@given(count=st.integers(0, 40), size=st.integers(1, 45))
def test_every_path_is_in_one_shard_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, count: int, size: int
) -> None:
    output = tmp_path_factory.getbasetemp() / "night"
    paths = [f"{number}/{NAMES[number % len(NAMES)]}" for number in range(count)]
    run = begin(output, paths, size)
    assert (run.plan.files, run.plan.shards) == (count, -(-count // size))
    read = [run.shard(number) for number in range(run.plan.shards)]
    assert [path for shard in read for path in shard] == paths
    assert [len(shard) for shard in read[:-1]] == [size] * max(0, run.plan.shards - 1)


def test_a_listing_is_taken_shard_by_shard(tmp_path: Path) -> None:
    taken = []

    def endless() -> Iterator[Listed]:
        for number in range(10**9):
            taken.append(number)
            if number == 25:
                raise InterruptedError
            yield Listed(f"{number}.jpg", 1, 1, 1)

    with pytest.raises(InterruptedError):
        Run.begin(folder_at(tmp_path), endless(), 10, plan_of)
    assert taken == list(range(26))
    assert os.listdir(tmp_path / WORK) == [], "half a listing is none"


def test_new_shards_replace_those_of_a_plan_that_was_never_finished(tmp_path: Path) -> None:
    shard_lists.write(books_of(folder_at(tmp_path)), listing(["a", "b", "c"]), 1)
    run = begin(tmp_path, ["d"], 1)
    assert (run.plan.files, run.plan.shards) == (1, 1)
    assert run.shard(0) == ["d"]
    words = r"00001.json, the unfinished run's list of files, is missing or damaged. Delete .*\.nightshift and run"
    with pytest.raises(LedgerError, match=words):
        run.shard(1)


def test_a_plan_comes_back_and_stamps_its_rows(tmp_path: Path) -> None:
    assert Run.unfinished_in(folder_at(tmp_path)) is None
    run = begin(tmp_path, ["a", "b", "c", "d", "e"], 3)
    assert run.plan == plan_of(5, 2)
    assert Run.unfinished_in(folder_at(tmp_path)) == run
    stamp = plan_of(5, 2).stamp
    assert (stamp.model_name, stamp.model_version, stamp.classified_at) == (
        "nightshift", "3", "2026-01-01T00:00:00+00:00",
    )  # fmt: skip


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1], [1, 2, 0]])
def test_what_is_left_shrinks_part_by_part_and_the_merge_is_in_order(tmp_path: Path, order: list[int]) -> None:
    run = begin(tmp_path, ["0a", "0b", "1a", "1b", "2a", "2b"], 2)
    left = [0, 1, 2]
    for number in order:
        assert run.unfinished() == left
        with pytest.raises(LedgerError, match=f"{len(left)} of 3 shards .* are not done. Run the same command again"):
            run.merge()
        assert not (tmp_path / "predictions.csv").exists()
        run.write_part(number, [row(f"{number}a"), row(f"{number}b")])
        left.remove(number)
    assert run.unfinished() == []
    lines = run.merge().read_bytes().decode().split("\r\n")
    assert lines[0] == ",".join(COLUMNS)
    assert [line.split(",")[0] for line in lines[1:]] == ["0a", "0b", "1a", "1b", "2a", "2b", ""]


SPOILT = {
    "empty": lambda whole: b"",
    "cut in a row": lambda whole: whole[: len(whole) // 2],
    "cut after a row": lambda whole: whole[: whole.index(b"\r\n") + 2],
    "cut before the last line's end": lambda whole: whole[:-2],
    "cut in the last line's end": lambda whole: whole[:-1],
    "zeros": lambda whole: bytes(len(whole)),
    "zeros at its end": lambda whole: whole[:-20] + bytes(20),
    "a row too many": lambda whole: whole + whole[: whole.index(b"\r\n") + 2],
    "other files": lambda whole: whole.replace(b"1b", b"9b"),
    "another model's": lambda whole: whole.replace(b",3,", b",4,"),
    "another night's": lambda whole: whole.replace(b"2026-01-01", b"2025-12-31"),
    "no text": lambda whole: b"\xff" + whole[1:],
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_a_part_that_is_not_whole_or_another_runs_is_to_be_done_again(
    tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    run, part = begin(tmp_path, ["0a", "0b", "1\na", "1b"], 2), tmp_path / WORK / "parts/00001.csv"
    for number, paths in enumerate((["0a", "0b"], ["1\na", "1b"])):
        run.write_part(number, map(row, paths))
    assert run.unfinished() == []
    part.write_bytes(spoil(part.read_bytes()))
    assert run.unfinished() == [1]
    with pytest.raises(LedgerError, match="1 of 2 shards .* are not done"):
        run.merge()
    assert not (tmp_path / "predictions.csv").exists()


def test_a_night_that_an_earlier_version_began_goes_on_and_its_shorter_rows_are_written_again(tmp_path: Path) -> None:
    begun = begin(tmp_path, ["0a", "0b", "1a", "1b"], 2)
    plan = tmp_path / WORK / "plan.json"
    plan.write_text(json.dumps({key: value for key, value in json.loads(plan.read_text()).items() if key != "columns"}))
    begun.write_part(0, (row(path)[:-1] for path in ("0a", "0b")))
    run = Run.unfinished_in(folder_at(tmp_path))
    assert run is not None
    assert run.plan.started_at == begun.plan.started_at
    assert run.unfinished() == [0, 1]
    for number in (0, 1):
        run.write_part(number, [row(f"{number}a"), row(f"{number}b")])
    assert {line.count(",") for line in run.merge().read_text().splitlines()} == {len(COLUMNS) - 1}


@pytest.mark.parametrize(("columns", "left"), [(len(COLUMNS), []), (None, [0]), (len(COLUMNS) - 1, [0])])
def test_in_a_store_parts_are_trusted_only_if_this_version_planned_them(columns: int | None, left: list[int]) -> None:
    output = folder_at(UPath("memory://ledger/night"))
    run = Run.begin(output, listing(["0a", "1a"]), 1, lambda files, shards: plan_of(files, shards, columns))
    run.write_part(0, [row("0a")[:-1]])  # as an earlier version
    run.write_part(1, [row("1a")])
    assert run.unfinished() == left
    run.close()


@pytest.mark.parametrize("text", ["", "\0" * 300, '{"input": "/pho', "{}", "[1]"])
def test_a_plan_that_a_power_cut_spoilt_is_none(tmp_path: Path, text: str) -> None:
    begin(tmp_path, ["a"], 1)
    (tmp_path / WORK / "plan.json").write_text(text)
    assert Run.unfinished_in(folder_at(tmp_path)) is None


def test_what_a_killed_run_was_writing_is_swept_away_and_nothing_else(tmp_path: Path) -> None:
    run = begin(tmp_path, ["a"], 1)
    run.write_part(0, [row("a")])
    (tmp_path / "predictions.csv").write_text("whole")
    kept = sorted(tmp_path.rglob("*"))
    for place in (tmp_path, tmp_path / WORK, tmp_path / WORK / "parts"):
        (place / ".half.csv.abc.tmp").mkdir()
        (place / ".half.csv.abc.tmp" / "half.csv").write_text("hal")
    folder_at(tmp_path).sweep()
    assert sorted(tmp_path.rglob("*")) == kept


def test_a_part_that_breaks_off_is_no_part(tmp_path: Path) -> None:
    def rows() -> Iterator[list[str]]:
        yield row("first")
        raise InterruptedError

    run = begin(tmp_path, ["first", "second"], 2)
    with pytest.raises(InterruptedError):
        run.write_part(0, rows())
    assert run.unfinished() == [0]


def test_closing_removes_the_books_and_leaves_the_result(tmp_path: Path) -> None:
    run = begin(tmp_path, ["a"], 1)
    run.write_part(0, [row("a")])
    run.merge()
    run.close()
    assert os.listdir(tmp_path) == ["predictions.csv"]
    assert Run.unfinished_in(folder_at(tmp_path)) is None
    run.close()  # and again: nothing is there, nothing happens
    assert os.listdir(tmp_path) == ["predictions.csv"]
