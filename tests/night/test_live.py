"""Pictures classified as they come have the rows that a night gives them, each once, also after a kill."""

import io
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.collect.frame import Frame
from pipeline.collect.kept import Album
from pipeline.night import live as live_module
from pipeline.night.live import Day, Live, classify_now, output_of
from pipeline.night.rows import PREDICTIONS_CSV, Row
from pipeline.params.file import Params, load_params
from pipeline.registry.store import Store
from tests.fixtures import nights
from tests.fixtures.cameras import web_camera
from tests.fixtures.project import change_params, draw_shape, nightshift

PHOTOS = Path("photos")


def keep(number: int, tmp_path: Path, at: datetime) -> str:
    """A picture of the camera `gate-2`; its path below photos."""
    file = tmp_path / f"{number}.png"
    draw_shape(file, ("circle", "square")[number % 2], seed=100 + number)
    with Image.open(file) as image:
        pixels, sent = np.asarray(image.convert("RGB")), io.BytesIO()
        image.convert("RGB").save(sent, "JPEG")
    album = Album(PHOTOS / "gate-2", "gate-2")
    album.recover()
    return f"gate-2/{album.keep(Frame(pixels, sent.getvalue(), None, at), 'every').path}"


def rows(folder: Path) -> list[dict[str, str]]:
    return [{**row, "classified_at": ""} for row in nights.rows(folder)]


def test_each_picture_has_the_nights_row_once_whatever_is_killed(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    Store.of_project().follow()
    params, now = load_params(), datetime.now(UTC)
    today, noon = now.astimezone().date(), now.astimezone().replace(hour=12, minute=0, second=0, microsecond=0)
    keep(9, tmp_path, noon - timedelta(days=1))  # yesterday's: the night's work
    first = [keep(number, tmp_path, noon + timedelta(seconds=number)) for number in range(2)]
    output_of(today).mkdir(parents=True)
    day = Day(PHOTOS, today, params)
    assert day.missing(["gate-2", "never-collected"]) == first
    assert [row["path"] for row in day.classify(first)] == first
    file = output_of(today) / PREDICTIONS_CSV
    whole = file.read_bytes()
    file.write_bytes(whole[: whole.rstrip().rindex(b"\n") + 40])  # killed while it wrote the second row
    second = keep(2, tmp_path, noon + timedelta(seconds=2))

    heard: list[Row] = []
    third = noon + timedelta(seconds=3)

    def see(new: object) -> None:
        heard.extend(new)  # type: ignore[arg-type]
        if len(heard) == 2:
            live.add(keep(3, tmp_path, third))
        elif len(heard) == 3:
            live.end_soon()

    live = Live(PHOTOS, ["gate-2"], params, see)
    live.start()
    live.join(60)
    live.end()  # at once, as it has ended
    now_kept = keep(4, tmp_path, noon + timedelta(seconds=4))
    assert [row["path"] for row in classify_now(PHOTOS, [now_kept], params)] == [now_kept]
    assert [row["path"] for row in heard[:2]] == [first[1], second]
    nights.classify(PHOTOS, tmp_path / "night", params)
    of_the_night = {row["path"]: row for row in rows(tmp_path / "night")}
    found = rows(output_of(today))
    assert len(found) == 5
    assert [of_the_night[row["path"]] for row in found] == found
    assert len(of_the_night) == 6


def test_what_keeps_it_from_classifying_is_said_once(
    tmp_path: Path, empty_store: Path, defaults: Params, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{shutil.copy(empty_store, tmp_path)}")
    tried = list[date]()
    monkeypatch.setattr(live_module, "PATIENCE", 0.0)
    live = Live(PHOTOS, ["gate-2"], defaults, lambda rows: None)

    def no_champion(photos: Path, day: date, params: Params) -> Day:
        tried.append(day)
        if len(tried) == 3:
            live.end_soon()
        return Day(photos, day, params)  # the registry is empty

    monkeypatch.setattr(live_module, "Day", no_champion)
    live.run()
    assert len(tried) == 3
    [said] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said.startswith("Pictures are not classified as they come: ")
    assert "champion" in said


def test_every_collector_classifies_where_params_yaml_says_so(registry_project: Path) -> None:
    with web_camera() as camera:
        source = {"name": "gate-2", "address": camera.snapshot}
        change_params(registry_project, {"collect": {"classify": True, "free_gb": 0, "sources": [source]}})
        asked = nightshift("collect", "--once", cwd=registry_project).stdout.splitlines()
        not_asked = nightshift("collect", "--once", "--no-classify", cwd=registry_project).stdout.splitlines()
    [row] = nights.rows(next((registry_project / "predictions").glob("collect-*")))
    assert asked == [f"photos/{row['path']}", f"{row['path']}: {row['label']} {row['confidence']} {row['status']}"]
    assert len(not_asked) == 1
