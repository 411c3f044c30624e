"""The number that judgements give a night, and the order that takes longer, beside the clicks."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.data.judgements import Judgements
from pipeline.review.background import Background
from pipeline.review.clicks import Click
from pipeline.review.of_night import ReviewError
from pipeline.review.session import Session
from tests.fixtures.waiting import opened


def test_the_number_follows_the_judgements_and_is_counted_only_after_new_ones(tmp_path: Path) -> None:
    asked: list[int] = []

    def accuracy(judgements: Judgements) -> str:
        asked.append(len(judgements.by_image))
        return f"{asked[-1]} judged"

    session = Session(replace(opened(tmp_path), accuracy=accuracy), tmp_path / "data/labels.jsonl")
    background = Background(session)
    background.count()
    background.count()
    session.judge("Ann", [Click(click="1", sha256=next(iter(session.images)), label="cat")])
    background.end()
    assert (session.progress.accuracy, asked) == ("1 judged", [0, 1])


def test_a_better_order_is_taken_over_and_one_that_fails_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    review = opened(tmp_path)
    turned = tuple(replace(one, chosen="random") for one in reversed(review.waiting))
    session = Session(replace(review, arranged=lambda: turned), tmp_path / "data/labels.jsonl")
    Background(session).arrange()
    [first] = session.take("page", "Ann", 1, frozenset())
    assert (first.sha256, first.chosen) == (review.waiting[-1].sha256, "random")

    def fails() -> tuple[()]:
        raise ReviewError("the model is damaged")

    session = Session(replace(review, arranged=fails), tmp_path / "data/labels.jsonl")
    Background(session).arrange()
    assert session.take("page", "Ann", 1, frozenset())[0].sha256 == review.waiting[0].sha256
