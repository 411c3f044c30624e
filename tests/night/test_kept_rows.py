"""A night into the same output keeps the rows of files that are gone, and says so before it begins."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.night.kept_rows import keep_rows
from pipeline.night.rows import Unreadable, columns_of, to_row, write_rows
from pipeline.params.file import Params
from pipeline.storage.folders import folder_at
from tests.fixtures.images import save_image
from tests.fixtures.ledgers import plan_of
from tests.fixtures.nights import begun
from tests.fixtures.summaries import summary_of

BEFORE = ["a/1.png", "a/=2.png", "a/b/3.png", "a.png", "b\udcff.png", "z.png"]  # as a listing has them
HEADING = ",".join(columns_of(location=True)).encode() + b"\r\n"


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    """What is logged as a warning."""
    monkeypatch.setattr("pipeline.core.log.log.propagate", True)
    caplog.set_level(logging.WARNING, "nightshift")
    return caplog


def finished(output: Path, paths: Sequence[str], source: str = "/photos") -> bytes:
    """The CSV of a night that is finished there; a path with a frame has its row before the file's."""
    output.mkdir(parents=True, exist_ok=True)
    summary_of(input=source).write(folder_at(output))
    rows = [
        to_row(Unreadable(path, "no image", frame=frame), plan_of(1, 1).stamp)
        for path in paths for frame in ((1, 0) if path == "z.png" else (0,))
    ]  # fmt: skip
    write_rows(output / "predictions.csv", rows)
    return (output / "predictions.csv").read_bytes()


@pytest.mark.parametrize(
    ("now", "gone"),
    [(BEFORE, 0), (["0.png", *BEFORE[:3], "a/b/4.png", *BEFORE[3:], "zz.png"], 0), (BEFORE[1:], 1), (BEFORE[:-1], 1),
     (BEFORE[::2], 3), (["a/0.png", "c/new.png"], 6), ([], 6)],
    ids=["the same", "more", "not the first", "not the last", "every second", "others", "none"],
)  # fmt: skip
def test_the_rows_of_files_that_are_gone_are_counted_and_kept(
    tmp_path: Path, now: list[str], gone: int, said: pytest.LogCaptureFixture
) -> None:
    before = finished(tmp_path, BEFORE)
    keep_rows(folder_at(tmp_path), now)
    kept = tmp_path / "predictions-1.csv"
    assert kept.exists() == bool(gone)
    assert (tmp_path / "predictions.csv").read_bytes() == before
    if gone:
        assert kept.read_bytes() == before
        files = "1 file that is" if gone == 1 else f"{gone} files that are"
        assert f"predictions.csv has the rows of {files} no longer in the input" in said.text
        assert "it is kept as predictions-1.csv. Leave OUTPUT out" in said.text
        finished(tmp_path, ["next.png"])
        keep_rows(folder_at(tmp_path), now)
        assert (tmp_path / "predictions-2.csv").read_bytes() == (tmp_path / "predictions.csv").read_bytes()
        assert kept.read_bytes() == before
    else:
        assert said.text == ""


@pytest.mark.parametrize("location", [True, False])
def test_places_are_kept_only_where_nights_write_them(
    tmp_path: Path, location: bool, said: pytest.LogCaptureFixture
) -> None:
    finished(tmp_path, [])
    (tmp_path / "predictions.csv").write_bytes(HEADING + b"a.png\r\n")
    keep_rows(folder_at(tmp_path), [], location=location)
    assert (tmp_path / "predictions-1.csv").exists() == location
    assert ("it is not kept, as it says where pictures were taken" in said.text) == (not location)


@pytest.mark.parametrize("data", [b"", b"a,b\r\n1,2\r\n", HEADING + b"\xff\xfe", HEADING + b"x" * 200_000 + b"\r\n"])
def test_a_damaged_or_foreign_csv_stops_no_night(tmp_path: Path, data: bytes) -> None:
    finished(tmp_path, [])
    (tmp_path / "predictions.csv").write_bytes(data)
    keep_rows(folder_at(tmp_path), ["a.png"])
    assert not (tmp_path / "predictions-1.csv").exists()


def test_a_night_keeps_them_before_it_begins(here: Params, tmp_path: Path, said: pytest.LogCaptureFixture) -> None:
    inbox, out = tmp_path / "inbox", tmp_path / "out"
    save_image(inbox / "today.png")
    before = finished(out, ["monday.png"], str(inbox))
    assert begun(inbox, out, here).plan.files == 1
    assert (out / "predictions-1.csv").read_bytes() == before
    assert (out / "predictions.csv").read_bytes() == before
    assert "has the rows of 1 file that is no longer in the input" in said.text
