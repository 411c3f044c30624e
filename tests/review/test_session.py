"""Every judgement is in the file before it counts; what others keep meanwhile is seen; the progress adds up."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.data.judgements import Judgement, every_judgement, keep
from pipeline.review.clicks import Click
from pipeline.review.session import Session
from tests.fixtures.waiting import opened

NOTHING = frozenset[str]()


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(opened(tmp_path), tmp_path / "data/labels.jsonl")


def lines(session: Session, tmp_path: Path) -> list[Judgement]:
    return [*every_judgement(tmp_path / "data/labels.jsonl")]


def click(sha256: str, name: str = "1", **said: Any) -> Click:
    return Click(click=name, sha256=sha256, **said)


def test_a_judgement_says_what_the_model_had_said_and_how_it_was_chosen(session: Session, tmp_path: Path) -> None:
    first, second, *_ = session.images
    session.judge("Ann", [click(first, label="dog", seconds=1.5), click(second, "2", reject=True, swept=True)])
    one, two = lines(session, tmp_path)
    assert (one.label, one.proposed, one.model_version, one.source, one.seconds) == ("dog", "cat", "3", "night", 1.5)
    assert (two.reject, two.chosen, two.path, two.reader) == (True, "sweep", "001.png", "Ann")


def test_a_click_that_comes_twice_is_kept_once(session: Session, tmp_path: Path) -> None:
    first, *_ = session.images
    for _ in range(2):  # the answer to the first was lost
        session.judge("Ann", [click(first, label="dog")])
    assert len(lines(session, tmp_path)) == 1


def test_another_session_on_the_same_file_sees_it_and_goes_on_where_it_ended(session: Session, tmp_path: Path) -> None:
    first, second, third, *_ = session.images
    other = Session(session.opened, tmp_path / "data/labels.jsonl")
    session.judge("Ann", [click(first, label="dog"), click(second, "2", cannot_tell=True)])
    assert [one.sha256 for one in other.take("page", "Ben", 1, NOTHING)] == [third]
    assert other.progress.done == 2
    other.judge("Ben", [click(third, label="cat")])
    session.alive("page", "Ann")
    assert session.progress.done == 3


def test_readers_who_differ_are_shown_and_an_undo_takes_only_ones_own_back(session: Session) -> None:
    first, *_ = session.images
    session.judge("Ann", [click(first, label="dog")])
    session.judge("Ben", [click(first, label="cat")])
    assert session.verdict(first).kind == "differ"  # type: ignore[union-attr]
    assert session.progress.differing == 1
    assert [one.sha256 for one in session.take("p", "Cy", 5, NOTHING, "differ")] == [first]
    session.judge("Ben", [click(first, "2", withdrawn=True)])
    found = session.verdict(first)
    assert found is not None
    assert (found.kind, found.label, found.readers) == ("label", "dog", ("Ann",))
    session.judge("Ann", [click(first, "3", withdrawn=True)])
    assert session.verdict(first) is None
    assert session.take("p", "Cy", 1, NOTHING)[0].sha256 == first, "it waits again"


def test_what_an_action_did_is_taken_back_and_nothing_that_was_said_before(session: Session, tmp_path: Path) -> None:
    first, second, third, *_ = session.images
    session.judge("Ann", [click(first, "1", label="dog"), click(second, "2", reject=True)])
    again = Session(session.opened, tmp_path / "data/labels.jsonl")  # started again
    again.judge("Ann", [click(one, f"{one[:9]} b", label="cat") for one in (first, second, third)])
    for _ in range(2):  # the answer to the first was lost
        again.judge(
            "Ann", [click(one, f"{one[:9]} c", withdrawn=True, undoes=f"{one[:9]} b") for one in (first, second, third)]
        )
    said = [(one.label, one.said[0], one.chosen) for one in again.said(first) + again.said(second)]
    assert said == [("dog", "label", ""), ("", "reject", "")]
    assert again.verdict(third) is None
    assert len(lines(session, tmp_path)) == 8
    again.judge("Ann", [click(first, "d", withdrawn=True, undoes="1")])
    assert again.verdict(first) is None


def test_a_click_and_its_undo_may_come_together_and_twice(session: Session, tmp_path: Path) -> None:
    first, *_ = session.images
    session.judge("Ann", [click(first, "1", label="dog")])
    for _ in range(2):
        session.judge("Ann", [click(first, "2", label="cat"), click(first, "3", withdrawn=True, undoes="2")])
    assert session.verdict(first).label == "dog"  # type: ignore[union-attr]
    assert [one.label for one in lines(session, tmp_path)] == ["dog", "cat", "dog"]


def test_an_undo_of_a_click_that_was_never_kept_leaves_what_is_there(session: Session) -> None:
    first, *_ = session.images
    session.judge("Ann", [click(first, "1", label="dog")])
    session.judge("Ann", [click(first, "3", withdrawn=True, undoes="2")])
    session.judge("Ben", [click(first, "4", withdrawn=True, undoes="1")])
    assert session.verdict(first).label == "dog"  # type: ignore[union-attr]


def test_a_click_whose_image_may_still_be_read_waits_and_is_not_refused(session: Session) -> None:
    session.reading = lambda: True
    assert session.judge("Ann", [click("0" * 64, label="cat")]) == {"1": ""}


def test_taking_back_what_was_never_said_keeps_no_line(session: Session, tmp_path: Path) -> None:
    session.judge("Ann", [click(next(iter(session.images)), withdrawn=True), click("0" * 64, "2", label="cat")])
    assert not (tmp_path / "data/labels.jsonl").exists()


def test_the_progress_counts_what_agrees_and_what_is_left(session: Session) -> None:
    images = list(session.images)
    session.judge("Ann", [click(one, one[:9], label="cat", seconds=2) for one in images[:4]])
    found = session.progress
    assert (found.total, found.done, found.compared, found.agreed) == (12, 4, 4, 2)
    assert found.left == {"cat": 4, "dog": 4}
    assert [(one.name, one.done, one.a_minute) for one in found.readers] == [("Ann", 4, 30.0)]


def test_a_label_is_spelled_as_it_is_known_and_a_new_one_is_offered_from_now_on(session: Session) -> None:
    first, second, *_ = session.images
    session.judge("Ann", [click(first, label=" CAT "), click(second, "2", label=" Wolf ")])
    assert session.verdict(first).label == "cat"  # type: ignore[union-attr]
    assert session.labels == ["cat", "dog", "σκύλος", "Wolf"]
    assert session.spelled("wolf") == "Wolf"


def test_a_judgement_of_the_bytes_counts_whatever_night_it_comes_from(session: Session, tmp_path: Path) -> None:
    first, *_ = session.images
    keep([Judgement(sha256=first, path="elsewhere.jpg", label="dog", reader="Ben", source="import")],
         tmp_path / "data/labels.jsonl")  # fmt: skip
    again = Session(session.opened, tmp_path / "data/labels.jsonl")
    assert again.verdict(first).label == "dog"  # type: ignore[union-attr]


@pytest.mark.parametrize("said", [{}, {"label": " "}, {"label": "cat", "reject": True}])
def test_a_click_says_one_thing(said: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must say one of"):
        click("0" * 64, **said)
