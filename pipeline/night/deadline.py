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


def next_time(until: str, now: datetime.datetime) -> datetime.datetime:
    """When the clock next shows `until` after `now`, in the time zone of `now`."""
    today = datetime.datetime.combine(now.date(), time_of_day(until), now.tzinfo)
    return today if today > now else today + datetime.timedelta(days=1)


def deadline_at(until: str | None) -> datetime.datetime | None:
    """When a run that begins now must stop, in local time; None: never."""
    return next_time(until, datetime.datetime.now().astimezone()) if until else None


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
