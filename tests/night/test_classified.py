"""Only what a finished night has classified may be deleted, and nothing while a night over it is unfinished."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.collect.gaps import GAPS_CSV, Gap, write_gaps
from pipeline.core.paths import PREDICTIONS
from pipeline.night.classified import classified
from pipeline.night.missing import camera_gaps
from pipeline.night.rows import COLUMNS, PREDICTIONS_CSV, write_rows
from pipeline.night.summary import CameraGap, summary_lines
from pipeline.night.verdict import raised
from pipeline.params.collect import Collect, Source
from pipeline.storage.files import write_json
from pipeline.storage.folders import folder_at
from tests.fixtures.summaries import BATCH, SUMMARY, summary_of

BEGAN = datetime(2026, 1, 2, 2, tzinfo=UTC)  # of SUMMARY
HOUR = timedelta(hours=1)
CAMERA = Collect(sources=[Source(name="gate-2", address="http://10.0.0.7/"), Source(name="gate-3", address="/clips")])


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos" / "gate-2").mkdir(parents=True)
    return tmp_path


def finished(name: str, answers: dict[str, str], **changes: object) -> None:
    """A night with a row for each SHA-256 and its label; empty: unreadable."""
    rows = [
        [{"path": digest, "sha256": digest, "label": label, "status": "ok" if label else "unreadable"}.get(column, "")
         for column in COLUMNS]
        for digest, label in answers.items()
    ]  # fmt: skip
    (PREDICTIONS / name).mkdir(parents=True)
    write_rows(PREDICTIONS / name / PREDICTIONS_CSV, rows)
    write_json(PREDICTIONS / name / "summary.json", SUMMARY | {"input": str(Path("photos").absolute())} | changes)


def test_an_answer_of_any_finished_night_since_then_counts_and_an_unreadable_row_does_not(project: Path) -> None:
    finished("first", {"a": "cat", "b": ""})
    finished("second", {"c": "dog"}, finished_at="2026-01-05T02:00:05+00:00")
    assert classified(Path("photos"), ["a", "b", "c", "d", ""], BEGAN - HOUR) == {"a", "c"}
    assert classified(Path("photos"), ["a", "c"], BEGAN + HOUR) == {"c"}


@pytest.mark.parametrize(
    ("source", "days", "blocks"),
    [
        pytest.param("photos/gate-2", 0, True, id="a folder in it"),
        pytest.param(".", 0, True, id="a folder around it"),
        pytest.param("elsewhere", 0, False, id="another folder"),
        pytest.param("photos", 8, False, id="given up"),
    ],
)
def test_nothing_may_go_while_a_night_over_it_is_unfinished(
    project: Path, source: str, days: int, blocks: bool
) -> None:
    finished("first", {"a": "cat"})
    plan = {name: SUMMARY[name] for name in ("model_name", "model_version", "contract_hash", "shards")}
    began = datetime.now(UTC) - timedelta(days=days)
    write_json(
        PREDICTIONS / "second" / ".nightshift" / "plan.json",
        plan | {"input": str(Path(source).absolute()), "started_at": began.isoformat(), "files": 1},
    )
    assert classified(Path("photos"), ["a"], BEGAN - HOUR) == (None if blocks else {"a"})


def test_a_night_says_the_gaps_of_its_cameras_since_the_last_one(project: Path) -> None:
    finished("last", {}, started_at="2026-01-01T22:00:00+00:00")
    write_gaps(Path("photos/gate-2") / GAPS_CSV, [
        Gap(BEGAN - 9 * HOUR, BEGAN - 8 * HOUR, "black"),  # before the last night
        Gap(BEGAN - 5 * HOUR, BEGAN - 3 * HOUR, "no answer"),
        Gap(BEGAN - HOUR, None, "frozen"),
    ])  # fmt: skip
    output = folder_at(PREDICTIONS / "tonight")
    found = camera_gaps(folder_at("photos"), output, BEGAN, CAMERA, BEGAN)
    assert found == (
        CameraGap(
            camera="gate-2", start="2026-01-01T22:00:00+00:00", end="2026-01-01T23:00:00+00:00", reason="no answer"
        ),
        CameraGap(camera="gate-2", start="2026-01-02T01:00:00+00:00", reason="frozen"),
    )
    assert camera_gaps(folder_at("elsewhere"), output, BEGAN, CAMERA, BEGAN) == ()
    summary = summary_of(camera_gaps=found)
    (alarm,) = [one for one in raised(summary, BATCH) if one.about == "no pictures"]
    assert alarm.words in summary_lines(summary)
    assert alarm.words.startswith("gate-2: no picture from ")
    assert alarm.words.endswith(" (frozen).")
