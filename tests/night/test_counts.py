"""Every row is counted once, in one reading, and lost or doubled rows are noticed."""

import logging
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from pipeline.night.counts import Counted, Counts, LabelsError, Truth, feed, read_labels, require_labels_of
from pipeline.night.options import NightOptions
from pipeline.night.planning import begin
from pipeline.night.results import finish
from pipeline.night.rows import COLUMNS, FileOutcome, Unreadable, read_rows, to_row, write_rows
from pipeline.night.summary import Compared
from pipeline.night.workers import classify_shards
from pipeline.params.file import Params
from pipeline.storage.files import sha256_of_file
from pipeline.storage.folders import folder_at
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
        labels_ok={"cat": 2, "dog": 0},
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
        classified("right.jpg", "cat", sha256="1" * 64),
        classified("right-unsure.jpg", "cat", unsure=True, sha256="1" * 64),
        classified("wrong.jpg", "dog", sha256="1" * 64),
        classified("wrong-unsure.jpg", "cat", unsure=True, sha256="2" * 64),
        classified("unknown.jpg", "cat", sha256="3" * 64),
        Unreadable("unreadable.jpg", "damaged", "1" * 64),
    ]
    pd.DataFrame({"sha256": ["1" * 64, "2" * 64], "label": ["cat", "dog"]}).to_parquet(tmp_path / "labels.parquet")
    truth = Truth(read_labels(tmp_path / "labels.parquet"))
    feed(rows(outcomes), [truth])
    assert truth.found() == Compared(known=4, right=2, known_and_ok=2, right_and_ok=1)


def test_a_table_of_labels_that_is_none_is_named(tmp_path: Path) -> None:
    pd.DataFrame({"sha256": ["1"]}).to_parquet(tmp_path / "half.parquet")
    (tmp_path / "text.parquet").write_text("sha256,label")
    for name in ("half.parquet", "text.parquet", "none.parquet"):
        with pytest.raises(LabelsError, match=f"{name} cannot be read as a Parquet table with columns sha256 and"):
            read_labels(tmp_path / name)


FIRST, SECOND = "a1" * 32, "b2" * 32


def written(file: Path, digests: list[object], labels: list[object]) -> Path:
    pd.DataFrame({"sha256": digests, "label": labels}).to_parquet(file)
    return file


@pytest.mark.parametrize(
    ("digests", "labels", "words"),
    [
        ([FIRST], [1], "1 of 1 rows are not a SHA-256"),
        ([FIRST, "photos/a.jpg"], ["cat", "dog"], "1 of 2 rows are not a SHA-256 .* the first is photos/a.jpg, dog"),
        (["1" * 32], ["cat"], "1 of 1 rows are not a SHA-256"),  # MD5
        ([b"1" * 32], ["cat"], "1 of 1 rows are not a SHA-256"),
        ([None], ["cat"], "1 of 1 rows are not a SHA-256"),
        ([[FIRST]], ["cat"], "1 of 1 rows are not a SHA-256"),
        ([FIRST], [["cat", "dog"]], "1 of 1 rows are not a SHA-256"),
        ([FIRST, FIRST.upper()], ["cat", "dog"], f"has two labels for the image with the SHA-256 {FIRST}"),
    ],
)
def test_a_table_with_other_things_than_hashes_and_labels_is_refused(
    tmp_path: Path, digests: list[object], labels: list[object], words: str
) -> None:
    with pytest.raises(LabelsError, match=words):
        read_labels(written(tmp_path / "labels.parquet", digests, labels))


def test_hashes_in_capitals_categories_an_index_and_rows_without_a_label_are_read(tmp_path: Path) -> None:
    categories = pd.DataFrame({"sha256": [FIRST.upper(), SECOND], "label": pd.Categorical(["cat", None])})
    categories.to_parquet(tmp_path / "categories.parquet")
    categories.set_index("sha256").to_parquet(tmp_path / "index.parquet")
    for name in ("categories", "index"):
        assert read_labels(tmp_path / f"{name}.parquet") == {FIRST: "cat"}


def test_a_folder_or_a_csv_is_no_table_of_labels(tmp_path: Path) -> None:
    written(tmp_path / "labels.parquet", [FIRST], ["cat"])
    (tmp_path / "labels.csv").write_text(f"sha256,label\n{FIRST},cat\n")
    for place in (tmp_path, tmp_path / "labels.csv"):
        with pytest.raises(LabelsError, match="cannot be read as a Parquet table with columns sha256 and label"):
            read_labels(place)


def test_a_table_of_another_models_labels_is_refused_and_a_label_too_many_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logging.getLogger("nightshift").propagate = True
    file = Path("labels.parquet")
    for labels in ({FIRST: "Cat"}, {}):
        with pytest.raises(LabelsError, match="Is it the right table"):
            require_labels_of(("cat", "dog"), labels, file)
    require_labels_of(("cat", "dog"), {FIRST: "dog"}, file)
    assert caplog.text == ""
    require_labels_of(("cat", "dog"), {FIRST: "dog", SECOND: "bird"}, file)
    assert "the model cannot give bird" in caplog.text


def test_a_table_that_is_gone_at_the_end_costs_the_comparison_and_not_the_night(
    here: Params, night: Path, tmp_path: Path
) -> None:
    labels = written(tmp_path / "labels.parquet", [sha256_of_file(night / "0.png")], ["circle"])
    with folder_at(tmp_path / "out").hold():
        run = begin(NightOptions(folder_at(night), folder_at(tmp_path / "out"), labels), here)
        assert len([*classify_shards(run, run.unfinished(), here)]) == 4
        labels.write_bytes(b"")
        summary = finish(run, here, labels).summary
    assert (summary.listed, summary.compared) == (10, None)
