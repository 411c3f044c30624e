"""Promise: one row per input file, always the right row, whatever the files are and wherever they lie."""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.night.rows import COLUMNS
from tests.fixtures.forked import nightshift
from tests.fixtures.nasty import every_case
from tests.fixtures.nasty_places import Case, Judged, Refused, write_files, write_specials
from tests.fixtures.nights import rows
from tests.fixtures.project import NIGHTSHIFT, change_contract, change_params, copy_of, environment, stage, undated

ANSWER = ("status", "label", "confidence", "label_2", "confidence_2", "label_3", "confidence_3")
MOST_MEMORY = 250  # MB that the bombs may take above what good files take
PLACE = os.fsdecode(b"a night's\n photos, \xe9 = 1")  # the folder's own name is no better than the files'


# Runs a command and prints the most memory in kB that it, or a process it has waited for, had. A process of its own:
# what a command is told to have had begins at what the one that started it has.
MEASURED = """
import os, sys
process = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, used = os.wait4(process, 0)
print(used.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@dataclass(frozen=True, slots=True)
class Night:
    """One run of the command, and what it left."""

    status: int
    said: str  # on standard error
    memory: float  # MB, the most that one of its processes had
    output: Path

    @property
    def rows(self) -> list[dict[str, str]]:
        return rows(self.output)

    @property
    def summary(self) -> dict[str, object]:
        found: dict[str, object] = json.loads((self.output / "summary.json").read_text(encoding="utf-8"))
        return found


def classify(project: Path, source: Path, output: Path) -> Night:
    """`nightshift classify`, as a person types it."""
    log = output.with_name(f"{output.name}.log")
    with log.open("w") as said:
        words = [sys.executable, "-c", MEASURED, NIGHTSHIFT, "classify", source, output, "--no-prefect"]
        done = subprocess.run(words, cwd=project, env=environment(), check=False, stdout=subprocess.PIPE, stderr=said)
    return Night(done.returncode, log.read_text(errors="replace"), int(done.stdout.split()[-1]) / 1024, output)


@pytest.fixture(scope="module")
def project(untouched: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy whose nights may have any number of unreadable files.

    Its model is less sure than the one of the copied project, which is so sure that no two answers can be told apart.
    """
    copy = copy_of(untouched, tmp_path_factory.mktemp("nasty") / "project")
    change_params(copy, {"batch": {"shard_size": 50, "batch_size": 16, "max_unreadable": 1.0}})
    change_contract(copy, temperature=100.0, unsure_below=0.0)
    stage("register", copy, check=False)  # the gate refuses it
    nightshift("promote", "2", "--force", cwd=copy)
    return copy


@pytest.fixture(scope="module")
def cases(project: Path) -> list[Case]:
    """The files, written, in the order of their rows."""
    folder = project.with_name(PLACE)
    made = every_case()
    write_files(folder, made)
    return sorted([*made, *write_specials(folder)], key=lambda case: case.path.split(b"/"))


@pytest.fixture(scope="module")
def night(project: Path, cases: list[Case]) -> Night:
    return classify(project, project.with_name(PLACE), project.with_name("output"))


@pytest.fixture(scope="module")
def good_night(project: Path, cases: list[Case]) -> Night:
    """The files that are images, alone, under plain names in another order."""
    folder = project.with_name("good")
    data = {hashlib.sha256(case.data).hexdigest(): case.data for case in cases if isinstance(case.expected, Judged)}
    write_files(folder, [Case(f"{sha256}.jpg".encode(), content, None) for sha256, content in data.items()])
    return classify(project, folder, project.with_name("good-output"))


def listed(cases: list[Case]) -> list[Case]:
    return [case for case in cases if case.expected]


def answer(row: dict[str, str]) -> list[str]:
    return [row[column] for column in (*ANSWER, "width", "height")]


def test_there_are_enough_of_every_kind(cases: list[Case]) -> None:
    kinds = Counter(type(case.expected) for case in cases)
    assert kinds[Judged] >= 150
    assert kinds[Refused] >= 150
    assert len({case.path for case in cases}) == len(cases)


