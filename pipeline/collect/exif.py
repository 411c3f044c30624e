"""A JPEG with a few EXIF tags, its picture as it was sent: only a segment is put in, and nothing is encoded again.

Pillow writes EXIF only together with a new encoding, so the segment is put in here. Layout: EXIF 2.32, section 4.7.
"""

import struct
from datetime import UTC, datetime

from PIL import Image
from PIL.ExifTags import IFD, Base

MAKE = "Nightshift"
START, APP0, APP1, SCAN = b"\xff\xd8", 0xE0, 0xE1, 0xDA
EXIF = b"Exif\0\0"
LONGEST = 65533  # bytes of a segment's content


class NotJpegError(ValueError):
    """The bytes do not begin as a JPEG."""


def with_exif(jpeg: bytes, camera: str, taken: datetime | None) -> bytes:
    """The same JPEG as the picture of `camera`, taken then; None: nobody knows when. Raises NotJpegError.

    What the camera itself wrote as EXIF stays where it says more (orientation, place, exposure); time, make and model
    become these.
    """
    head, theirs, rest = _split(jpeg)
    tags = _tags_of(theirs)
    tags[Base.Make], tags[Base.Model] = MAKE, camera
    times = tags.get_ifd(IFD.Exif)
    for name in (Base.DateTimeOriginal, Base.SubsecTimeOriginal, Base.OffsetTimeOriginal):
        times.pop(name, None)
    if taken:
        utc = taken.astimezone(UTC)
        times[Base.DateTimeOriginal] = f"{utc:%Y:%m:%d %H:%M:%S}"
        times[Base.SubsecTimeOriginal] = f"{utc.microsecond // 1000:03d}"
        times[Base.OffsetTimeOriginal] = "+00:00"
    if len(found := tags.tobytes()) > LONGEST:  # a camera's own notes leave no room
        return with_exif(head + rest, camera, taken)
    return head + _segment(APP1, found) + rest


def _tags_of(theirs: bytes) -> Image.Exif:
    """The tags of the camera's own segment; none where it is damaged."""
    tags = Image.Exif()
    try:
        tags.load(theirs)
        for ifd in (IFD.Exif, IFD.GPSInfo):  # read now, so that what is damaged shows here
            tags.get_ifd(ifd)
        tags.tobytes()
    except Exception:  # noqa: BLE001 - hostile tags can raise anything, and the picture is worth more than they are
        return Image.Exif()
    return tags


def _split(jpeg: bytes) -> tuple[bytes, bytes, bytes]:
    """The start with the JFIF segment, the content of the EXIF segment, and all else, in order."""
    if not jpeg.startswith(START):
        raise NotJpegError("the bytes do not begin as a JPEG")
    at, head, theirs, rest = 2, START, b"", b""
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF and (marker := jpeg[at + 1]) != SCAN:
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        (size,) = struct.unpack(">H", jpeg[at + 2 : at + 4])
        segment, content = jpeg[at : at + 2 + size], jpeg[at + 4 : at + 2 + size]
        if marker == APP1 and content.startswith(EXIF):
            theirs = theirs or content
        elif marker == APP0 and not rest:
            head += segment
        else:
            rest += segment
        at += 2 + size
    return head, theirs, rest + jpeg[at:]


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content
