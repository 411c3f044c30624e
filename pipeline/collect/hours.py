"""The hours of a source: the local times between which its pictures are taken, every day, over midnight if need be.

On the days when clocks change, a night is an hour shorter or longer. A time that the clocks skip counts as if they had
not been changed yet; of one that comes twice, a beginning is the first and an end the second.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import NamedTuple

DAY = timedelta(days=1)


class Span(NamedTuple):
    """A piece of time, UTC: from `start` on, before `end`."""

    start: datetime
    end: datetime


def spans(window: tuple[time, time] | None, start: datetime, end: datetime, zone: tzinfo | None = None) -> list[Span]:
    """The parts of the time from `start` to `end`, both aware, that lie within the hours, in order.

    window: begin and end as local times, the second of the next day where it is not later; None: always. zone: where
    these times are read; None: this machine's.
    """
    if end <= start:
        return []
    if window is None:
        return [Span(start, end)]
    found = (Span(max(start, one.start), min(end, one.end)) for one in _around(window, start, end, zone))
    return [one for one in found if one.start < one.end]


def opens(window: tuple[time, time] | None, now: datetime, zone: tzinfo | None = None) -> datetime:
    """When the hours next begin: `now` if it lies within them."""
    if window is None:
        return now
    return min(max(now, one.start) for one in _around(window, now, now + 2 * DAY, zone) if one.end > now)


def closes(window: tuple[time, time] | None, now: datetime, zone: tzinfo | None = None) -> datetime | None:
    """When the hours around `now` end; None: never, or `now` lies outside of them."""
    if window is None:
        return None
    return next((one.end for one in _around(window, now, now + DAY, zone) if one.start <= now < one.end), None)


def _around(window: tuple[time, time], start: datetime, end: datetime, zone: tzinfo | None) -> Iterator[Span]:
    first, last = (moment.astimezone(zone).date() for moment in (start, end))
    day = first - DAY
    while day <= last:
        after = day + DAY if window[1] <= window[0] else day
        yield Span(_utc(day, window[0], zone, fold=0), _utc(after, window[1], zone, fold=1))
        day += DAY


def _utc(day: date, at: time, zone: tzinfo | None, fold: int) -> datetime:
    # fold: of a time that comes twice 0 is the first. Of one that is skipped, 0 has the offset before the change.
    local = datetime.combine(day, at.replace(fold=fold), zone)
    skipped = local.astimezone(UTC).astimezone(zone).replace(tzinfo=None, fold=0) != local.replace(tzinfo=None, fold=0)
    return (local.replace(fold=0) if skipped else local).astimezone(UTC)
