"""Moments as the files of a night hold them, in ISO 8601, and as a person reads them."""

import datetime
from typing import Annotated

from pydantic import AfterValidator


def _is_moment(text: str) -> str:
    if datetime.datetime.fromisoformat(text).tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return text


Moment = Annotated[str, AfterValidator(_is_moment)]


def spoken(moment: str, end: str = "", zone: datetime.tzinfo | None = None) -> str:
    """A time of a row to the second: `2026-01-02 02:00:05 UTC`; with `end`, from one to the other.

    One with an offset is by the clock of this machine, or of `zone`; one without is as the camera's clock showed it.
    What is not a time stays as it is.
    """
    try:
        first, last = _by_clock(moment, zone), _by_clock(end or moment, zone)
    except ValueError:
        return moment
    if f"{first:%F %T}" == f"{last:%F %T}":
        return f"{first:%Y-%m-%d %H:%M:%S %Z}".strip()
    day = "" if first.date() == last.date() else f"{last:%Y-%m-%d} "
    return f"{first:%Y-%m-%d %H:%M:%S} to {day}{last:%H:%M:%S %Z}".strip()


def _by_clock(moment: str, zone: datetime.tzinfo | None) -> datetime.datetime:
    at = datetime.datetime.fromisoformat(moment)
    return at.astimezone(zone) if at.tzinfo else at
