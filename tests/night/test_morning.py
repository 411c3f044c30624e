"""The morning page says whether all is well, tells of tonight beside what is usual, and no name can do harm on it."""

import dataclasses
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.pages import Link
from pipeline.night.morning import Mix, MorningError, Past, Shown, draw_again, mixes, page, version_page
from pipeline.night.results import TooManyUnreadable
from pipeline.night.review import by_kind
from pipeline.night.rows import Row
from pipeline.night.summary import NightSummary, summary_lines
from pipeline.night.sure import drawn_from
from pipeline.night.verdict import alarms
from pipeline.params.file import Params
from pipeline.params.night import Batch
from pipeline.registry.history import Night
from pipeline.storage.folders import folder_at
from tests.fixtures import forked
from tests.fixtures.images import save_image
from tests.fixtures.nights import classify
from tests.fixtures.project import draw_shape, nightshift
from tests.fixtures.reviews import HOSTILE, NIGHT, choose, row
from tests.fixtures.seen import Seen
from tests.fixtures.summaries import BATCH, DRIFT, summary_of


def shown_of(rows: Iterable[Row], sure: Iterable[Row] = ()) -> Shown:
    drawn = {label: by_kind(rows, {})["flagged"] for label, rows in drawn_from(sure, "night").items()}
    return Shown("predictions/night", by_kind(rows, {}), drawn, (Link("Review", "review.html"),))


def made(summary: NightSummary, past: Past | None = None, batch: Batch = BATCH) -> str:
    shown = shown_of(choose(map(row, NIGHT), 99).rows, map(row, NIGHT))
    return page(summary, shown, past or Past(), alarms(summary, batch))


@pytest.mark.parametrize(
    ("changes", "batch", "words"),
    [
        pytest.param({"reconciled": False}, {}, "The rows are not those of the listed files", id="not reconciled"),
        pytest.param({"unreadable": 6}, {}, "6 of 10 files are unreadable, more than batch.max_unreadable", id="files"),
        pytest.param({"drift": DRIFT}, {}, "batch.max_drift 0.2): outlier score 0.61", id="drift"),
        pytest.param(
            {"outliers": 2, "outlier_test": {"images": 8, "expected": 0.4, "p_value": 0.0009}},
            {},
            "2 of 8 images are unlike the training images",
            id="strangers",
        ),
        pytest.param(
            {"outliers": 2, "outlier_test": {"images": 3, "expected": 0.15, "p_value": 0.01}},
            {},
            "2 of 3 images are unlike the training images",
            id="most of a few",
        ),
        pytest.param(
            {"refused": "cells version 2 is the champion although the gate refused it: accuracy."},
            {},
            "although the gate refused it: accuracy. Look at its answers before you use them",
            id="refused model",
        ),
        pytest.param({}, {"max_unsure": 0.1}, "unsure of 2 of 10 images, more than batch.max_unsure", id="unsure"),
    ],
)
def test_what_needs_a_person_comes_first(changes: dict[str, Any], batch: dict[str, float], words: str) -> None:
    summary, limits = summary_of(**changes), BATCH.model_copy(update=batch)
    (alarm,) = alarms(summary, limits)
    assert words in alarm
    html = made(summary, batch=limits)
    assert "Needs a person" in html
    assert "All is well" not in html
    assert html.index(words) < html.index("What ran")


