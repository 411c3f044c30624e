"""A row says what it means, and any path survives the CSV."""

import csv
import datetime
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.core.cells import csv_path, listed_path
from pipeline.images.measures import Light
from pipeline.images.taken import Taken
from pipeline.night.rows import (
    COLUMNS,
    Classified,
    FileOutcome,
    Repeated,
    RowsError,
    Unreadable,
    answer_of,
    columns_of,
    labels_in,
    read_rows,
    rows_if_any,
    to_row,
    write_rows,
)
from tests.fixtures.rows import STAMP, classified

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


END = ["nightshift", "3", "2026-01-01T00:00:00+00:00"]
TAKEN = Taken(datetime.datetime.fromisoformat("2024-05-01T12:30:15+02:00"), "X 1", 51.752, -1.258)
THREE = (("cat", 0.5), ("dog", 0.3000004), ("ant", 0.1999996))


@pytest.mark.parametrize(
    ("outcome", "row"),
    [
        (
            Classified(
                "a.jpg",
                "ab",
                40,
                30,
                THREE,
                False,
                0.12345,
                ("outlier", "dark"),
                Light(9.87654, 40, 1234.5),
                ("cat", "big dog"),
                TAKEN,
            ),
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
                '["cat", "big dog"]',
                "2024-05-01T12:30:15+02:00",
                "X 1",
            ],
        ),
        (
            Classified("=a.jpg", "ab", 40, 30, (("cat", 0.5), ("dog", 0.5)), unsure=True),
            ["./=a.jpg", "unsure", "cat", "0.500000", "dog", "0.500000", "", "", "", "ab", "40", "30", *END, *[""] * 8],
        ),
        (
            Unreadable("a.jpg", "the file is empty", "e3"),
            ["a.jpg", "unreadable", "", "", "", "", "", "", "the file is empty", "e3", "", "", *END, *[""] * 8],
        ),
        (
            Unreadable("a.jpg", "gone"),
            ["a.jpg", "unreadable", "", "", "", "", "", "", "gone", "", "", "", *END, *[""] * 8],
        ),
    ],
    ids=["ok", "unsure, two classes", "unreadable", "not even bytes"],
)
def test_an_outcome_becomes_its_row(outcome: FileOutcome, row: list[str]) -> None:
    assert to_row(outcome, STAMP) == row
    assert len(row) == len(COLUMNS)


