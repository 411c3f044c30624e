"""A night's accuracy by judged images: its interval holds the truth as often as it says, whatever people judge."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import hypergeom

from pipeline.data.judgements import Judgement, Judgements, counting
from pipeline.night.accuracy import ACCURACY, Estimate, read_accuracy
from pipeline.night.all_nights import PAGE as ALL_NIGHTS
from pipeline.night.morning import draw
from pipeline.night.rows import COLUMNS, Classified, Row, to_row, write_rows
from pipeline.review.accuracy import (
    LEAST,
    Counted,
    TooFew,
    count,
    estimate,
    finite_ends,
    night_accuracy,
    write_accuracy,
)
from pipeline.review.draw import lot, seed_of
from pipeline.storage.folders import folder_at
from tests.fixtures.rows import STAMP
from tests.fixtures.summaries import BATCH, summary_of

NIGHT = summary_of()
BATCH_ALONE = BATCH.model_copy(update={"track": False})


def sha_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def ok(name: str, label: str = "cat", *, unsure: bool = False) -> Row:
    outcome = Classified(f"{name}.png", sha_of(name), 40, 30, ((label, 0.9), ("other", 0.1)), unsure)
    return dict(zip(COLUMNS, to_row(outcome, STAMP), strict=True))


def says(name: str, label: str = "cat", reader: str = "ada", **said: bool) -> Judgement:
    return Judgement(sha256=sha_of(name), path=f"{name}.png", label="" if said else label, reader=reader,
                     source="night", **said)  # type: ignore[arg-type]  # fmt: skip


ROWS = sorted((ok(str(n)) for n in range(200)), key=lambda row: lot(seed_of(NIGHT), row["sha256"]))  # as drawn
DRAW = [row["path"].removesuffix(".png") for row in ROWS]


def by(judged: Sequence[Judgement], rows: Sequence[Row] = ROWS) -> Estimate | TooFew | None:
    return night_accuracy(rows, counting(judged), NIGHT)


def of(judged: Sequence[Judgement], rows: Sequence[Row] = ROWS) -> Estimate:
    found = by(judged, rows)
    assert isinstance(found, Estimate)
    return found


@pytest.mark.parametrize("images", [1, 7, 24])
def test_the_interval_has_every_truth_by_which_the_draw_is_not_extreme(images: int) -> None:
    truths = np.arange(images + 1)
    for drawn in range(1, images + 1):
        chance = hypergeom.pmf(np.arange(drawn + 1)[:, None], images, truths, drawn)  # (right ones, truths)
        for right in range(drawn + 1):
            low, high = finite_ends(right, drawn, images, 0.95)
            fewer = chance[:right].sum(axis=0) + chance[right] / 2
            inside = (chance[right] > 0) & (fewer > 0.025) & (fewer < 0.975)
            assert np.flatnonzero(inside).tolist() == [*range(low, high + 1)]
    assert finite_ends(images, images, images, 0.95) == (images, images)
    assert finite_ends(0, 0, images, 0.95) == (0, images)


@pytest.mark.parametrize("drawn", [30, 60, 120])
def test_an_interval_holds_the_truth_as_often_as_it_says(drawn: int) -> None:
    images = 200
    chance = hypergeom.pmf(np.arange(drawn + 1)[:, None], images, np.arange(images + 1), drawn)
    held = np.zeros(chance.shape)
    for right in range(drawn + 1):
        low, high = finite_ends(right, drawn, images, 0.95)
        held[right, low : high + 1] = 1
    coverage = (chance * held).sum(axis=0)  # of each truth
    assert 0.95 < coverage.mean() < 0.965
    assert coverage.min() > 0.91


def test_ends_of_many_images_are_found_at_once_and_are_those_of_a_draw_with_replacement() -> None:
    low, high = finite_ends(115, 120, 1_000_000, 0.95)
    assert (low / 1e6, high / 1e6) == (pytest.approx(0.910, abs=1e-3), pytest.approx(0.985, abs=1e-3))


R, W, OPEN, N = "right", "wrong", "open", None


@pytest.mark.parametrize(
    ("answers", "counted"),
    [
        ([N, R, R], Counted(images=3, judged=0, right=0, open=0, known=2, known_right=2)),
        ([R, W, OPEN, R, N, W, OPEN], Counted(images=7, judged=3, right=2, open=1, known=4, known_right=2)),
        ([R, R], Counted(images=2, judged=2, right=2, open=0, known=2, known_right=2)),
        ([], Counted(images=0, judged=0, right=0, open=0, known=0, known_right=0)),
    ],
    ids=["its first image waits", "up to the first that waits", "all", "none"],
)
def test_the_draw_goes_up_to_the_first_image_without_a_judgement(answers: list, counted: Counted) -> None:  # type: ignore[type-arg]
    assert count(answers) == counted


def test_what_is_known_beyond_the_draw_bounds_the_truth() -> None:
    drawn = Counted(images=100, judged=30, right=30, open=0, known=30, known_right=30)
    low, high = finite_ends(30, 30, 100, 0.95)
    assert estimate(drawn) == (1, low / 100, high / 100) == (1, low / 100, 1)
    assert estimate(replace(drawn, known=35)) == (0.95, low / 100, 0.95)  # five wrong ones by a sweep
    assert estimate(replace(drawn, known=99, known_right=99)) == (1, 0.99, 1)
    # As good as impossible by the draw: what is known remains.
    assert estimate(replace(drawn, known=90)) == (0.4, 0.3, 0.4)


@given(st.lists(st.sampled_from([R, R, R, W, OPEN, N]), min_size=1, max_size=60))
def test_an_interval_holds_its_share_and_every_truth_that_is_known(answers: list) -> None:  # type: ignore[type-arg]
    counted = count(answers)
    if counted.judged:
        share, low, high = estimate(counted)
        assert 0 <= low <= share <= high <= 1
        assert round(low * counted.images) >= counted.known_right
        assert round(high * counted.images) <= counted.images - (counted.known - counted.known_right)


def test_images_that_nobody_can_tell_or_that_readers_see_differently_count_for_both_ends() -> None:
    judged = [says(name) for name in DRAW[:40]]
    hard = [says(DRAW[40], cannot_tell=True), says(DRAW[41]), says(DRAW[41], "dog", "bob")]
    found = of(judged + hard)
    assert (found.judged, found.right, found.cannot_tell, found.share) == (40, 40, 2, 1)
    assert (found.low, found.high) == (finite_ends(40, 42, 200, 0.95)[0] / 200, 1)
    assert found.sentence == (
        "By 40 judged images, 100 % (86 to 100) of the night's answers with status ok are right. 2 more have no "
        "certain answer: wrong for the lower end, right for the upper."
    )
    agreed = of([*judged, *hard, says(DRAW[41], "dog")])  # ada sees it now
    assert (agreed.judged, agreed.right, agreed.cannot_tell) == (41, 40, 1)


@pytest.mark.parametrize(
    ("said", "right"),
    [({"label": " CAT"}, True), ({"label": "dog"}, False), ({"reject": True}, False)],
    ids=["spelled differently", "another label", "none of the classes"],
)
def test_a_row_is_right_where_its_readers_say_its_label(said: dict[str, str], right: bool) -> None:
    found = of([*(says(name) for name in DRAW[1:40]), says(DRAW[0], **said)])  # type: ignore[arg-type]
    assert (found.judged, found.right) == (40, 39 + right)


def test_identical_files_count_once_and_rows_that_are_not_ok_not_at_all() -> None:
    others = [ok("unsure", unsure=True), {**ROWS[0], "status": "unreadable", "sha256": ""}]
    copies = [{**ROWS[0], "path": f"copy {n}.png"} for n in range(50)]
    judged = [says(name, "dog" if name == DRAW[0] else "cat") for name in DRAW[:60]]
    found, plain = of(judged, [*ROWS, *copies, *others]), of(judged)
    assert found == plain.model_copy(update={"rows": 250})
    assert "right (identical files count once)." in found.sentence


def test_too_few_say_how_many_more_to_judge_and_a_gap_in_the_draw_ends_it() -> None:
    assert by([], []) is None
    found = by([says(name) for name in DRAW[:20] + DRAW[21:100]])
    assert found == TooFew(20, 10)
    assert found.sentence == (
        "To know how many of the answers with status ok are right, judge 10 more of the random draw (One by one, "
        "order: random draw)."
    )
    assert of([says(name) for name in DRAW[:100]]).judged == 100
    assert by([says(name) for name in DRAW[:6]], ROWS[:9]) == TooFew(6, 3)
    assert by([says(DRAW[0]), says(DRAW[1], cannot_tell=True)], ROWS[:2]) != TooFew(1, 0)


@pytest.mark.parametrize(
    ("share", "low", "high", "words"),
    [
        (0.96, 0.9101, 0.9799, "96 % (91 to 98)"),
        (0.9971, 0.955, 0.9999, "99.7 % (95.5 to 100.0)"),
        (0.96, 0.951, 0.9689, "96.0 % (95.1 to 96.9)"),
        (1, 0.88, 1, "100 % (88 to 100)"),
        (0.29, 0.29, 0.57, "29 % (29 to 57)"),  # 100 * 0.29 is 28.999999999999996
    ],
)
def test_the_words_never_make_an_interval_narrower(share: float, low: float, high: float, words: str) -> None:
    usual = of([says(name) for name in DRAW[:LEAST]])
    assert usual.model_copy(update={"share": share, "low": low, "high": high}).figures == words


def test_all_judged_needs_no_interval() -> None:
    found = of([says(name, "dog" if name == DRAW[3] else "cat") for name in DRAW])
    assert found.sentence == "All are judged: 99.5 % of the night's answers with status ok are right."


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished night in predictions/."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "predictions" / "tonight"
    folder.mkdir(parents=True)
    NIGHT.write(folder_at(folder))
    write_rows(folder / "predictions.csv", [list(row.values()) for row in ROWS])
    draw(folder_at(folder), NIGHT, BATCH_ALONE, {}, {})
    return folder


def test_the_statement_stands_on_the_pages_once_it_can_be_made_and_goes_with_its_judgements(night: Path) -> None:
    output, before = folder_at(night), {file.name: file.read_bytes() for file in night.iterdir() if file.is_file()}
    assert b'<p id="accuracy" hidden></p>' in before["morning.html"]
    assert isinstance(write_accuracy(output, Judgements(), BATCH_ALONE), TooFew)
    assert not (night / ACCURACY).exists()

    judgements = counting([says(name, "dog" if name == DRAW[0] else "cat") for name in DRAW[:60]])
    found = write_accuracy(output, judgements, BATCH_ALONE)
    assert isinstance(found, Estimate)
    assert read_accuracy(output, NIGHT) == found
    page = (night / "morning.html").read_text()
    assert f'<p id="accuracy">{found.sentence.replace(chr(39), "&#x27;")}</p>' in page
    assert f"ok rows: {found.figures} right, by people" in ALL_NIGHTS.read_text()
    draw(output, NIGHT, BATCH_ALONE, {}, {})
    assert (night / "morning.html").read_text() == page
    assert (night / "predictions.csv").read_bytes() == before["predictions.csv"]

    later = NIGHT.model_copy(update={"started_at": "2026-01-03T02:00:00+00:00"})
    assert read_accuracy(output, later) is None

    write_accuracy(output, Judgements(), BATCH_ALONE)
    assert (night / "morning.html").read_bytes() == before["morning.html"]
    assert not (night / ACCURACY).exists()


def test_a_page_of_an_earlier_version_stays_and_a_night_that_begins_is_not_turned_away(night: Path) -> None:
    output, judgements = folder_at(night), counting([says(name) for name in DRAW])
    (night / "morning.html").write_text("<p>Night</p>")
    with output.hold():  # as a night that runs again
        write_accuracy(output, judgements, BATCH_ALONE)
    assert (night / ACCURACY).exists()
    assert (night / "morning.html").read_text() == "<p>Night</p>"
    (night / "summary.json").unlink()
    assert write_accuracy(output, judgements, BATCH_ALONE) is None