def test_events_and_cameras_stand_on_the_page_and_their_names_do_no_harm() -> None:
    events = {
        "events": 9, "images": 20, "without_time": 3, "burst_seconds": 30, "ok": 5, "unsure": 1, "not_certified": 3,
        "unreadable": 0, "labels": {"cat": 9}, "words": "Not certified: too few.",
    }  # fmt: skip
    look = {
        "images": 20, "until": "", "how": "", "brightness": 90.0, "contrast": 30.5, "sharpness": 12.0, "measures": {},
        "nights": 3,
    }  # fmt: skip
    changed = {**look, "changed": ("dirty", "moved"), "words": "<b>gate</b> looks dirty."}
    summary = summary_of(events=events, cameras={"<i>door": look, "<b>gate</b>": changed}, few_pictures={"<u>yard": 13})
    shown = dataclasses.replace(shown_of([]), events=[{
        "picture": None, "best_image": "<u>.jpg", "camera": "<b>gate</b>", "when": "2026-01-01 00:00:00",
        "images": "2", "label": "cat", "confidence": "0.75", "status": "not_certified",
    }])  # fmt: skip
    seen = Seen(page(summary, shown, Past(), alarms(summary, BATCH)))
    assert not {"b", "i", "u"} & {*seen.tags} - {*Seen(page(summary_of(), shown_of([]), Past(), [])).tags}
    assert "9 events of 20 images: 5 ok, 1 unsure, 3 not certified; 3 images without a time in none" in seen.text
    assert "Not certified: too few. Below are 1, of each label" in seen.text
    assert seen.text.index("<b>gate</b> looks dirty.") < seen.text.index("What to do")
    assert seen.text.index("dirty or out of focus, moved") < seen.text.index("<i>door")
    assert "None of these has changed" not in seen.text
    assert "Too few pictures to compare, under 20: <u>yard (13)." in seen.text
    assert "cat75.0\u00a0%, not certified" in seen.text
    assert "2026-01-01 00:00:00" in seen.text
    few = Seen(page(summary_of(few_pictures={"yard": 13}), shown_of([]), Past(), []))
    assert "under 20: yard (13)." in few.text
    assert "None of these has changed" not in few.text
    plain = Seen(page(summary_of(), shown_of([]), Past(), []))
    assert "Events" not in plain.text
    assert "Cameras" not in plain.text


def test_a_class_with_ten_predictions_and_none_sure_is_an_alarm_everywhere() -> None:
    labels = {"good": 34, "ok": 51, "<b>": 10, "few": 9}
    summary = summary_of(labels=labels, labels_ok={"good": 0, "ok": 1, "<b>": 0, "few": 0})
    (alarm,) = alarms(summary, BATCH)
    assert alarm.startswith("good: 0 of 34 sure, <b>: 0 of 10 sure: a person must look at every one. ")
    assert alarm in summary_lines(summary)
    assert "good: 0 of 34 sure, &lt;b&gt;: 0 of 10 sure" in made(summary)
    assert "All is well" not in made(summary)


def test_a_night_of_a_few_images_says_that_drift_was_not_measured() -> None:
    few = Seen(made(summary_of(drift={**DRIFT, "images": 26, "measures": [], "drifted": []})))
    assert "Too few images (26) to compare with the training images." in few.text
    assert "Too few images" not in Seen(made(summary_of(drift=DRIFT))).text


def test_an_uneventful_night_is_well_though_some_images_are_worth_a_look() -> None:
    assert alarms(summary_of(), BATCH) == []
    text = " ".join(Seen(made(summary_of())).text.split())
    assert "All is well 10 images, 6 ok, 2 unsure, 2 unreadable. 9 to look at." in text
    assert "2.0 images/s" in text
    assert "Reconciled: one row for every listed file" in text
    assert "empty: the file is empty" in text


def test_a_threshold_that_is_not_certified_is_told_of_first_and_raises_no_alarm() -> None:
    plain = {"certified": False, "lower_bound": 0.6, "words": "Not certified: <b>more</b> images."}
    summary = summary_of(certificate=plain)
    assert alarms(summary, BATCH) == []
    assert "Not certified: <b>more</b> images." in summary_lines(summary)
    html = made(summary)
    assert html.index("Not certified: &lt;b&gt;more&lt;/b&gt; images.") < html.index("What ran")
    certified = summary_of(certificate={"certified": True, "lower_bound": 0.93, "words": "Certified: 90 %."})
    assert "Certified: 90 %." in made(certified)
    assert summary_lines(certified) == summary_lines(summary_of())


def test_classes_stand_beside_validation_and_the_nights_before() -> None:
    earlier = [
        Night("monday", "2", {"listed": 10.0, "unsure": 1.0, "unreadable": 0.0, "share.cat": 0.5, "share.dog": 0.5}),
        Night("sunday", "2", {"listed": 10.0, "unsure": 1.0, "unreadable": 0.0, "share.cat": 1.0}),
    ]
    found = mixes(summary_of(drift=DRIFT), Past(tuple(earlier)))
    assert found == [Mix("cat", 6, 0.75, 0.25, 0.75), Mix("dog", 2, 0.25, 0.75, 0.25)]
    html = made(summary_of(drift=DRIFT), Past(tuple(earlier)))
    assert "the mean of the last 2 nights" in html
    assert html.index(">monday<") < html.index(">sunday<")
    assert 'width="75.00"' in html


