"""Whether a file is a camera's raw data, whose first picture is only a preview. Decodes no pixels.

Most raw formats are TIFFs: the first directory is a small preview, and the sensor's data stand in a SubIFD or a later
page. An answer from the preview would look like any other, so none of these files is read.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.images.frame import UnreadableImage

WORDS = "camera raw is not read: export it as JPEG or TIFF"
STARTS = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb")  # Fujifilm, Olympus, Panasonic, Sigma
CANON_BRAND, CANON_MARK = b"ftypcrx ", b"CR"  # of CR3; of CR2, at byte 8
NEW_SUBFILE_TYPE, WIDTH, LENGTH, PHOTOMETRIC, SUB_IFDS, DNG_VERSION = 254, 256, 257, 262, 330, 50706
REDUCED, MASK = 1, 4  # bits of NewSubfileType
OF_SENSORS = frozenset({32803, 34892})  # values of PhotometricInterpretation: colour filter array, linear raw
SIZES = {1: 1, 3: 2, 4: 4, 13: 4, 16: 8, 18: 8}  # bytes of the types of value that these tags have
MOST_DIRECTORIES = 64


@dataclass(frozen=True, slots=True)
class _Directory:
    """A directory of a TIFF: the values of its tags, and where the next one is."""

    tags: dict[int, tuple[int, ...]]
    following: int

    def first(self, tag: int) -> int:
        return self.tags.get(tag, (0,))[0]

    @property
    def pixels(self) -> int:
        return self.first(WIDTH) * self.first(LENGTH)

    @property
    def is_picture(self) -> bool:
        return not self.first(NEW_SUBFILE_TYPE) & (REDUCED | MASK)


def refuse_camera_raw(data: bytes, *, is_tiff: bool) -> None:
    """Raise UnreadableImage for camera raw, and for a TIFF whose first picture is the preview of another one in it."""
    if data.startswith(STARTS) or data[4:12] == CANON_BRAND or (is_tiff and data[8:10] == CANON_MARK):
        raise UnreadableImage(WORDS)
    if not is_tiff:
        return
    try:
        first, *others = _directories(data)
    except (struct.error, ValueError):  # damaged: its reader says so
        return
    every = (first, *others)
    if any(DNG_VERSION in one.tags or one.first(PHOTOMETRIC) in OF_SENSORS for one in every):
        raise UnreadableImage(WORDS)
    if any(one.is_picture and one.pixels > first.pixels for one in others) and (
        SUB_IFDS in first.tags or not first.is_picture
    ):
        raise UnreadableImage(f"its first picture is a preview of a larger one in the file: {WORDS}")


def _directories(data: bytes) -> Iterator[_Directory]:
    """The first directory, the others of its chain, and their SubIFDs."""
    order = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(f"{order}H", data, 2)[0] == 43
    todo: list[int] = [struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)[0]]
    seen: set[int] = set()
    while todo and len(seen) < MOST_DIRECTORIES:
        if (at := todo.pop(0)) in seen or not 0 < at < len(data):
            continue
        seen.add(at)
        try:
            found = _directory(data, at, order, big=big)
        except struct.error:
            if len(seen) == 1:
                raise
            continue
        yield found
        todo += [found.following, *found.tags.get(SUB_IFDS, ())]


def _directory(data: bytes, at: int, order: str, *, big: bool) -> _Directory:
    head, entry, pointer = ("Q", 20, "Q") if big else ("H", 12, "I")
    (count,) = struct.unpack_from(order + head, data, at)
    start, tags = at + struct.calcsize(order + head), {}
    if start + count * entry > len(data):
        raise struct.error("cut off")
    for place in range(start, start + count * entry, entry):
        tag, kind = struct.unpack_from(f"{order}HH", data, place)
        if tag not in (NEW_SUBFILE_TYPE, WIDTH, LENGTH, PHOTOMETRIC, SUB_IFDS, DNG_VERSION) or kind not in SIZES:
            continue
        (values,) = struct.unpack_from(order + pointer, data, place + 4)
        values = min(values, MOST_DIRECTORIES)
        here, room = place + 4 + struct.calcsize(order + pointer), struct.calcsize(order + pointer)
        if values * SIZES[kind] > room:
            (here,) = struct.unpack_from(order + pointer, data, here)
        letter = {1: "B", 2: "H", 4: "I", 8: "Q"}[SIZES[kind]]
        tags[tag] = struct.unpack_from(f"{order}{values}{letter}", data, here) or (0,)
    (following,) = struct.unpack_from(order + pointer, data, start + count * entry)
    return _Directory(tags, following)
