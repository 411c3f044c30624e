"""When a night must stop, and stopping it. Knows no image."""

import datetime
import re

from pipeline.core.errors import NightshiftError
from pipeline.night.ledger import Run

STOPPED = 75  # exit status EX_TEMPFAIL of sysexits.h: nothing is wrong, and there is more to do


class OutOfTime(NightshiftError):  # noqa: N818 - what happened
    """The night stopped at its --until time. What is done is kept."""

    status = STOPPED


def time_of_day(text: str) -> datetime.time:
    """`06:00` as a time. Raises NightshiftError for other texts."""
    found = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", text.strip())
    if not found:
        raise NightshiftError(f"{text!r} is not a valid time of day; it must be hours and minutes, such as 06:00.")
    return datetime.time(int(found[1]), int(found[2]))


def next_time(until: str, now: datetime.datetime, zone: datetime.tzinfo | None = None) -> datetime.datetime:
    """The moment after `now` when a clock on the wall next shows `until`, or is put forward past it.

    zone: the clock's; None: that of this machine. In the night when clocks change, the wall clock decides: from 22:00
    to 06:00 it is then seven or nine hours.
    """
    here, shows = now.astimezone(zone), time_of_day(until)
    days = (here.date() + datetime.timedelta(days=days) for days in range(3))
    moments = (moment for day in days for moment in _moments(datetime.datetime.combine(day, shows), zone))
    return next(moment for moment in moments if moment > now).astimezone(zone)


def _moments(wall: datetime.datetime, zone: datetime.tzinfo | None) -> list[datetime.datetime]:
    """When the clock shows `wall`, in UTC: once, twice if it is put back over it, or when it is put forward past it."""
    # See PEP 495: `fold` is 1 for the second time, and a time that never comes is not the same when converted back.
    both = {(wall.replace(fold=fold, tzinfo=zone)).astimezone(datetime.UTC) for fold in (0, 1)}
    if shown := [one for one in both if one.astimezone(zone).replace(tzinfo=None, fold=0) == wall]:
        return sorted(shown)
    minutes = int((max(both) - min(both)).total_seconds()) // 60
    passing = (min(both) + datetime.timedelta(minutes=minute) for minute in range(minutes + 1))
    return [next(one for one in passing if one.astimezone(zone).replace(tzinfo=None) >= wall)]


def deadline_at(until: str | None) -> datetime.datetime | None:
    """When a run that begins now must stop, in local time; None: never."""
    return next_time(until, datetime.datetime.now(datetime.UTC)) if until else None


def is_past(deadline: datetime.datetime | None) -> bool:
    """Whether the run must stop."""
    return deadline is not None and datetime.datetime.now(datetime.UTC) >= deadline


def stop(deadline: datetime.datetime, run: Run) -> None:
    """Raises OutOfTime if any file is not classified yet."""
    if (done := run.done()) < run.plan.files:
        raise OutOfTime(
            f"It is {deadline:%H:%M}: stopped with {done} of {run.plan.files} files done. The same command resumes "
            "the run."
        )
