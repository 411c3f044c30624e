"""What is known of a picture's making, and the words of files turned into it. Knows no format, opens no file.

What is missing or impossible is unknown: nothing is guessed, so a time without an offset stays without one.
"""

import datetime
import math
import re
from dataclasses import dataclass

COLLECTED = "Nightshift"  # the make in frames that `nightshift collect` writes: their model is the source's name
MOST_LETTERS = 100  # of a camera's name; the formats set no limit
FIRST_YEAR, LAST_YEAR = 1900, 2199  # others are damage, or a clock that was never set
CLOCK_TIME = re.compile(r"(\d{4})[:\-/](\d\d)[:\-/](\d\d)[ T](\d\d):(\d\d):(\d\d)")
OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)")
MOST_OFFSET = datetime.timedelta(hours=14)  # Kiribati's


@dataclass(frozen=True, slots=True)
class Place:
    """Where on Earth; None: unknown."""

    latitude: float | None = None  # degrees, WGS 84
    longitude: float | None = None
    altitude: float | None = None  # metres above sea level


NOWHERE = Place()


@dataclass(frozen=True, slots=True)
class Taken:
    """What the bytes of a file say of the picture's making."""

    at: datetime.datetime | None = None  # aware where the file says the offset, else naive
    camera: str = ""  # make, model and serial number as far as known; of collected frames the source's name
    latitude: float | None = None  # degrees, WGS 84
    longitude: float | None = None
    altitude: float | None = None  # metres above sea level
    patient: str = ""  # DICOM only: keyed hashes, never the identifiers
    study: str = ""

    @property
    def at_text(self) -> str:
        """The time in ISO 8601, with its offset where that is known; empty: unknown."""
        return "" if self.at is None else self.at.isoformat()


UNKNOWN = Taken()


def clock_time(text: str, fraction: str = "", offset: str = "") -> datetime.datetime | None:
    """The time that EXIF writes as `2024:05:01 12:30:00`, its fraction of a second and its offset apart.

    None when it is impossible; naive when the offset is unknown or impossible.
    """
    found = CLOCK_TIME.match(text.strip())
    if not found:
        return None
    digits = fraction.strip()[:6]
    microsecond = int(digits.ljust(6, "0")) if digits.isascii() and digits.isdigit() else 0
    year, month, day, hour, minute, second = map(int, found.groups())
    if not FIRST_YEAR <= year <= LAST_YEAR:
        return None
    try:
        return datetime.datetime(year, month, day, hour, minute, second, microsecond, zone(offset))
    except ValueError:  # month 13, 24:00:00
        return None


def zone(offset: str) -> datetime.timezone | None:
    """The time zone of an offset such as `+02:00`, `+0200` or `Z`; None: unknown."""
    if offset.strip() == "Z":
        return datetime.UTC
    found = OFFSET.match(offset.strip())
    if not found or int(found[3]) > 59:
        return None
    east = datetime.timedelta(hours=int(found[2]), minutes=int(found[3]))
    return datetime.timezone(east if found[1] == "+" else -east) if east <= MOST_OFFSET else None


def iso_time(text: str) -> datetime.datetime | None:
    """A time in ISO 8601, to the minute or finer; None when it is another text, only a day, or impossible."""
    text = text.strip()
    if text[10:11] not in ("T", " "):
        return None
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    if not FIRST_YEAR <= found.year <= LAST_YEAR or abs(found.utcoffset() or datetime.timedelta()) > MOST_OFFSET:
        return None
    return found


def camera_name(make: str, model: str, serial: str = "") -> str:
    """One name for one camera: `Canon EOS 5D 012345`, from make `Canon`, model `Canon EOS 5D` and serial number."""
    make, model, serial = (_plain(text) for text in (make, model, serial))
    if make == COLLECTED and model:
        return model
    words = [make] if make and not model.casefold().startswith(make.casefold()) else []
    words += [text for text in (model, serial) if text]
    return " ".join(words)[:MOST_LETTERS].strip()


def _plain(text: str) -> str:
    """The printable part of a text up to its first NUL, with single spaces."""
    text = text.partition("\0")[0]
    if not text.isprintable():
        text = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(text.split())


def place(latitude: float | None, longitude: float | None, altitude: float | None = None) -> Place:
    """The place, as far as it is possible. 0, 0 is what receivers without a fix write: unknown."""
    if latitude is None or longitude is None or not (abs(latitude) <= 90 and abs(longitude) <= 180):
        return NOWHERE
    if latitude == 0 and longitude == 0:
        return NOWHERE
    return Place(latitude, longitude, altitude if altitude is not None and math.isfinite(altitude) else None)
