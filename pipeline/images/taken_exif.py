"""An image that Pillow has opened -> what its EXIF data and its XMP packet say of its making. Decodes no pixel."""

import dataclasses
import datetime
import math
from collections.abc import Callable
from typing import Any, Protocol

from PIL import ExifTags, Image

from pipeline.images.exif_tags import read_exif
from pipeline.images.taken_values import NOWHERE, UNKNOWN, Place, Taken, camera_name, clock_time, place
from pipeline.images.taken_xmp import TIMES as TIME_NAMES
from pipeline.images.taken_xmp import taken_of_xmp

TAG, GPS = ExifTags.Base, ExifTags.GPS
PACKET = 700  # TIFF's tag of XMP
PNG_EXIF = "Raw profile type exif"  # as old programs write it
# The time of the picture, else of its digitisation; each with its fraction of a second and its offset.
TIMES = (
    (TAG.DateTimeOriginal, TAG.SubsecTimeOriginal, TAG.OffsetTimeOriginal),
    (TAG.DateTimeDigitized, TAG.SubsecTimeDigitized, TAG.OffsetTimeDigitized),
)
HALF_HOUR = datetime.timedelta(minutes=30)  # time zones differ by it; few by quarters
CLOCKS_APART = datetime.timedelta(minutes=1)  # of a camera and a satellite that show the same moment
VOID = "V"  # GPSStatus of a receiver without a fix


class Tags(Protocol):
    """Values of tags, as `exif_tags` or Pillow gives them."""

    def get(self, tag: int, /) -> Any:
        """None where there is no such tag."""


Fields = tuple[Tags, Tags, Tags]  # of the picture, of its taking, of its place


def taken_of(image: Image.Image) -> Taken:
    """What the header of an opened image says; unknown where it is damaged. Ask a TIFF before its pixels are loaded."""
    return _taken(lambda: _fields_of(image), image.info.get("xmp"), is_tiff=image.format == "TIFF")


def taken_of_tiff(data: bytes) -> Taken:
    """What the tags of a TIFF say, also of one whose pixels Pillow does not open; unknown where they are damaged."""

    def fields() -> Fields:
        found = Image.Exif()
        found.load(data)
        return _fields_of_exif(found)

    return _taken(fields, None, is_tiff=True)


def _fields_of(image: Image.Image) -> Fields:
    exif = image.info.get("exif")
    if isinstance(exif, bytes):
        first = read_exif(exif)
        return first, first.inner(ExifTags.IFD.Exif), first.inner(ExifTags.IFD.GPSInfo)
    if image.format == "TIFF" or PNG_EXIF in image.info:
        return _fields_of_exif(image.getexif())
    return {}, {}, {}


def _fields_of_exif(exif: Image.Exif) -> Fields:
    details, gps = (exif.get_ifd(tag) if tag in exif else {} for tag in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo))
    return exif, details, gps


def _taken(read_fields: Callable[[], Fields], packet: object, *, is_tiff: bool) -> Taken:
    found = UNKNOWN
    try:
        fields = read_fields()
        packet = packet or fields[0].get(PACKET)
        found = _of_exif(*fields, is_tiff=is_tiff)
        if isinstance(packet, bytes) and _may_add(packet, found):
            found = _completed(found, taken_of_xmp(packet))
    except Exception:  # noqa: BLE001 - as in `decode`, a parser can raise any error; a note never costs the pixels
        return found
    return found


def _may_add(packet: bytes, found: Taken) -> bool:
    """Whether it may say what is unknown: a search costs a hundredth of parsing."""
    wanted = [
        *(() if found.at and found.at.tzinfo else TIME_NAMES),
        *(() if found.camera else ("Model", "Make")),
        *(() if found.latitude is not None else ("GPSLatitude",)),
    ]
    return any(name.encode() in packet for name in wanted)


def _completed(found: Taken, packet: Taken) -> Taken:
    """What EXIF says, and what only the packet says."""
    at = found.at or packet.at
    if at and packet.at and at.tzinfo is None and packet.at.replace(tzinfo=None, microsecond=at.microsecond) == at:
        at = at.replace(tzinfo=packet.at.tzinfo)
    found = dataclasses.replace(found, at=at, camera=found.camera or packet.camera)
    if found.latitude is not None:
        return found
    where = {name: getattr(packet, name) for name in ("latitude", "longitude", "altitude")}
    return dataclasses.replace(found, **where)


