"""An XMP packet -> what it says of the picture's making. Knows no image; refuses documents that declare entities.

Names and values: XMP specification part 2 and "Exif 2.32 metadata for XMP" (CIPA DC-010).
"""

import math
import re

from defusedxml.ElementTree import fromstring

from pipeline.images.taken_values import Taken, camera_name, iso_time, place

LARGEST = 1 << 20  # bytes; a packet with more holds pictures or histories
TIMES = ("DateTimeOriginal", "DateCreated", "CreateDate")  # the first that is there counts
NEEDED = frozenset({
    *TIMES, "Make", "Model", "SerialNumber", "BodySerialNumber", "GPSLatitude", "GPSLongitude", "GPSAltitude",
    "GPSAltitudeRef",
})  # fmt: skip
DEGREES = re.compile(
    r"(\d{1,3}),(\d{1,2}(?:\.\d{1,10})?)(?:,(\d{1,2}(?:\.\d{1,10})?))?([NSEW])"
)  # 51,30.5N or 51,30,30N
RATIONAL = re.compile(r"(-?\d{1,18})(?:/(\d{1,18}))?")


def taken_of_xmp(packet: bytes) -> Taken:
    """What the packet says. Raises any error of an XML parser, and of defusedxml where it declares entities."""
    if len(packet) > LARGEST:
        return Taken()
    words = _words(packet)
    at = next((time for name in TIMES if (time := iso_time(words.get(name, "")))), None)
    serial = words.get("BodySerialNumber") or words.get("SerialNumber", "")
    camera = camera_name(words.get("Make", ""), words.get("Model", ""), serial)
    altitude = _number(words.get("GPSAltitude", ""))
    if altitude is not None and words.get("GPSAltitudeRef") == "1":  # below the sea
        altitude = -altitude
    where = place(_degrees(words.get("GPSLatitude", "")), _degrees(words.get("GPSLongitude", "")), altitude)
    return Taken(at, camera, where.latitude, where.longitude, where.altitude)


def _words(packet: bytes) -> dict[str, str]:
    """The properties that are needed, by local name: XMP writes each as an attribute or as an element."""
    found: dict[str, str] = {}
    for element in fromstring(packet.strip(b"\0 \r\n")).iter():
        for name, text in ((element.tag, element.text), *element.attrib.items()):
            local = name.rpartition("}")[2] if isinstance(name, str) else ""
            if local in NEEDED and text and text.strip():
                found.setdefault(local, text.strip())
    return found


def _degrees(text: str) -> float | None:
    if not (found := DEGREES.fullmatch(text)):
        return None
    value = float(found[1]) + float(found[2]) / 60 + float(found[3] or 0) / 3600
    return -value if found[4] in "SW" else value


def _number(text: str) -> float | None:
    found = RATIONAL.fullmatch(text)
    if not found or not (below := int(found[2] or 1)):
        return None
    value = int(found[1]) / below
    return value if math.isfinite(value) else None