def test_a_night_of_files_that_are_all_unreadable_has_a_page() -> None:
    html = made(summary_of(ok=0, unsure=0, unreadable=10, labels={}, seconds=0.0))
    assert "No image has a prediction" in html


def test_no_name_label_reason_or_night_becomes_markup() -> None:
    hostile = {**row(NIGHT[3]), "path": HOSTILE, "label": HOSTILE}
    rows = [hostile, {**row(NIGHT[4]), "path": HOSTILE, "error": HOSTILE}, {**hostile, "flags": "outlier"}]
    measure = {**DRIFT["measures"][1], "measure": HOSTILE}  # type: ignore[index]
    summary = summary_of(
        input=HOSTILE, model_name=HOSTILE, labels={HOSTILE: 8},
        drift={**DRIFT, "measures": [measure], "drifted": [HOSTILE], "labels": {HOSTILE: [8, 8]}},
        shadow={"model_version": HOSTILE, "compared": 9, "agreed": 8, "pairs": [[HOSTILE, "cat", 1]]},
    )  # fmt: skip
    night = Night(HOSTILE, HOSTILE, {"listed": 1.0, "unsure": 0.0, "unreadable": 0.0})
    html = page(summary, shown_of(rows, [{**hostile, "status": "ok", "flags": ""}]), Past((night,), HOSTILE),
                alarms(summary, BATCH))  # fmt: skip
    plain = Seen(made(summary_of(drift=DRIFT)))
    seen = Seen(html)
    assert set(seen.tags) <= {*plain.tags, "td"}, "no new element"
    assert "script" not in seen.tags
    assert "img" not in seen.tags
    assert not {name for name in seen.attributes if name.startswith("on")}
    assert seen.text.count(HOSTILE) >= 12, "as text, letter by letter"


@pytest.mark.parametrize(
    ("store", "address"),
    [
        ("sqlite:////srv/mlflow.db", ""),
        ("postgresql://user:secret@host/db", ""),
        ("http://user:secret@host:5000/mlflow/", "http://host:5000/mlflow/#/models/a%2Fb/versions/3"),
    ],
)
def test_the_version_is_linked_where_mlflow_is_a_server_and_no_password_with_it(store: str, address: str) -> None:
    assert version_page(store, "a/b", "3") == address


@pytest.fixture
def hostile_night(night: Path) -> Path:
    """Ten shapes, an image whose name is markup, an unreadable file of such a name."""
    draw_shape(night / "<img src=x onerror=alert(1)>.png", "circle", seed=77)
    (night / '"><script>alert(2)<.png').write_bytes(b"no")
    save_image(night / "strange.png", seed=5, width=300, height=40)
    return night