def _of_exif(exif: Tags, details: Tags, gps: Tags, *, is_tiff: bool) -> Taken:
    camera = camera_name(
        _text(exif, TAG.Make), _text(exif, TAG.Model),
        _text(details, TAG.BodySerialNumber) or _text(exif, TAG.CameraSerialNumber),
    )  # fmt: skip
    at = next((time for tags in TIMES if (time := clock_time(*(_text(details, tag) for tag in tags)))), None)
    if at is None and is_tiff and not details:  # of a microscope or scanner; in a photo: of its editing
        at = clock_time(_text(exif, TAG.DateTime))
    where = _place(gps)
    at = at if at and at.tzinfo else _with_offset(at, _satellite_time(gps))
    return Taken(at, camera, where.latitude, where.longitude, where.altitude)


def _text(fields: Tags, tag: int) -> str:
    """An EXIF text; empty when it is missing or of another type."""
    found = fields.get(tag)
    if isinstance(found, bytes):
        found = found.decode("utf-8", "replace")
    return found.encode("utf-8", "replace").decode() if isinstance(found, str) else ""


def _with_offset(at: datetime.datetime | None, satellite: datetime.datetime | None) -> datetime.datetime | None:
    """A time with the offset that GPS, which tells UTC, says: the clocks must show the same moment of another zone.

    Without a time GPS's own. A fix of long ago leaves the time without an offset.
    """
    if at is None or satellite is None:
        return at or satellite
    east = at.replace(tzinfo=datetime.UTC) - satellite
    whole = round(east / HALF_HOUR) * HALF_HOUR
    if abs(east - whole) > CLOCKS_APART or abs(whole) > datetime.timedelta(hours=14):
        return at
    return at.replace(tzinfo=datetime.timezone(whole))


def _satellite_time(gps: Tags) -> datetime.datetime | None:
    clock = [_number(part) for part in _three(gps.get(GPS.GPSTimeStamp))]
    if len(clock) != 3 or any(part is None or part < 0 for part in clock):
        return None
    hours, minutes, seconds = (int(part or 0) for part in clock)
    day = _text(gps, GPS.GPSDateStamp).strip()
    return clock_time(f"{day} {hours:02d}:{minutes:02d}:{seconds:02d}", offset="Z")


def _place(gps: Tags) -> Place:
    if not gps or _text(gps, GPS.GPSStatus) == VOID:
        return NOWHERE
    altitude = _number(gps.get(GPS.GPSAltitude))
    if altitude is not None and gps.get(GPS.GPSAltitudeRef) in (1, b"\1"):  # below the sea
        altitude = -altitude
    return place(
        _degrees(gps.get(GPS.GPSLatitude), _text(gps, GPS.GPSLatitudeRef), "NS"),
        _degrees(gps.get(GPS.GPSLongitude), _text(gps, GPS.GPSLongitudeRef), "EW"),
        altitude,
    )


def _degrees(parts: Any, side: str, sides: str) -> float | None:
    """Degrees, minutes and seconds as degrees; None when the side of the equator or of Greenwich is unknown."""
    values = [_number(part) for part in _three(parts)]
    side = side.strip("\0 ").upper()
    if len(values) != 3 or len(side) != 1 or side not in sides:
        return None
    degrees, minutes, seconds = values
    if degrees is None or minutes is None or min(degrees, minutes, seconds or 0) < 0:
        return None
    value = degrees + minutes / 60 + (seconds or 0) / 3600
    return -value if side == sides[1] else value


def _three(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) and len(value) == 3 else ()


def _number(value: Any) -> float | None:
    """A rational as a number; None for 0/0, n/0 and what is not a number."""
    if isinstance(value, tuple) and len(value) == 1:
        value = value[0]
    try:
        found = float(value)
    except (TypeError, ValueError, ArithmeticError):
        return None
    return found if math.isfinite(found) else None
