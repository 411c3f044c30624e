"""A row says what it means, any path survives the CSV, and lost or doubled rows are noticed."""

import csv
import os
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.images.measures import Light
from pipeline.night.rows import (
    COLUMNS,
    Classified,
    Outcome,
    Stamp,
    Unreadable,
    compare,
    csv_path,
    listed_path,
    read_rows,
    summarise,
    to_row,
    write_rows,
)

STAMP = Stamp("nightshift", "3", "2026-01-01T00:00:00+00:00")
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def listed_paths() -> st.SearchStrategy[str]:
    """Any bytes that a file system takes, as Python names them; often what begins a formula, or looks escaped."""
    start = st.sampled_from([b"", *(sign.encode() for sign in FORMULA), b"\\", b"\\x41", b"\xff", b"a\n", b'"', b"./"])
    text = st.text(st.characters(codec="utf-8")).map(str.encode)
    return st.tuples(start, st.binary() | text).map(lambda parts: os.fsdecode(b"".join(parts).replace(b"\0", b"")))


@given(path=listed_paths())
@example("./a.jpg")
@example("./=a.jpg")
def test_a_path_is_never_a_formula_and_comes_back(path: str) -> None:
    text = csv_path(path)
    assert not text.startswith(FORMULA)
    text.encode("utf-8")
    assert listed_path(text) == path


@given(first=listed_paths(), second=listed_paths())
def test_two_files_never_have_the_same_path_in_the_csv(first: str, second: str) -> None:
    assert (csv_path(first) == csv_path(second)) == (first == second)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a/b c.jpg", "a/b c.jpg"),
        ("grün.jpg", "grün.jpg"),
        ("a\\b.jpg", "a\\\\b.jpg"),
        ("\udcff.jpg", "\\xff.jpg"),
        ("\\xff.jpg", "\\\\xff.jpg"),
        ("=1+1.jpg", "./=1+1.jpg"),
        ("-a/=b.jpg", "./-a/=b.jpg"),
    ],
)
def test_a_path_stands_in_the_csv_as_the_readme_says(path: str, text: str) -> None:
    assert csv_path(path) == text


@given(paths=st.lists(listed_paths(), max_size=5))
@example(['a"b.jpg', "a,b.jpg", "a\nb.jpg", "a\r\nb.jpg", "a;b'.jpg", " a .jpg"])
def test_any_path_survives_the_csv(tmp_path_factory: pytest.TempPathFactory, paths: list[str]) -> None:
    file = tmp_path_factory.getbasetemp() / "any.csv"
    write_rows(file, [to_row(Unreadable(path, 'why, in "words"'), STAMP) for path in paths])
    assert [row["path"] for row in read_rows(file)] == [csv_path(path) for path in paths]
    with file.open(encoding="utf-8", newline="") as source:
        heading, *rows = csv.reader(source, strict=True)
    assert heading == list(COLUMNS)
    assert [row[COLUMNS.index("error")] for row in rows] == ['why, in "words"'] * len(paths)


