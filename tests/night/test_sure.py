"""Answers that the model is sure of are drawn by class, evenly, and the same ones for the same night."""

import pytest

from pipeline.night.rows import Row
from pipeline.night.sure import EACH, PICTURES, drawn_from
from tests.fixtures.reviews import NIGHT, row


def rows_of(**counts: int) -> list[Row]:
    fine = row(NIGHT[0])
    return [
        {**fine, "path": f"{label}/{n}.png", "label": label} for label, count in counts.items() for n in range(count)
    ]


def test_only_answers_without_a_doubt_are_drawn() -> None:
    assert drawn_from(map(row, NIGHT), "a") == {"cat": [row(NIGHT[0])]}


@pytest.mark.parametrize(
    ("counts", "drawn"),
    [
        ({"cat": 100, "dog": 2}, {"cat": EACH, "dog": 2}),
        ({f"kind{n:02d}": 9 for n in range(24)}, {f"kind{n:02d}": 2 for n in range(24)}),
        ({f"kind{n:03d}": 2 for n in range(200)}, {f"kind{n:03d}": 1 for n in range(PICTURES)}),
        ({}, {}),
    ],
    ids=["rare", "many classes", "more classes than pictures", "none"],
)
def test_each_class_has_its_share_of_the_pictures(counts: dict[str, int], drawn: dict[str, int]) -> None:
    assert {label: len(rows) for label, rows in drawn_from(rows_of(**counts), "a").items()} == drawn


def test_a_night_draws_the_same_in_any_order_and_another_night_draws_others() -> None:
    rows = rows_of(cat=500)
    first = drawn_from(rows, "2026-01-02T02:00:00+00:00")
    assert drawn_from(rows[::-1], "2026-01-02T02:00:00+00:00") == first
    assert drawn_from(rows, "2026-01-03T02:00:00+00:00") != first
