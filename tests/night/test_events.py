"""Pictures that one camera takes shortly after another are one event, with one answer and an honest status."""

import datetime
import itertools
from pathlib import Path

import numpy as np
import pytest

from pipeline.data.bursts import burst_numbers
from pipeline.model.certificate import EventRule
from pipeline.night.counts import feed
from pipeline.night.events import EVENT_COLUMNS, SHOWN, Events, read_events, to_show, write_events
from pipeline.night.morning import draw_again
from pipeline.night.rows import Row, read_rows
from pipeline.params.file import Params
from pipeline.storage.folders import folder_at
from tests.fixtures.certificates import CERTIFIED, UNCERTAIN
from tests.fixtures.images import save_image
from tests.fixtures.nights import classify
from tests.fixtures.reviews import image, row
from tests.fixtures.taken import jpeg

RULE = EventRule(burst_seconds=30, unsure_below=0.75, certificate=CERTIFIED)


def seen(
    second: float, confidence: float | None = 0.9, *, camera: str = "gate", flags: str = "", path: str = ""
) -> Row:
    """A row of a picture; without a confidence it was unreadable."""
    name = path or f"{camera}/{second:g}.jpg"
    found = row(image(name, confidence or 0.9, flags=flags))
    if confidence is None:
        found = {**dict.fromkeys(found, ""), "path": name, "status": "unreadable"}
    taken_at = f"2026-11-26T09:{int(second) // 60:02d}:{int(second) % 60:02d}+00:00" if second >= 0 else ""
    return {**found, "camera": camera, "taken_at": taken_at, "sha256": f"of {name}"}


def events_of(rows: list[Row], rule: EventRule | None = RULE) -> list[dict[str, str]]:
    events = Events(("cat", "dog"), 30, rule)
    feed(rows, [events])
    return events.found()


def test_an_event_has_the_mean_of_its_images_and_its_best_one() -> None:
    rows = [seen(0, 0.7), seen(20, 0.95), seen(40, None), seen(70, 0.9), seen(20, 0.4, camera="door")]
    gate, door, later = events_of(rows)
    assert list(gate) == list(EVENT_COLUMNS)
    assert gate == {
        "event": "gate 2026-11-26T09:00:00+00:00", "start": "2026-11-26T09:00:00+00:00",
        "end": "2026-11-26T09:00:40+00:00", "camera": "gate", "images": "3", "unreadable": "1", "status": "ok",
        "label": "cat", "confidence": "0.825000", "flags": "", "best_image": "gate/20.jpg",
        "best_sha256": "of gate/20.jpg",
    }  # fmt: skip
    assert (door["camera"], door["images"], door["confidence"]) == ("door", "1", "0.600000")
    assert (door["label"], door["best_image"]) == ("dog", "door/20.jpg")
    assert (later["start"], later["images"]) == ("2026-11-26T09:01:10+00:00", "1")


@pytest.mark.parametrize(
    ("rows", "rule", "status", "flags"),
    [
        pytest.param([seen(0), seen(1)], RULE, "ok", "", id="certified"),
        pytest.param([seen(0, 0.8), seen(1, 0.6)], RULE, "unsure", "low_confidence", id="below the threshold"),
        pytest.param([seen(0), seen(1, flags="outlier")], RULE, "unsure", "outlier", id="half are outliers"),
        pytest.param([seen(0), seen(1), seen(2, flags="outlier")], RULE, "ok", "", id="fewer are"),
        pytest.param([seen(0), seen(1)], None, "not_certified", "", id="no rule"),
        pytest.param(
            [seen(0), seen(1)], RULE.model_copy(update={"certificate": UNCERTAIN}), "not_certified", "", id="too few"
        ),
        pytest.param([seen(0, flags="outlier"), seen(1, flags="outlier")], None, "unsure", "outlier", id="strangers"),
        pytest.param([seen(0)], None, "ok", "", id="one image has its own status"),
        pytest.param([seen(0, 0.6, flags="low_confidence dark"), seen(1, None)], None, "unsure", "low_confidence",
                     id="of which one is readable"),
        pytest.param([seen(0, None), seen(1, None)], RULE, "unreadable", "", id="none is"),
    ],
)  # fmt: skip
def test_a_status_promises_only_what_is_certified(rows: list[Row], rule: EventRule, status: str, flags: str) -> None:
    [event] = events_of(rows, rule)
    assert (event["status"], event["flags"]) == (status, flags)


