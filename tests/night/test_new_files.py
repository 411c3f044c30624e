"""Files that came after an interrupted night began are counted when it goes on; those that are gone need no repair."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.night.morning import Past, Shown, page
from pipeline.night.new_files import missing_from
from pipeline.night.review import KINDS
from pipeline.night.verdict import raised
from pipeline.params.file import Params
from pipeline.storage.listing import order_of
from tests.fixtures.images import save_image
from tests.fixtures.nights import begun, classify, rows
from tests.fixtures.summaries import BATCH, summary_of

NAMES = st.text("ab! -.0\udcff\uffff\U0001f34e", min_size=1, max_size=3)
PATHS = st.sets(st.lists(NAMES, min_size=1, max_size=3).map("/".join))


@given(listed=PATHS, now=PATHS)
def test_what_is_missing_from_a_list_is_found_in_one_pass(listed: set[str], now: set[str]) -> None:
    found = missing_from(iter(sorted(listed, key=order_of)), iter(sorted(now, key=order_of)))
    assert [*found] == sorted(now - listed, key=order_of)


def test_each_time_a_night_goes_on_it_says_which_files_have_no_row(
    here: Params, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    photos, output = tmp_path / "photos", tmp_path / "out"
    for name in ("a/1.png", "a.png", "b.png"):
        save_image(photos / name)
    run = begun(photos, output, here)
    assert (run.came_since, begun(photos, output, here).came_since) == (0, 0)
    assert "came after" not in caplog.text
    save_image(photos / "a/0.png")
    (photos / "notes.txt").write_text("not an image")
    assert begun(photos, output, here).came_since == 1
    assert "1 file came after this night began, and has no row in it: it was interrupted" in caplog.text

    photos.rename(tmp_path / "away")
    caplog.clear()
    assert begun(photos, output, here).came_since == 0
    assert "Could not see whether files came after this night began: " in caplog.text
    assert "photos does not exist" in caplog.text
    (tmp_path / "away").rename(photos)

    (photos / "b.png").unlink()  # one that is gone hides none that came
    for name in ("a b/1.png", "c.png"):
        save_image(photos / name)
    summary = classify(photos, output, here)
    assert (summary.listed, summary.came_since, summary.reconciled) == (3, 3, True)
    assert [row["path"] for row in rows(output)] == ["a/1.png", "a.png", "b.png"]
    (alarm,) = [one for one in raised(summary, BATCH) if one.about == "new files"]
    assert alarm.words.startswith("3 files came after this night began, and have no row in it")
    assert alarm.words in " ".join((output / "morning.html").read_text().split())
    assert json.loads((output / "summary.json").read_text())["came_since"] == 3

    again = classify(photos, output, here)
    assert (again.listed, again.came_since) == (5, 0)
    assert "came after" not in (output / "morning.html").read_text()


@pytest.mark.parametrize(
    ("gone", "repaired", "said"),
    [
        (0, "Repair or replace the 2 unreadable files, or delete them.", ""),
        (1, "Repair or replace the 1 unreadable file, or delete it.", "1 file was listed when the night began, and"),
        (2, "", "2 files were listed when the night began, and gone at their turn. If nobody took them out, look"),
    ],
)
def test_nobody_is_asked_to_repair_files_that_are_gone(gone: int, repaired: str, said: str) -> None:
    html = page(summary_of(unreadable=2, gone=gone), Shown("out", {kind: [] for kind in KINDS}, {}), Past(), [])
    for words, start in ((repaired, "Repair"), (said, "when the night began, and gone")):
        assert (start in html) == bool(words)
        assert words in html