def test_lines_end_as_rfc_4180_says(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.csv", [["a,b", 'c"d']], heading=False)
    assert (tmp_path / "a.csv").read_bytes() == b'"a,b","c""d"\r\n'


def classified(path: str, label: str = "cat", *, unsure: bool = False, sha256: str = "ab") -> Classified:
    return Classified(path, sha256, 40, 30, ((label, 0.75), ("other", 0.25)), unsure)


END = ["nightshift", "3", "2026-01-01T00:00:00+00:00"]
THREE = (("cat", 0.5), ("dog", 0.3000004), ("ant", 0.1999996))


@pytest.mark.parametrize(
    ("outcome", "row"),
    [
        (
            Classified("a.jpg", "ab", 40, 30, THREE, False, 0.12345, ("outlier", "dark"), Light(9.87654, 40, 1234.5)),
            [
                "a.jpg",
                "ok",
                "cat",
                "0.500000",
                "dog",
                "0.300000",
                "ant",
                "0.200000",
                "",
                "ab",
                "40",
                "30",
                *END,
                "0.1235",
                "outlier dark",
                "9.877",
                "40",
                "1234",
            ],
        ),
        (
            Classified("=a.jpg", "ab", 40, 30, (("cat", 0.5), ("dog", 0.5)), unsure=True),
            ["./=a.jpg", "unsure", "cat", "0.500000", "dog", "0.500000", "", "", "", "ab", "40", "30", *END, *[""] * 5],
        ),
        (
            Unreadable("a.jpg", "the file is empty", "e3"),
            ["a.jpg", "unreadable", "", "", "", "", "", "", "the file is empty", "e3", "", "", *END, *[""] * 5],
        ),
        (
            Unreadable("a.jpg", "gone"),
            ["a.jpg", "unreadable", "", "", "", "", "", "", "gone", "", "", "", *END, *[""] * 5],
        ),
    ],
    ids=["ok", "unsure, two classes", "unreadable", "not even bytes"],
)
def test_an_outcome_becomes_its_row(outcome: Outcome, row: list[str]) -> None:
    assert to_row(outcome, STAMP) == row
    assert len(row) == len(COLUMNS)


NIGHT: list[Outcome] = [
    classified("1.jpg"), classified("2.jpg", "dog", unsure=True), Unreadable("3.jpg", "empty"), classified("4.jpg"),
]  # fmt: skip


PATHS = [outcome.path for outcome in NIGHT]


def night(folder: Path, outcomes: list[Outcome]) -> Path:
    write_rows(folder / "predictions.csv", [to_row(outcome, STAMP) for outcome in outcomes])
    return folder / "predictions.csv"


def test_a_summary_counts_every_row_once(tmp_path: Path) -> None:
    assert summarise(night(tmp_path, NIGHT), PATHS) == {
        "listed": 4, "ok": 2, "unsure": 1, "unreadable": 1, "reconciled": True, "outliers": 0, "flagged": 0,
        "labels": {"cat": 2, "dog": 1},
    }  # fmt: skip


def test_outliers_and_rows_with_other_flags_are_counted(tmp_path: Path) -> None:
    flags = [("outlier",), ("outlier", "dark"), ("dark", "small"), (), ("blurred",)]
    outcomes: list[Outcome] = [
        replace(classified(f"{number}.jpg"), outlier_score=0.5, flags=words) for number, words in enumerate(flags)
    ]
    found = summarise(night(tmp_path, outcomes), [outcome.path for outcome in outcomes])
    assert (found["outliers"], found["flagged"]) == (2, 3)


def test_rows_of_an_earlier_version_are_read_with_nothing_in_later_columns(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.csv", [to_row(outcome, STAMP)[:15] for outcome in NIGHT])
    assert {row["flags"] for row in read_rows(tmp_path / "a.csv")} == {""}
    assert summarise(tmp_path / "a.csv", PATHS)["reconciled"]


def test_a_night_without_files_reconciles(tmp_path: Path) -> None:
    assert summarise(night(tmp_path, []), [])["reconciled"] is True


@pytest.mark.parametrize(
    "outcomes",
    [NIGHT[1:], [*NIGHT, NIGHT[0]], [], [NIGHT[0], NIGHT[0], NIGHT[2], NIGHT[3]], [*NIGHT[:2], NIGHT[3], NIGHT[2]]],
    ids=["missing", "doubled", "none", "one doubled and one missing", "two exchanged"],
)
def test_a_missing_or_doubled_row_is_noticed(tmp_path: Path, outcomes: list[Outcome]) -> None:
    assert summarise(night(tmp_path, outcomes), PATHS)["reconciled"] is False


def test_a_row_of_no_known_status_is_noticed(tmp_path: Path) -> None:
    rows = [to_row(outcome, STAMP) for outcome in NIGHT]
    rows[0][1] = "maybe"
    write_rows(tmp_path / "a.csv", rows)
    assert summarise(tmp_path / "a.csv", PATHS)["reconciled"] is False


def test_answers_are_compared_by_content_with_what_is_known(tmp_path: Path) -> None:
    outcomes: list[Outcome] = [
        classified("right.jpg", "cat", sha256="1"),
        classified("right-unsure.jpg", "cat", unsure=True, sha256="1"),
        classified("wrong.jpg", "dog", sha256="1"),
        classified("wrong-unsure.jpg", "cat", unsure=True, sha256="2"),
        classified("unknown.jpg", "cat", sha256="3"),
        Unreadable("unreadable.jpg", "damaged", "1"),
    ]
    truth = pd.DataFrame({"sha256": ["1", "2"], "label": ["cat", "dog"]})
    assert compare(night(tmp_path, outcomes), truth) == {
        "known": 4, "right": 2, "known_and_ok": 2, "right_and_ok": 1,
    }  # fmt: skip
