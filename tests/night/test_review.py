"""What a person looks at first comes first, nothing is hidden by the rest, and no name can do harm on the page."""

import base64
import csv
import io
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.core.pages import Picture
from pipeline.model.contract import Contract
from pipeline.night.review import (
    KINDS,
    PICTURES,
    Review,
    kind_of,
    page,
    thumbnails,
    why_of,
    write_review,
)
from pipeline.night.rows import COLUMNS, FileOutcome, Unreadable, read_rows, to_row, write_rows
from pipeline.night.summary import Drift, ReviewCounts
from pipeline.params.data import Images
from pipeline.storage.files import sha256_of_file
from pipeline.storage.folders import folder_at
from tests.fixtures.images import save_image
from tests.fixtures.reviews import HOSTILE, NIGHT, STAMP, choose, image, row

RULES = Images(width=32, height=24, fit="stretch", max_megapixels=1)
CONTRACT = Contract(
    class_names=("cat", "dog"), images=RULES, backbone="cnn", temperature=1.0, unsure_below=0.7,
    dataset_sha256="1" * 64, weights_sha256="2" * 64, code_commit="", reference_sha256="3" * 64, outlier_above=0.25,
)  # fmt: skip


ORDER = [
    "empty", "text", "far outlier", "sure outlier", "most unsure", "unsure", "darker and small", "dark and less sure",
    "dark",
]  # fmt: skip


def paths(review: Review) -> list[str]:
    return [one["path"] for one in review.rows]


def test_first_things_come_first_and_what_is_fine_does_not_come() -> None:
    found = choose(map(row, NIGHT), 500)
    assert paths(found) == ORDER
    assert found.counts == {"unreadable": 2, "outlier": 2, "unsure": 2, "flagged": 3}
    assert found.total == 9


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("empty", "unreadable"),
        ("far outlier", "outlier; low confidence; blurred"),
        ("most unsure", "low confidence; dark"),
        ("darker and small", "dark; small"),
    ],
)
def test_every_reason_is_named(path: str, why: str) -> None:
    assert why_of(next(one for one in map(row, NIGHT) if one["path"] == path)) == why


def test_a_row_of_an_earlier_version_has_its_status_as_the_reason() -> None:
    earlier = {**row(image("a", 0.6, flags="dark")), "status": "unsure"}
    assert (kind_of(earlier), why_of(earlier)) == ("unsure", "unsure; dark")
    assert kind_of({**row(image("b", flags="outlier")), "status": "ok"}) == "outlier"


def test_what_is_cut_off_leaves_each_kind_its_share_and_the_first_of_it() -> None:
    many = [
        outcome
        for number in range(50)
        for outcome in (
            Unreadable(f"unreadable {number:02d}", "empty"),
            image(f"outlier {number:02d}", score=0.3 + number / 100, flags="outlier"),
            image(f"unsure {number:02d}", 0.5 + number / 1000, flags="low_confidence"),
        )
    ]
    found = choose(map(row, many), 8)
    assert paths(found) == [
        "unreadable 00", "unreadable 01", "unreadable 02", "unreadable 03", "outlier 49", "outlier 48", "unsure 00",
        "unsure 01",
    ]  # fmt: skip
    assert found.total == 150
    assert found.counts == {"unreadable": 50, "outlier": 50, "unsure": 50, "flagged": 0}
    assert choose(map(row, many), 0).rows == []


def some_outcomes() -> st.SearchStrategy[list[FileOutcome]]:
    numbers = st.sampled_from([0.1, 0.5, 0.6])
    one = st.one_of(
        st.just(Unreadable("", "why")),
        st.builds(
            lambda confidence, score, flags: image("", confidence, score=score, flags=flags),
            numbers, numbers, st.sampled_from(
                ["", "outlier", "low_confidence", "outlier low_confidence", "low_confidence dark", "dark", "dark small"]
            ),
        ),
    )  # fmt: skip
    return st.lists(one, max_size=40).map(
        lambda found: [replace(outcome, path=str(number)) for number, outcome in enumerate(found)]
    )


