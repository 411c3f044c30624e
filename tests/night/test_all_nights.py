"""From any night's page a person finds every other night, with its verdict, whatever lies beside it."""

import datetime
import os
import re
import shutil
from pathlib import Path
from urllib.parse import quote

import pytest

from pipeline.core.pages import local_day
from pipeline.night.all_nights import PAGE, SHOWN, page, write_all_nights
from pipeline.night.ledger import Run
from pipeline.night.neighbours import neighbours
from pipeline.night.outputs import is_in_predictions
from pipeline.storage.folders import folder_at
from pipeline.storage.listing import Listed
from tests.fixtures.ledgers import plan_of, row
from tests.fixtures.reviews import HOSTILE
from tests.fixtures.summaries import BATCH, DRIFT, summary_of

NOW = datetime.datetime(2026, 3, 4, 6, tzinfo=datetime.UTC)
DAYS = {day: local_day(f"2026-01-{day:02d}T02:00:00+00:00") for day in range(1, 29)}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder that holds nothing yet."""
    (tmp_path / "leaves").mkdir()
    monkeypatch.chdir(tmp_path / "leaves")
    return tmp_path / "leaves"


def night(name: str, day: int = 2, **changes: object) -> Path:
    """A finished night of that day in January 2026."""
    folder = Path("predictions", name)
    folder.mkdir(parents=True)
    (folder / "morning.html").touch()
    summary_of(started_at=f"2026-01-{day:02d}T02:00:00+00:00", **changes).write(folder_at(folder))
    return folder


def begun(name: str, started_at: str, done: int = 1) -> Run:
    """An unfinished one of ten files."""
    plan = plan_of(10, 5).model_copy(update={"started_at": started_at})
    listing = [Listed(f"{number}.png", 1, 1, 1) for number in range(10)]
    run = Run.begin(folder_at(f"predictions/{name}"), listing, 2, lambda files, shards: plan)
    for number in range(done):
        run.write_part(number, [row(path) for path in run.shard(number)])
    return run


def lines(html: str) -> list[str]:
    """What a person reads in each row."""
    rows = re.findall(r"<tr><td class=\"key\">(.*?)</tr>", html, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]*>", " ", one).split()) for one in rows]


def test_nights_stand_with_verdict_folder_model_and_counts_the_newest_first() -> None:
    night("2026-01-03", 3, drift=DRIFT, unreadable=6, ok=2)
    night("broken rows", 1, reconciled=False)
    night("2026-01-02", 2, input="/srv/photos", listed=3072, ok=3068)
    html = page(BATCH, NOW)
    by = "by nightshift version 3"
    assert lines(html) == [
        f"{DAYS[3]} 2026-01-03: /photos, {by} Needs a person unreadable files, not as in training "
        "images 10 ok 2 unsure 2 unreadable 6",
        f"{DAYS[2]} 2026-01-02: /srv/photos, {by} All is well images 3,072 ok 3,068 unsure 2 unreadable 2",
        f"{DAYS[1]} broken rows: /photos, {by} Needs a person rows are missing images 10 ok 6 unsure 2 unreadable 2",
    ]
    assert re.findall(r'<b class="(\w+)">', html) == ["doubt", "good", "bad"]
    assert 'href="2026-01-02/morning.html"' in html
    assert 'href="broken%20rows/morning.html"' in html
    assert "Newest night: needs a person (unreadable files, not as in training)." in html
    assert "3 nights; 2 nights need a person." in html
    assert "All nights of leaves" in html


def test_unfinished_nights_are_shown_as_such_and_one_that_writes_its_pages_is_finished() -> None:
    night("over", 2)
    begun("over", "2026-01-02T02:00:00+00:00", done=5)  # between its page and the end of its ledger
    night("again", 1)
    begun("again", "2026-01-04T02:00:00+00:00")  # a second run into a finished night's folder
    begun("stopped", "2026-01-03T02:00:00+00:00", done=3)
    shutil.rmtree("predictions/stopped/.nightshift/shards")
    html = page(BATCH, NOW)
    assert [one.split(" 2026 ")[1] for one in lines(html)] == [
        "again: /photos, by nightshift version 3 Not finished stopped images 2 of 10",
        "stopped: /photos, by nightshift version 3 Not finished stopped images some of 10",
        "over: /photos, by nightshift version 3 All is well images 10 ok 6 unsure 2 unreadable 2",
        "again: /photos, by nightshift version 3 All is well images 10 ok 6 unsure 2 unreadable 2",
    ]
    assert "2 nights are not finished, and <code>nightshift status</code>" in html
    assert html.count("/morning.html") == 2


def test_neighbours_that_cannot_be_read_are_left_out_and_named() -> None:
    night("good")
    for name, text in {"cut off": '{"model_name": "night', "foreign": "[1]", ".deleted.old": "{}"}.items():
        Path("predictions", name).mkdir()
        Path("predictions", name, "summary.json").write_text(text)
    Path("predictions/a folder/summary.json").mkdir(parents=True)
    Path("predictions/empty").mkdir()
    Path("predictions/a file").touch()
    Path("predictions/half/.nightshift").mkdir(parents=True)
    Path("predictions/half/.nightshift/plan.json").write_text("{")
    Path("predictions/link").symlink_to("nowhere")
    html = page(BATCH, NOW)
    assert len(lines(html)) == 1
    assert "Left out, as their summary.json cannot be read: a folder, cut off, foreign." in html
    (Path("predictions/good/morning.html")).unlink()
    assert "href" not in page(BATCH, NOW), "it has no page"


def test_no_name_becomes_markup_and_every_link_leads_to_its_page() -> None:
    names = ["<img src=x onerror=alert(1)>", "a?b#c%20d & ü", os.fsdecode(b"bytes \xff"), 'x" onclick="y']
    for name in names:
        night(name, input=HOSTILE, model_name=HOSTILE)
    write_all_nights(BATCH)
    html = PAGE.read_text("utf-8")
    assert "<img" not in html
    assert "<script" not in html
    assert ' onclick="' not in html
    links = re.findall(r'href="([^"]*)"', html)
    assert sorted(links) == sorted(f"{quote(os.fsencode(name))}/morning.html" for name in names)


def test_of_a_thousand_nights_the_newest_are_shown() -> None:
    for number in range(SHOWN + 5):
        night(str(number), 1 + number % 28)
    html = page(BATCH, NOW)
    assert len(lines(html)) == SHOWN
    assert f"These are the newest {SHOWN}; 5 older nights are in predictions/" in html
    assert html.index(DAYS[28]) < html.index(DAYS[2])


def test_a_project_without_a_night_and_a_page_that_cannot_be_written_stop_nobody(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.core.log.log.propagate", True)
    write_all_nights(BATCH)
    assert "There is no night in predictions/." in PAGE.read_text()
    shutil.rmtree("predictions")
    Path("predictions").touch()
    write_all_nights(BATCH)
    assert "predictions/index.html could not be written" in caplog.text


def test_a_night_in_a_folder_of_the_pages_name_stays(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.core.log.log.propagate", True)
    night("index.html")
    write_all_nights(BATCH)
    assert (PAGE / "summary.json").is_file()
    assert "it is a folder; rename it" in caplog.text


def test_a_date_that_no_calendar_here_has_stops_no_night() -> None:
    night("a")
    file = Path("predictions/a/summary.json")
    file.write_text(file.read_text().replace("2026-01-02T", "0001-01-01T").replace("+00:00", "+14:00"))
    write_all_nights(BATCH)


@pytest.mark.parametrize(
    ("output", "is_one"),
    [("predictions/a", True), ("predictions/a/b", False), ("predictions", False), ("out", False), ("s3://b/a", False)],
)
def test_only_a_night_in_predictions_is_one_of_them(output: str, is_one: bool, project: Path) -> None:
    assert is_in_predictions(folder_at(output)) == is_one
    if "//" not in output:
        links = [one.address for one in neighbours(folder_at(project / output), "morning.html", "3")]
        assert ("../index.html" in links) == is_one
