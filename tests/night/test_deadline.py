"""Nights that follow each other: what is known is not computed again, and a night stops when it has to."""

import datetime
import json
import os
import shutil
import sys
import time
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from pipeline.core.errors import NightshiftError
from pipeline.night import outputs
from pipeline.night import run as order
from pipeline.night.deadline import OutOfTime, next_time, time_of_day
from pipeline.night.outputs import folder_for
from pipeline.night.repeats import RECENT, Known, write_known
from pipeline.params.file import Params
from pipeline.storage.folders import folder_at
from tests.fixtures.commands import parts
from tests.fixtures.forked import run
from tests.fixtures.images import save_image
from tests.fixtures.nights import begun, classify
from tests.fixtures.project import change_params, draw_shape, rows_of

HERE = datetime.timezone(datetime.timedelta(hours=2))


MARKED = "0.123456"


def mark_answers(output: Path) -> None:
    """Give every image of a finished run the confidence MARKED: no model gives it, so it must be repeated."""
    file = output / "predictions.csv"
    table = pd.read_csv(file, dtype=str, keep_default_na=False)
    table.loc[table["label"] != "", "confidence"] = MARKED
    table.to_csv(file, index=False)


def test_unchanged_files_are_not_asked_about_again(here: Params, night: Path, tmp_path: Path) -> None:
    (night / "bad.png").write_bytes(b"no picture")
    first = classify(night, tmp_path / "monday", here)
    before = rows_of(tmp_path / "monday")
    assert first.repeated == 0
    mark_answers(tmp_path / "monday")
    draw_shape(night / "3.png", "circle", seed=77)
    (night / "4.png").rename(night / "moved.png")
    save_image(night / "new.jpg")
    os.utime(night / "5.png")
    summary = classify(night, tmp_path / "tuesday", here, since_last=True)
    after = {row["path"]: row for row in rows_of(tmp_path / "tuesday")}
    assert summary.repeated == 9
    assert [path for path, row in after.items() if row["confidence"] == MARKED] == [
        "0.png", "1.png", "2.png", "5.png", "6.png", "7.png", "8.png", "9.png", "moved.png",
    ]  # fmt: skip
    assert after["bad.png"]["status"] == "unreadable"
    assert {**after["0.png"], "confidence": ""} == {**before[0], "confidence": ""}
    # Without the option, and in a folder of its own, everything is computed.
    assert classify(night, tmp_path / "else/where", here).repeated == 0


def test_answers_are_repeated_in_the_same_output_too(here: Params, night: Path, tmp_path: Path) -> None:
    classify(night, tmp_path / "out", here)
    before = rows_of(tmp_path / "out")
    assert classify(night, tmp_path / "out", here, since_last=True).repeated == 10
    assert rows_of(tmp_path / "out") == before


def test_another_models_answers_are_not_repeated(here: Params, night: Path, tmp_path: Path) -> None:
    classify(night, tmp_path / "monday", here)
    summary = json.loads((tmp_path / "monday/summary.json").read_text())
    (tmp_path / "monday/summary.json").write_text(json.dumps({**summary, "contract_hash": "another"}))
    mark_answers(tmp_path / "monday")
    assert classify(night, tmp_path / "tuesday", here, since_last=True).repeated == 0
    assert MARKED not in {row["confidence"] for row in rows_of(tmp_path / "tuesday")}


def test_identical_bytes_have_identical_rows(here: Params, night: Path, tmp_path: Path) -> None:
    for number in range(6):
        shutil.copy(night / "1.png", night / f"copy-{number}.png")
    classify(night, tmp_path / "out", here)
    found = [{**row, "path": ""} for row in rows_of(tmp_path / "out") if row["path"].startswith(("1", "copy"))]
    assert len(found) == 7
    assert all(row == found[0] for row in found)


def more_files(night: Path) -> None:
    """Sixty files in all: what classifies is ahead of who looks at the clock, by a shard or some."""
    for number in range(10, 60):
        draw_shape(night / f"{number}.png", ("circle", "square")[number % 2], seed=number)


