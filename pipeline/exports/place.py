"""Where and when the images of a night were taken, as its rows say, and whether anybody may know. Opens no image."""

import datetime
from typing import NamedTuple

from pipeline.core.errors import NightshiftError
from pipeline.exports.finished import Finished
from pipeline.night.rows import LOCATION, Row
from pipeline.params.night import Privacy

KEEP = "privacy.location: keep"


class PlaceError(NightshiftError):
    """Nobody may know where the images were taken, or nobody does; the message says what to do."""


class Where(NamedTuple):
    """A place in degrees, WGS 84, in the order of GeoJSON."""

    longitude: float
    latitude: float


def require_kept(privacy: Privacy, what: str) -> None:
    """Raise PlaceError unless this project keeps where images were taken. what: that would say it."""
    if privacy.location != "keep":
        raise PlaceError(
            f"{what} says where images were taken, and privacy.location of params.yaml is `{privacy.location}`: "
            f"nothing was written. If those who get it may know that, set {KEEP}."
        )


def require_places(night: Finished, found: int, instead: str = "") -> None:
    """Raise PlaceError where no row has a place. found: rows that have one; instead: what else could be done."""
    if found:
        return
    kept = all(name in next(night.rows(), dict.fromkeys(LOCATION)) for name in LOCATION)
    why = (
        "its photographs do not say where they were taken (no GPS in them)"
        if kept
        else f"it was classified without {KEEP}. Classify the folder again"
    )
    raise PlaceError(f"No row of {night.output} has a place: {why}.{instead} Nothing was written.")


def place_of(row: Row) -> Where | None:
    """Where a row's image was taken; None where it does not say it."""
    latitude, longitude = (row.get(name, "") for name in LOCATION)
    return Where(float(longitude), float(latitude)) if latitude and longitude else None


def moment_of(row: Row, offset: datetime.timezone | None) -> datetime.datetime | None:
    """When a row's image was taken, with its offset; None where that is not known.

    offset: of times that have none.
    """
    try:
        at = datetime.datetime.fromisoformat(row.get("taken_at", ""))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=offset) if offset else None