def test_the_order_of_the_listing_changes_no_event_and_they_are_the_bursts_of_training() -> None:
    draw = np.random.default_rng(3)
    drawn = zip(draw.integers(0, 3500, 200), draw.uniform(0.5, 1, 200), draw.choice(["a", "b"], 200), strict=True)
    rows = [seen(at, sure, camera=str(camera), path=f"{n}") for n, (at, sure, camera) in enumerate(drawn)]
    expected = events_of(rows)
    for _ in range(5):
        draw.shuffle(rows)
        assert events_of(rows) == expected
    numbers = burst_numbers([one["camera"] for one in rows], [one["taken_at"] for one in rows], 30)
    sizes = sorted(len([*group]) for _, group in itertools.groupby(sorted(numbers.tolist())))
    assert sorted(int(event["images"]) for event in expected) == sizes
    assert 30 < len(sizes) < 150, "some are alone, some are not"


def test_the_summary_says_what_is_in_no_event_and_what_is_certain() -> None:
    events = Events(("cat", "dog"), 10, RULE)
    feed([seen(0), seen(29), seen(-1)], [events])
    counts = events.counts(events.found())
    assert counts
    assert counts.line == "1 event of 2 images: 1 ok; 1 image without a time in none"
    assert counts.burst_seconds == 30, "the certificate's, not that of params.yaml"
    assert counts.words.startswith("Certified with 90 % confidence: at least 90 % of the events with several images")
    alone = Events(("cat", "dog"), 10, None)
    feed([seen(0), seen(29)], [alone])
    found = alone.counts(alone.found())
    assert found
    assert (found.events, found.ok, found.words) == (2, 2, "")
    untimed = Events(("cat", "dog"), 10, RULE)
    feed([seen(-1)], [untimed])
    assert untimed.counts(untimed.found()) is None


def test_the_file_comes_back_and_a_night_without_events_leaves_none(tmp_path: Path) -> None:
    output, rows = folder_at(tmp_path), events_of([seen(0, camera="=1+1"), seen(90, camera="-b")])
    write_events(output, rows)
    assert b"\r\n'=1+1 2026" in (tmp_path / "events.csv").read_bytes(), "no spreadsheet formula"
    assert read_events(output) == rows
    write_events(output, [])
    assert not [*tmp_path.iterdir()]
    assert read_events(output) == []


def test_a_page_shows_each_label_in_turn() -> None:
    events = events_of([seen(31 * n, 0.5 + n / 60, camera="many") for n in range(20)])
    rare = events_of([seen(5, 0.1, camera="rare")])
    shown = to_show([*events, *rare])
    assert len(shown) == SHOWN
    assert [one["label"] for one in shown] == ["dog", *["cat"] * (SHOWN - 1)], "by their start"
    assert shown[1:] == events[-SHOWN + 1 :]


def test_a_night_writes_its_events_from_the_pictures_bytes_and_a_night_again_the_same(
    here: Params, tmp_path: Path
) -> None:
    source, at = tmp_path / "photos", datetime.datetime(2026, 11, 26, 2)
    for number, seconds in enumerate((0, 20, 40, 300, 310)):
        data = jpeg(at + datetime.timedelta(seconds=seconds), "+01:00", model="gate")
        file = source / f"{number}.jpg"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(data[:-20] if number == 1 else data)  # half a photograph has its time
    save_image(source / "untimed.png")
    summaries = [classify(source, tmp_path / name, here) for name in ("first", "second")]
    first, second = ((tmp_path / name / "events.csv").read_bytes() for name in ("first", "second"))
    assert first == second
    found = read_events(folder_at(tmp_path / "first"))
    assert [(one["start"], one["images"], one["unreadable"]) for one in found] == [
        ("2026-11-26T02:00:00+01:00", "3", "1"), ("2026-11-26T02:05:00+01:00", "2", "0"),
    ]  # fmt: skip
    answers = {one["path"]: one for one in read_rows(tmp_path / "first" / "predictions.csv")}
    assert found[1]["confidence"] == answers["3.jpg"]["confidence"] == answers["4.jpg"]["confidence"]
    assert {one["status"] for one in found} <= {"not_certified", "unsure"}, "validated on no event"
    counts = summaries[0].events
    assert counts
    assert (counts.events, counts.images, counts.without_time) == (2, 5, 1)
    written = (tmp_path / "first" / "morning.html").read_text()
    assert "2 events of 5 images" in written
    draw_again(folder_at(tmp_path / "first"), here)
    assert (tmp_path / "first" / "morning.html").read_text().count("<img") == written.count("<img") > 1