def test_a_night_writes_its_page_and_the_next_one_knows_of_it(
    project: Path, hostile_night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    for name in ("monday", "tuesday"):
        said = nightshift("classify", str(hostile_night), f"predictions/{name}", "--no-prefect", cwd=project)
        assert "morning page" not in said.stderr
    first, second = (Path(f"predictions/{name}/morning.html").read_text() for name in ("monday", "tuesday"))
    assert ">monday<" not in first
    assert ">monday<" in second
    assert ">tuesday<" not in second
    seen = Seen(second)
    assert "script" not in seen.tags
    assert "onerror" not in seen.attributes
    assert '"><script>alert(2)<.png: not an image' in seen.text
    assert f'<a class="frame" href="{(hostile_night / "strange.png").as_uri()}"><img src="data:image/jpeg;' in second
    assert "http" not in second, "it needs no other file"
    for address in (
        "review.html", "predictions.csv", "review.csv", "model_card.html", "../index.html",
        "../../reports/evaluation.html", "../../reports/data.html",
    ):  # fmt: skip
        assert f'href="{address}"' in second, address
        assert (Path("predictions/tuesday") / address).is_file()
    assert 'href="morning.html"' in Path("predictions/tuesday/review.html").read_text()
    every = Path("predictions/index.html").read_text()
    assert every.index('href="tuesday/morning.html"') < every.index('href="monday/morning.html"')
    assert ">Model card of version 1</a>" in second
    assert ">Newest training: evaluation</a>" in second, "also when a later model is trained"
    card = Path("predictions/tuesday/model_card.html").read_text()
    assert "nightshift version 1" in card
    Path("reports/model_card.md").write_text("the card of a later model")

    Path("predictions/tuesday/morning.html").unlink()
    Path("predictions/index.html").unlink()
    said = forked.nightshift("report", cwd=project)
    assert said.stdout.strip() == "predictions/tuesday/morning.html"
    assert Path("predictions/tuesday/morning.html").read_text() == second
    assert Path("predictions/index.html").is_file()
    nightshift("report", "predictions/monday", cwd=project)
    assert Path("predictions/tuesday/model_card.html").read_text() == card, "an old night keeps its model's card"
    assert Path("predictions/monday/morning.html").read_text() == first, "the nights after it are not before it"
    shutil.rmtree(hostile_night)
    nightshift("report", cwd=project)
    without = Path("predictions/tuesday/morning.html").read_text()
    assert "no longer readable, or changed" in without
    assert Seen(without).text.count(".png") == seen.text.count(".png"), "all rows, without their pictures"


def test_without_a_history_the_page_says_why(
    here: Params, night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    untracked = here.model_copy(update={"batch": here.batch.model_copy(update={"track": False})})
    classify(night, tmp_path / "out", untracked)
    assert "batch.track is false" in (tmp_path / "out/morning.html").read_text()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    draw_again(folder_at(tmp_path / "out"), here)
    dead = (tmp_path / "out/morning.html").read_text()
    assert "Could not reach the MLflow store" in dead
    assert "secret" not in dead


def test_a_page_that_cannot_be_drawn_costs_no_row(
    here: Params, night: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out/morning.html").mkdir(parents=True)
    (tmp_path / "out/morning.html/in the way").touch()
    monkeypatch.setattr("pipeline.core.log.log.propagate", True)
    summary = classify(night, tmp_path / "out", here)
    assert summary.listed == 10
    assert (tmp_path / "out/predictions.csv").is_file()
    assert f"To write it: `nightshift report {tmp_path / 'out'}`" in caplog.text


def test_what_has_no_row_is_said_in_terminal_summary_and_page(here: Params, night: Path, tmp_path: Path) -> None:
    for name in ("film.mp4", "film2.MP4", "raw.cr3", "#recycle/deleted.jpg", "@eaDir/thumb.jpg"):
        (night / name).parent.mkdir(exist_ok=True)
        (night / name).write_bytes(b"words")
    (night / "shared").symlink_to(tmp_path)
    summary = classify(night, tmp_path / "out", here)
    assert summary.listed == 10
    page = Seen((tmp_path / "out/morning.html").read_text()).text
    for words in ("3 other files skipped: film.mp4, film2.MP4, raw.cr3.", "1 link was not followed"):
        assert any(words in line for line in summary_lines(summary))
        assert words in page
    written = json.loads((tmp_path / "out/summary.json").read_text())["left_aside"]
    assert (written["files"], written["link_names"]) == ({".mp4": 2, ".cr3": 1}, ["shared"])


def test_a_night_over_its_limit_has_its_page_too(here: Params, tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"night/{number}.png").parent.mkdir(exist_ok=True)
        (tmp_path / f"night/{number}.png").write_bytes(b"no")
    with pytest.raises(TooManyUnreadable):
        classify(tmp_path / "night", tmp_path / "out", here)
    assert "4 of 4 files are unreadable" in (tmp_path / "out/morning.html").read_text()


def test_a_folder_without_a_night_is_named(defaults: Params, tmp_path: Path) -> None:
    with pytest.raises(MorningError, match="holds no finished night"):
        draw_again(folder_at(tmp_path), defaults)


def test_a_shadow_stands_on_the_page(registry_project: Path, night: Path, tmp_path: Path) -> None:
    nightshift("classify", str(night), str(tmp_path / "out"), "--shadow", "--no-prefect", cwd=registry_project)
    assert "It agrees on 10 of 10 files" in (tmp_path / "out/morning.html").read_text()
    assert not (tmp_path / "out/shadow/morning.html").exists()
    assert json.loads((tmp_path / "out/summary.json").read_text())["shadow"]["agreed"] == 10


def test_it_can_be_read_on_a_phone(tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    summary = summary_of(input="/photos/" + 40 * "very", drift=DRIFT, labels={"cat" * 40: 6, "dog": 2})
    (tmp_path / "morning.html").write_text(made(summary))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        shown = browser.new_page(viewport={"width": 360, "height": 740})
        shown.goto((tmp_path / "morning.html").as_uri())
        assert shown.evaluate("document.documentElement.scrollWidth") <= 360
        assert shown.locator("figure").count() == 8
        shown.screenshot(path=tmp_path / "phone.png", full_page=True)
        browser.close()