def test_a_night_stops_at_its_hour_and_the_next_goes_on(
    here: Params, night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more_files(night)
    classify(night, tmp_path / "undisturbed", here)
    late = datetime.datetime.now().astimezone() - datetime.timedelta(seconds=1)
    monkeypatch.setattr(order, "deadline_at", lambda until: late if until else None)
    kept = []
    for _ in range(2):
        with pytest.raises(OutOfTime) as stopped:
            classify(night, tmp_path / "out", here, until="06:00")
        assert stopped.value.status == 75
        kept.append(len(parts(tmp_path / "out")))
        assert f"stopped with {3 * kept[-1]} of 60 files done" in str(stopped.value)
    assert 1 <= kept[0] < kept[1] < 20
    classify(night, tmp_path / "out", here)
    assert rows_of(tmp_path / "out") == rows_of(tmp_path / "undisturbed")


LATE = """
import datetime, sys
from pipeline.night import run
run.deadline_at = lambda until: datetime.datetime(2026, 1, 1, 6).astimezone()
sys.argv = ["nightshift", "classify", *sys.argv[1:], "--until", "06:00"]
from flows.cli.main import main
main()
"""


def test_a_flow_that_stops_is_no_failure_and_ends_with_its_own_status(
    trained: Path, night: Path, tmp_path: Path, prefect_api: str
) -> None:
    more_files(night)
    words = [sys.executable, "-c", LATE, str(night), str(tmp_path / "out")]
    done = run(*words, cwd=trained, check=False, PREFECT_API_URL=prefect_api)
    assert done.returncode == 75, done.stderr
    kept = len(parts(tmp_path / "out"))
    assert 1 <= kept < 20
    assert f"It is 06:00: stopped with {3 * kept} of 60 files done" in done.stderr
    assert "What was kept: " in done.stderr
    assert "Flow run" not in done.stderr, "Prefect's own lines are in the log file"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("text", ["6", "24:00", "6:60", "six", "06:00:00", ""])
def test_what_is_no_time_of_day_is_refused(text: str) -> None:
    with pytest.raises(NightshiftError, match="is not a valid time of day"):
        time_of_day(text)


@pytest.mark.parametrize(
    ("now", "until", "expected"),
    [
        ("2026-01-31 22:00", "06:00", "2026-02-01 06:00"),
        ("2026-01-31 05:59", "6:00", "2026-01-31 06:00"),
        ("2026-01-31 06:00", "06:00", "2026-02-01 06:00"),
    ],
)
def test_the_hour_is_the_next_one(now: str, until: str, expected: str) -> None:
    found = next_time(until, datetime.datetime.fromisoformat(now).replace(tzinfo=HERE), HERE)
    assert found == datetime.datetime.fromisoformat(expected).replace(tzinfo=HERE)


def test_a_run_without_an_output_goes_on_with_the_unfinished_one(
    here: Params, night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outputs, "PREDICTIONS", tmp_path / "predictions")
    today = datetime.datetime.now().astimezone().date().isoformat()
    assert folder_for(folder_at(night)) == tmp_path / "predictions" / today
    with folder_at(tmp_path / "predictions/2020-01-01").hold():
        begun(night, tmp_path / "predictions/2020-01-01", here)
    assert folder_for(folder_at(night)) == tmp_path / "predictions/2020-01-01"
    assert folder_for(folder_at(tmp_path)) == tmp_path / "predictions" / today


def test_known_answers_are_kept_and_the_latest_in_bounds(tmp_path: Path) -> None:
    assert (
        write_known(tmp_path / "known", (("ab", {"label": "x"}), ("cd", {"label": "ü"}), ("ab", {"label": "y"}))) == 2
    )
    known = Known(tmp_path / "known")
    assert known.get("ab") == {"label": "x"}
    assert known.get("cd") == {"label": "ü"}
    assert known.get("ef") is None
    for number in range(RECENT + 1):
        known.add(str(number), {"label": str(number)})
    assert known.get("0") is None
    assert known.get(str(RECENT)) == {"label": str(RECENT)}
    assert known.earlier("1") is None
    assert Known(tmp_path / "none").get("ab") is None


def test_the_plain_module_classifies_and_writes_parquet(project: Path, tmp_path: Path) -> None:
    change_params(project, {"batch": {"parquet": True}})
    save_image(tmp_path / 'night/a\nb,"c".jpg')
    (tmp_path / "night/bad.png").write_bytes(b"no")
    run("-m", "pipeline.classify", str(tmp_path / "night"), str(tmp_path / "out"), cwd=project)
    table = pd.read_parquet(tmp_path / "out/predictions.parquet")
    found = rows_of(tmp_path / "out")
    assert list(table.columns) == list(found[0])
    assert table["path"].tolist() == [row["path"] for row in found] == ['a\nb,"c".jpg', "bad.png"]
    assert table["confidence"][0] == float(found[0]["confidence"])
    assert table["confidence"].isna().tolist() == [False, True]
    assert table["width"].dropna().tolist() == [40]
    assert str(table["classified_at"].dtype).endswith("UTC]")


@pytest.mark.parametrize("as_system", [False, True])
@pytest.mark.parametrize(
    ("zone", "now", "until", "expected", "hours"),
    [
        ("Europe/Berlin", "2026-03-28 22:00+01:00", "06:00", "2026-03-29 06:00+02:00", 7),
        ("Europe/Berlin", "2026-10-24 22:00+02:00", "06:00", "2026-10-25 06:00+01:00", 9),
        ("America/New_York", "2026-10-31 22:00-04:00", "06:00", "2026-11-01 06:00-05:00", 9),
        ("Europe/Berlin", "2026-10-25 02:40+02:00", "02:30", "2026-10-25 02:30+01:00", 5 / 6),
        ("Europe/Berlin", "2026-10-25 02:40+01:00", "02:30", "2026-10-26 02:30+01:00", 24 - 1 / 6),
        ("Europe/Berlin", "2026-10-24 22:00+02:00", "02:30", "2026-10-25 02:30+02:00", 4.5),
        ("Europe/Berlin", "2026-03-28 22:00+01:00", "02:30", "2026-03-29 03:00+02:00", 4),
        ("Europe/Berlin", "2026-03-29 03:10+02:00", "02:30", "2026-03-30 02:30+02:00", 23 + 1 / 3),
        ("Australia/Lord_Howe", "2026-04-04 20:00+11:00", "06:00", "2026-04-05 06:00+10:30", 10.5),
        ("Asia/Kolkata", "2026-04-04 20:00+05:30", "06:00", "2026-04-05 06:00+05:30", 10),
        ("America/Santiago", "2026-09-05 22:00-04:00", "00:30", "2026-09-06 01:00-03:00", 2),
    ],
)
def test_the_wall_clock_decides_when_clocks_change(
    zone: str, now: str, until: str, expected: str, hours: float, as_system: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = datetime.datetime.fromisoformat(now)
    if as_system:
        monkeypatch.setenv("TZ", zone)
        time.tzset()
    try:
        found = next_time(until, began, None if as_system else ZoneInfo(zone))
        assert found.isoformat(" ", "minutes") == expected
        assert found.timestamp() - began.timestamp() == pytest.approx(3600 * hours)
    finally:
        monkeypatch.undo()
        time.tzset()