@given(outcomes=some_outcomes(), most=st.integers(0, 45))
def test_a_shorter_review_is_the_longer_one_with_rows_left_out(outcomes: list[FileOutcome], most: int) -> None:
    rows = [*map(row, outcomes)]
    whole, short = choose(rows, 1000), choose(rows, most)
    needed = [one["path"] for one in rows if kind_of(one)]
    assert sorted(paths(whole)) == sorted(needed)
    assert short.counts == whole.counts
    assert len(short.rows) == min(most, len(needed))
    for kind in KINDS:  # of each kind it has the first ones, and never fewer than its share
        all_of, few_of = ([one["path"] for one in review.rows if kind_of(one) == kind] for review in (whole, short))
        assert few_of == all_of[: len(few_of)]
        assert len(few_of) >= min(len(all_of), most // len(KINDS))


DRIFT = Drift.model_validate({
    "images": 40,
    "measures": [
        {"measure": "label", "statistic": 0.1, "p_value": 0.2},
        {"measure": "brightness", "statistic": 0.61, "p_value": 1e-9, "tonight": 42.0, "usual": 120.0},
    ],
    "drifted": ["brightness"],
    "labels": {"<b>cat": [30, 20], "dog": [10, 20]},
})  # fmt: skip


def write(output: Path, most: int, drift: Drift | None = None) -> ReviewCounts:
    """The review of the night in `output`, over the images beside it."""
    review = choose(read_rows(output / "predictions.csv"), most)
    pictures = thumbnails(folder_at(output.parent / "night"), review.rows, RULES, 2, folder_at(output))
    write_review(folder_at(output), review, pictures, CONTRACT, drift)
    return review.summary


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """A night over real files: three that need a look, of which one is gone and one another by now."""
    folder = tmp_path / "night"
    for number, name in enumerate(("a.png", "b.png", "=c.jpg", "d.png")):
        save_image(folder / name, seed=number, width=80, height=40)
    outcomes: list[FileOutcome] = [
        replace(image(name, 0.6, flags="low_confidence"), sha256=sha256_of_file(folder / name), width=80, height=40)
        for name in ("a.png", "b.png", "=c.jpg", "d.png")
    ]
    (folder / "b.png").unlink()
    save_image(folder / "d.png", seed=9)
    (tmp_path / "out").mkdir()
    write_rows(tmp_path / "out" / "predictions.csv", [to_row(outcome, STAMP) for outcome in [*NIGHT, *outcomes]])
    return tmp_path / "out"


def test_the_review_has_the_columns_of_the_night_and_three_more(output: Path) -> None:
    said = write(output, 4)
    assert said == ReviewCounts(rows=4, of=13, unreadable=2, outlier=2, unsure=6, flagged=3)
    with (output / "review.csv").open(encoding="utf-8", newline="") as file:
        heading, *rows = csv.reader(file, strict=True)
    assert heading == [*COLUMNS, "why", "correct_label", "judged"]
    assert [line[0] for line in rows] == ["empty", "far outlier", "most unsure", "darker and small"]
    assert rows[1][-3:] == ["outlier; low confidence; blurred", "", ""]
    night = {line["path"]: line for line in read_rows(output / "predictions.csv")}
    for line in read_rows(output / "review.csv"):
        assert {column: line[column] for column in COLUMNS} == night[line["path"]]


def test_a_night_without_anything_to_look_at_says_so(tmp_path: Path) -> None:
    write_rows(tmp_path / "predictions.csv", [to_row(image("fine"), STAMP)])
    (tmp_path / "review.csv").write_text("of the night before")
    assert write(tmp_path, 500).of == 0
    assert [*read_rows(tmp_path / "review.csv")] == []
    assert "Nothing to look at" in (tmp_path / "review.html").read_text()


def test_pictures_are_of_the_files_that_were_judged_in_their_own_shape_and_open_them(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, night = [*read_rows(output / "predictions.csv")], folder_at(output.parent / "night")
    found = thumbnails(night, rows, RULES, 2, folder_at(output))
    assert found.keys() == {"a.png", "./=c.jpg"}, "not the one that is gone, nor the one that is another by now"
    with Image.open(io.BytesIO(base64.b64decode(found["a.png"].source.partition(",")[2]))) as picture:
        assert picture.size == (128, 64)
    assert found["./=c.jpg"].address == f"{(output.parent / 'night').as_uri()}/%3Dc.jpg", "outside the project"
    monkeypatch.chdir(output.parent)
    write(output, 500)
    links = re.findall(r'<a class="frame" href="([^"]*)"><img', (output / "review.html").read_text())
    assert sorted(links) == ["../night/%3Dc.jpg", "../night/a.png"], "inside it, which can be moved then"
    shutil.rmtree(output.parent / "night")
    assert thumbnails(night, rows, RULES, 2, folder_at(output)) == {}


def test_no_name_label_or_reason_becomes_markup() -> None:
    outcomes: list[FileOutcome] = [
        Unreadable(HOSTILE, HOSTILE),
        replace(image(HOSTILE, 0.6, flags="low_confidence"), ranked=((HOSTILE, 0.6), ("b", 0.4))),
        image(HOSTILE, flags="outlier"),
        image(HOSTILE, flags="dark"),
    ]
    review = choose(map(row, outcomes), 9)
    made = page(review, {}, CONTRACT, None)
    assert "<script" not in made
    assert "<img" not in made
    assert made.count("{{ 7 * 7 }}") > 4, "as text"
    assert made.count("&lt;script&gt;") > 4


def test_the_page_names_the_labels_to_choose_from_where_there_are_several() -> None:
    unsure, many = image("two", 0.6, flags="low_confidence"), tuple(f"kind {number}" for number in range(11))
    outcomes: list[FileOutcome] = [
        replace(unsure, candidates=("cat", "<b>dog</b>")),
        replace(image("one", 0.6, flags="low_confidence"), candidates=("cat",)),
        replace(image("many", 0.6, flags="low_confidence"), candidates=many),
        image("of an earlier model", 0.6, flags="low_confidence"),
    ]
    made = page(choose(map(row, outcomes), 9), {}, CONTRACT, None)
    assert re.findall(r"choose: (.*?)<br>", made) == [
        "cat or &lt;b&gt;dog&lt;/b&gt;",
        "kind 0 or kind 1 or kind 2 or kind 3 or kind 4 or kind 5 or kind 6 or kind 7 or 3 more",
    ]


def test_the_page_shows_so_many_pictures_and_says_what_is_left_out() -> None:
    review = choose((row(image(f"{number:04d}.png", 0.6, flags="low_confidence")) for number in range(300)), 250)
    assert review.total == 300
    made = page(review, {"0001.png": Picture("data:image/jpeg;base64,AAAA")}, CONTRACT, None)
    assert made.count("<figure>") == PICTURES
    assert made.count("<img ") == 1
    assert 'href=""' not in made, "of an image in a store"
    assert (
        "Where a picture shows none of the classes, write <code>reject</code> into its <code>correct_label</code>"
        in made
    )
    assert f"The first {PICTURES} of 300" in made
    assert "300 images to look at" in made
    assert "<code>review.csv</code> has 250 of them" in made
    assert "http" not in made, "it needs no other file"


def test_it_can_be_read_on_a_phone(output: Path, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    write(output, 500, DRIFT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        shown = browser.new_page(viewport={"width": 360, "height": 740})
        shown.goto((output / "review.html").as_uri())
        assert shown.evaluate("document.documentElement.scrollWidth") <= 360
        assert shown.locator("figure").count() == 11
        assert shown.locator("figure img").count() == 2
        shown.screenshot(path=tmp_path / "phone.png", full_page=True)
        browser.close()


def test_the_page_says_what_has_moved_away_from_training() -> None:
    made = page(choose([], 9), {}, CONTRACT, DRIFT)
    assert '<b class="doubt">brightness</b> moved far' in made
    assert "width: 61%" in made
    assert "&lt;b&gt;cat" in made
    assert "Tonight against training" not in page(choose([], 9), {}, CONTRACT, None)
