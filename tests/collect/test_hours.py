"""A source's hours: local times, over midnight, on days when the clock changes."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from pipeline.collect.hours import Span, closes, opens, spans

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = (time(20), time(6))


def at(*parts: int, fold: int = 0) -> datetime:
    return datetime(*parts, fold=fold, tzinfo=BERLIN).astimezone(UTC)  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("day", "hours"),
    [
        pytest.param((2026, 6, 1), 10, id="an ordinary night"),
        pytest.param((2026, 3, 28), 9, id="the clock goes forward"),
        pytest.param((2026, 10, 24), 11, id="the clock goes back"),
    ],
)
def test_a_night_lasts_from_clock_to_clock(day: tuple[int, int, int], hours: int) -> None:
    noon = at(*day, 12)
    (night,) = spans(NIGHT, noon, noon + timedelta(days=1), BERLIN)
    assert night.start == at(*day, 20)
    assert night.end - night.start == timedelta(hours=hours)


def test_a_time_that_the_clock_skips_counts_as_before_the_change() -> None:
    (found,) = spans((time(2, 30), time(5)), at(2026, 3, 29), at(2026, 3, 29, 12), BERLIN)
    assert found == Span(at(2026, 3, 29, 3, 30), at(2026, 3, 29, 5))


def test_of_a_time_that_comes_twice_the_first_begins_and_the_second_ends() -> None:
    (begun,) = spans((time(2, 30), time(5)), at(2026, 10, 25), at(2026, 10, 25, 12), BERLIN)
    (ended,) = spans((time(1), time(2, 30)), at(2026, 10, 25), at(2026, 10, 25, 12), BERLIN)
    assert begun.start == at(2026, 10, 25, 2, 30, fold=0)
    assert ended.end == at(2026, 10, 25, 2, 30, fold=1)


def test_the_parts_of_a_longer_time_are_cut_at_its_ends() -> None:
    found = spans(NIGHT, at(2026, 6, 1, 23), at(2026, 6, 3, 1), BERLIN)
    assert found == [
        Span(at(2026, 6, 1, 23), at(2026, 6, 2, 6)),
        Span(at(2026, 6, 2, 20), at(2026, 6, 3, 1)),
    ]
    assert spans(None, at(2026, 6, 1), at(2026, 6, 2)) == [Span(at(2026, 6, 1), at(2026, 6, 2))]
    assert spans(NIGHT, at(2026, 6, 1, 8), at(2026, 6, 1, 9), BERLIN) == []


def test_when_the_hours_begin_and_end_next() -> None:
    assert opens(NIGHT, at(2026, 6, 1, 12), BERLIN) == at(2026, 6, 1, 20)
    assert opens(NIGHT, at(2026, 6, 2, 5), BERLIN) == at(2026, 6, 2, 5)
    assert closes(NIGHT, at(2026, 6, 2, 5), BERLIN) == at(2026, 6, 2, 6)
    assert closes(NIGHT, at(2026, 6, 2, 6), BERLIN) is None
    assert closes(None, at(2026, 6, 2, 6), BERLIN) is None