def test_rows_of_an_earlier_version_are_read_with_nothing_in_later_columns(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.csv", [to_row(outcome, STAMP)[:15] for outcome in (classified("a"), Unreadable("b", "c"))])
    assert [row["flags"] for row in read_rows(tmp_path / "a.csv")] == ["", ""]


@given(labels=st.lists(st.text(st.characters(codec="utf-8"), min_size=1), max_size=4))
@example(labels=["n/a", "dog, big", 'the "cat"', "a; b | c", "a\r\nb", "=1+1", "[", "\\x41", " "])
@example(labels=["=1+1"])
def test_any_labels_come_back_from_the_candidates_and_are_never_a_formula(
    tmp_path_factory: pytest.TempPathFactory, labels: list[str]
) -> None:
    file = tmp_path_factory.getbasetemp() / "labels.csv"
    outcome = Classified("a", "ab", 40, 30, (("cat", 0.9),), unsure=False, candidates=tuple(labels))
    write_rows(file, [to_row(outcome, STAMP)])
    (row,) = read_rows(file)
    assert labels_in(row["candidates"]) == labels
    assert not row["candidates"].startswith(FORMULA)


def test_a_repeated_answer_keeps_its_candidates_and_one_of_an_earlier_version_has_none() -> None:
    outcome = Classified("a", "ab", 40, 30, (("cat", 0.9),), unsure=False, candidates=("cat", "dog"))
    answer = answer_of(dict(zip(COLUMNS, to_row(outcome, STAMP), strict=True)))
    at = COLUMNS.index("candidates")
    assert to_row(Repeated("b", "ab", answer), STAMP)[at] == '["cat", "dog"]'
    del answer["candidates"]
    repeated = to_row(Repeated("b", "ab", answer), STAMP)
    assert (len(repeated), repeated[at]) == (len(COLUMNS), "")


def test_a_place_is_in_a_row_only_where_it_is_kept_and_is_repeated_there() -> None:
    outcome = Classified("a", "ab", 40, 30, (("cat", 0.9),), unsure=False, taken=TAKEN)
    kept = columns_of(location=True)
    row = to_row(outcome, STAMP, kept)

    assert row[-2:] == ["51.752000", "-1.258000"]
    assert to_row(outcome, STAMP) == row[:-2]
    answer = answer_of(dict(zip(kept, row, strict=True)))
    assert to_row(Repeated("a", "ab", answer), STAMP, kept) == row
    assert to_row(Repeated("a", "ab", answer), STAMP) == row[:-2]
    assert to_row(Unreadable("a", "gone"), STAMP, kept)[-4:] == ["", "", "", ""]


def test_a_cameras_name_is_never_a_formula_and_comes_back(tmp_path: Path) -> None:
    outcome = Classified("a", "ab", 4, 3, (("cat", 0.9),), unsure=False, taken=Taken(camera="=1+1"))
    write_rows(tmp_path / "a.csv", [to_row(outcome, STAMP)])

    assert (tmp_path / "a.csv").read_text().rstrip().endswith(",'=1+1")
    assert [row["camera"] for row in read_rows(tmp_path / "a.csv")] == ["=1+1"]


def test_a_label_is_never_a_formula_and_comes_back(tmp_path: Path) -> None:
    outcomes: list[FileOutcome] = [
        Classified("1.jpg", "ab", 4, 3, (("=1+1", 0.5), ("+pos", 0.3), ("@home", 0.2)), unsure=False),
        Classified("2.jpg", "cd", 4, 3, (("'=x", 0.5), ("'s", 0.3), ("-", 0.2)), unsure=False),
        Unreadable("3.jpg", "=HYPERLINK(1)"),
    ]
    write_rows(tmp_path / "t.csv", [to_row(outcome, STAMP) for outcome in outcomes])
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        assert not [cell for row in csv.reader(file) for cell in row if cell.startswith(FORMULA)]
    read = [*read_rows(tmp_path / "t.csv")]
    assert [[row["label"], row["label_2"], row["label_3"]] for row in read] == [
        ["=1+1", "+pos", "@home"], ["'=x", "'s", "-"], ["", "", ""],
    ]  # fmt: skip
    assert read[2]["error"] == "=HYPERLINK(1)"
    write_rows(tmp_path / "again.csv", [[row[column] for column in COLUMNS] for row in read])
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "t.csv").read_bytes()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda data: data.replace(b",", b";"), "the columns are separated by semicolons"),
        (lambda data: data.partition(b"\r\n")[2], "it begins \u201ca.jpg,ok,cat,"),
        (lambda data: b"", "is empty"),
        (lambda data: data.replace(b"a.jpg", b"\xfc.jpg"), "is not UTF-8 text: it has the byte 0xFC"),
        (lambda data: data.decode().encode("utf-16"), "is not UTF-8 text: it has the byte 0xFF"),
    ],
    ids=["semicolons", "no header", "empty", "Windows-1252", "UTF-16"],
)
def test_a_file_that_was_saved_in_another_form_is_named_with_the_next_step(
    tmp_path: Path, change: Callable[[bytes], bytes], why: str
) -> None:
    file = tmp_path / "predictions.csv"
    write_rows(file, [to_row(classified("a.jpg"), STAMP)])
    file.write_bytes(b"\xef\xbb\xbf" + (data := file.read_bytes()))
    assert [row["path"] for row in read_rows(file)] == ["a.jpg"]
    file.write_bytes(change(data))
    with pytest.raises(RowsError) as caught:
        [*read_rows(file)]
    assert why in str(caught.value)
    assert str(caught.value).startswith(f"{file} ")
    assert "Restore the file, or run the night again; corrections of labels belong in review.csv." in str(caught.value)
    assert [*rows_if_any(file)] == []
    with pytest.raises(RowsError, match=r"b.csv is missing. Restore the file, or run the night again.$"):
        [*read_rows(tmp_path / "b.csv")]
