"""The last finished run over a folder is found among whatever else stands beside the output."""

import json
import logging
from pathlib import Path

import pytest

from pipeline.night.repeats import Known, last_finished, remember_last
from pipeline.night.rows import COLUMNS
from pipeline.storage.files import sha256
from pipeline.storage.folders import folder_at
from tests.fixtures.finished import finished
from tests.fixtures.reviews import CONTRACT
from tests.fixtures.summaries import SUMMARY, summary_of


def test_a_folder_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    for name in ("monday", "lost+found", "notes", "empty"):
        (tmp_path / "predictions" / name).mkdir(parents=True)
    night = tmp_path / "predictions/monday"
    (night / "summary.json").write_text(json.dumps({**SUMMARY, "input": str(tmp_path / "photos")}))
    (tmp_path / "predictions/lost+found/summary.json").mkdir()  # reading it fails, as it does without rights
    (tmp_path / "predictions/notes/summary.json").write_text("[]")
    folders = [*(tmp_path / "predictions").iterdir()]
    assert last_finished(folder_at(tmp_path / "photos"), folders) == night


def nights(project: Path, **cells: str) -> Path:
    """Two nights over the same photographs; in the later one the row of a.jpg has these cells."""
    rows = {"a.jpg": {"label": "cat"}, "b.jpg": {"label": "dog", "label_2": "cat", "confidence_2": "0.100000"}}
    for name, day, own in (("monday", 2, {}), ("tuesday", 3, cells)):
        output = finished(project, {**rows, "a.jpg": rows["a.jpg"] | own}, name=name)
        summary_of(
            input=str(project / "photos"), contract_hash=CONTRACT.hash, finished_at=f"2026-01-0{day}T02:00:05+00:00"
        ).write(folder_at(output))
    return project / "predictions/tuesday"


def remembered(project: Path) -> list[bool]:
    """Whether the next night knows the answers to a.jpg and b.jpg."""
    source, file = project / "photos", project / "known.sqlite"
    remember_last(folder_at(source), project / "predictions/next", file, CONTRACT, COLUMNS)
    known = Known(file)
    found = [known.earlier(sha256((source / name).read_bytes())) is not None for name in ("a.jpg", "b.jpg")]
    known.close()
    return found


@pytest.mark.parametrize(
    "cells",
    [
        {"confidence": "abc"}, {"confidence": "1.5"}, {"confidence": "nan"}, {"confidence": ""}, {"label": "zebra"},
        {"label_2": "zebra"}, {"candidates": '["cat", "zebra"]'}, {"candidates": "cat"}, {"candidates": "5"},
        {"status": "fine"}, {"status": "unreadable"}, {"sha256": "1.2E+30"}, {"width": "4.5"}, {"brightness": "1,5"},
        {"outlier_score": "high"}, {"taken_at": "03.01.2026"},
    ],
    ids=str,
)  # fmt: skip
def test_a_row_that_was_changed_is_not_repeated_and_a_warning_counts_it(
    tmp_path: Path, cells: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("nightshift").propagate = True
    caplog.set_level(logging.WARNING, "nightshift")
    csv = nights(tmp_path, **cells) / "predictions.csv"
    assert remembered(tmp_path) == [False, True]
    [said] = [record.getMessage() for record in caplog.records]
    assert said.startswith(f"{csv}: 1 row is changed since the night wrote them, or damaged; ")


def test_sound_rows_are_repeated_without_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("nightshift").propagate = True
    caplog.set_level(logging.WARNING, "nightshift")
    nights(tmp_path, sharpness="1.234e+04", candidates='["cat", "dog"]', taken_at="2026-01-01T22:00:00+01:00")
    assert remembered(tmp_path) == [True, True]
    assert caplog.records == []


def test_the_night_before_takes_the_place_of_one_that_cannot_be_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("nightshift").propagate = True
    caplog.set_level(logging.WARNING, "nightshift")
    csv = nights(tmp_path) / "predictions.csv"
    csv.unlink()
    assert remembered(tmp_path) == [True, True]
    (tmp_path / "predictions/monday/predictions.csv").write_bytes(csv.with_name("summary.json").read_bytes())
    (tmp_path / "known.sqlite").unlink()
    assert remembered(tmp_path) == [False, False]
    said = [record.getMessage() for record in caplog.records]
    assert [f"{csv} is missing. " in line for line in said] == [True, True, False]
    assert "monday/predictions.csv does not begin with the line path,status,label,…: " in said[2]