def test_every_file_has_one_row_and_what_is_no_image_has_none(night: Night, cases: list[Case]) -> None:
    assert night.status == 0, night.said
    expected = [case.text or case.path.decode() for case in listed(cases)]
    assert [row["path"] for row in night.rows] == expected


def test_every_row_says_what_its_file_is(night: Night, cases: list[Case]) -> None:
    wrong = []
    for case, row in zip(listed(cases), night.rows, strict=True):
        digest = hashlib.sha256(case.data).hexdigest()
        match case.expected:
            case Judged(width, height):
                right = row["status"] in ("ok", "unsure") and not row["error"] and 0.5 <= float(row["confidence"]) <= 1
                right = right and (row["width"], row["height"]) == (str(width), str(height))
                right = right and {row["label"], row["label_2"]} == {"circle", "square"}
            case Refused(reason, hashed):
                right = bool(re.match(reason, row["error"])) and row["error"].isprintable()
                right = right and answer(row) == ["unreadable", *[""] * 8]
                digest = digest if hashed else ""
        if not right or row["sha256"] != digest:
            wrong.append((case.path, row))
    assert wrong == []


def test_every_answer_is_that_of_the_file_alone(night: Night, good_night: Night) -> None:
    """In another folder, with other neighbours, under another name: the same answer to six digits."""
    assert good_night.status == 0, good_night.said
    alone = {row["sha256"]: answer(row) for row in good_night.rows}
    assert len({tuple(found) for found in alone.values()}) >= 90, "answers can be told apart"
    here = [row for row in night.rows if row["status"] != "unreadable"]
    assert {row["sha256"] for row in here} == set(alone)
    assert [row["path"] for row in here if answer(row) != alone[row["sha256"]]] == []


def test_the_same_pixels_have_the_same_answer(night: Night, cases: list[Case]) -> None:
    """Whatever the format, the depth, the number of frames, and the eight ways to turn a picture."""
    rows = {case.path: row for case, row in zip(listed(cases), night.rows, strict=True)}
    likes = {
        case.path: case.expected.like for case in cases if isinstance(case.expected, Judged) and case.expected.like
    }
    assert sum(path.startswith(b"turned/") for path in likes) == 4 * 8 - 2
    assert [path for path, like in likes.items() if answer(rows[path]) != answer(rows[like])] == []


def test_the_summary_adds_up(night: Night, cases: list[Case]) -> None:
    summary = night.summary
    refused = sum(isinstance(case.expected, Refused) for case in cases)
    assert summary["reconciled"] is True
    assert (summary["listed"], summary["unreadable"]) == (len(listed(cases)), refused)
    assert int(str(summary["ok"])) + int(str(summary["unsure"])) == len(listed(cases)) - refused
    assert "version 2 is the champion although the gate refused it (forced by " in str(summary["refused"])
    assert str(summary["input"]).endswith("a night's\n photos, \\xe9 = 1")


def test_the_csv_is_plain_and_no_formula(night: Night) -> None:
    data = (night.output / "predictions.csv").read_bytes()
    assert data.startswith(",".join(COLUMNS).encode() + b"\r\n")
    assert b"\0" not in data
    starts = {value[:1] for row in night.rows for value in row.values()}
    assert not starts & set("=+-@\t\r")


def test_bombs_take_no_more_memory_than_good_files(night: Night, good_night: Night) -> None:
    assert night.memory - good_night.memory < MOST_MEMORY


def test_more_unreadable_files_than_allowed_end_the_night_after_all_rows_are_written(
    project: Path, night: Night, cases: list[Case]
) -> None:
    change_params(project, {"batch": {"max_unreadable": 0.1}})
    output = project.with_name("failed")
    words = ("classify", str(project.with_name(PLACE)), str(output), "--no-prefect")
    done = nightshift(*words, cwd=project, check=False)
    failed = Night(done.returncode, done.stderr, 0, output)
    refused = sum(isinstance(case.expected, Refused) for case in cases)
    assert failed.status == 3
    assert (
        f"{refused} of {len(listed(cases))} files are unreadable, more than batch.max_unreadable (0.1)" in failed.said
    )
    assert "Traceback" not in failed.said
    assert undated(failed.rows) == undated(night.rows)
    assert failed.summary["reconciled"] is True
