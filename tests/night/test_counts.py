"""Every row is counted once, in one reading, and lost or doubled rows are noticed."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from pipeline.night.counts import Counted, Counts, LabelsError, Truth, feed, read_labels
from pipeline.night.rows import COLUMNS, FileOutcome, Unreadable, read_rows, to_row, write_rows
from pipeline.night.summary import Compared
from tests.fixtures.rows import STAMP, classified

NIGHT: list[FileOutcome] = [
    classified("1.jpg"), classified("2.jpg", "dog", unsure=True), Unreadable("3.jpg", "empty"), classified("4.jpg"),
]  # fmt: skip


PATHS = [outcome.path for outcome in NIGHT]


def rows(outcomes: list[FileOutcome]) -> list[dict[str, str]]:
    return [dict(zip(COLUMNS, to_row(outcome, STAMP), strict=True)) for outcome in outcomes]


def counted(rows: list[dict[str, str]], paths: list[str]) -> Counted:
    counts = Counts(paths)
    feed(rows, [counts])
    return counts.found()


def test_every_row_is_counted_once() -> None:
    assert counted(rows(NIGHT), PATHS) == Counted(
        listed=4, ok=2, unsure=1, unreadable=1, reconciled=True, outliers=0, flagged=0, labels={"cat": 2, "dog": 1},
    )  # fmt: skip


def test_outliers_and_rows_with_other_flags_are_counted() -> None:
    flags = [("outlier",), ("outlier", "dark"), ("dark", "small"), ("low_confidence",), ("blurred",)]
    outcomes: list[FileOutcome] = [
        replace(classified(f"{number}.jpg"), outlier_score=0.5, flags=words) for number, words in enumerate(flags)
    ]
    found = counted(rows(outcomes), [outcome.path for outcome in outcomes])
    assert (found.outliers, found.flagged) == (2, 3)


def test_rows_of_an_earlier_version_reconcile_too(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.csv", [to_row(outcome, STAMP)[:15] for outcome in NIGHT])
    assert counted([*read_rows(tmp_path / "a.csv")], PATHS).reconciled


def test_a_night_without_files_reconciles() -> None:
    assert counted([], []).reconciled is True


@pytest.mark.parametrize(
    "outcomes",
    [NIGHT[1:], [*NIGHT, NIGHT[0]], [], [NIGHT[0], NIGHT[0], NIGHT[2], NIGHT[3]], [*NIGHT[:2], NIGHT[3], NIGHT[2]]],
    ids=["missing", "doubled", "none", "one doubled and one missing", "two exchanged"],
)
def test_a_missing_or_doubled_row_is_noticed(outcomes: list[FileOutcome]) -> None:
    assert counted(rows(outcomes), PATHS).reconciled is False


def test_a_row_of_no_known_status_is_noticed() -> None:
    first, *others = rows(NIGHT)
    assert counted([{**first, "status": "maybe"}, *others], PATHS).reconciled is False


def test_answers_are_compared_by_content_with_what_is_known(tmp_path: Path) -> None:
    outcomes: list[FileOutcome] = [
        classified("right.jpg", "cat", sha256="1"),
        classified("right-unsure.jpg", "cat", unsure=True, sha256="1"),
        classified("wrong.jpg", "dog", sha256="1"),
        classified("wrong-unsure.jpg", "cat", unsure=True, sha256="2"),
        classified("unknown.jpg", "cat", sha256="3"),
        Unreadable("unreadable.jpg", "damaged", "1"),
    ]
    pd.DataFrame({"sha256": ["1", "2"], "label": ["cat", "dog"]}).to_parquet(tmp_path / "labels.parquet")
    truth = Truth(read_labels(tmp_path / "labels.parquet"))
    feed(rows(outcomes), [truth])
    assert truth.found() == Compared(known=4, right=2, known_and_ok=2, right_and_ok=1)


def test_a_table_of_labels_that_is_none_is_named(tmp_path: Path) -> None:
    pd.DataFrame({"sha256": ["1"]}).to_parquet(tmp_path / "half.parquet")
    (tmp_path / "text.parquet").write_text("sha256,label")
    for name in ("half.parquet", "text.parquet", "none.parquet"):
        with pytest.raises(LabelsError, match=f"{name} cannot be read as a Parquet table with columns sha256 and"):
            read_labels(tmp_path / name)
