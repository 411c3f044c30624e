"""Whether a picture's bytes are all there and unchanged, as far as its format tells. Decodes nothing.

Decoders let much of it pass: they paint grey or black what is missing, and do not look at checksums.
"""

import re
import zlib

from pipeline.frame import UnreadableImage

CUT_OFF = "damaged image: it is cut off"
# JPEG: any marker but a restart; 255 followed by 0 is a byte of the pixels, and 255 may be repeated before a marker.
MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
START, END, TEMPORARY = 0xD8, 0xD9, 0x01  # markers without content
START_OF_TILE, END_OF_CODESTREAM = b"\xff\x90", b"\xff\xd9"  # JPEG2000
PNG_SIGNATURE, PNG_CHUNK, PNG_END = 8, 12, b"IEND"  # bytes before the first chunk; of a chunk besides its content
PNG_PIXELS = frozenset({b"IHDR", b"PLTE", b"IDAT"})


def refuse_damaged(data: bytes, kind: str) -> None:
    """Raises UnreadableImage when pixels are missing or changed. kind: Pillow's name of the format."""
    match kind:
        case "JPEG" | "MPO" if jpeg_end(data) is None:  # also when zeros stand where the rest was to be written
            raise UnreadableImage(CUT_OFF)
        case "JPEG2000" if END_OF_CODESTREAM not in data[data.find(START_OF_TILE) :]:  # OpenJPEG paints tiles black
            raise UnreadableImage(CUT_OFF)
        case "PNG":
            _refuse_changed_chunks(data)


def jpeg_end(data: bytes) -> int | None:
    """Where the end marker of a JPEG's first picture stands, not that of a thumbnail inside it; None without one."""
    at = 2
    while found := MARKER.search(data, at):
        at, marker = found.start(), data[found.start() + 1]
        if marker == END:
            return at
        # What is no marker's content is the pixels, in which the next marker is looked for.
        at += 2 if marker in (START, TEMPORARY) else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _refuse_changed_chunks(data: bytes) -> None:
    """The checksums of a PNG's pixels: it may be stored zeros that some decoder can make pixels of."""
    view, at = memoryview(data), PNG_SIGNATURE
    while at + PNG_CHUNK <= len(data):
        length, kind = int.from_bytes(view[at : at + 4], "big"), bytes(view[at + 4 : at + 8])
        end = at + 8 + length
        if kind == PNG_END:
            return
        if kind in PNG_PIXELS:
            if end + 4 > len(data):
                raise UnreadableImage(CUT_OFF)
            if zlib.crc32(view[at + 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
                raise UnreadableImage("damaged image: its bytes are not those its checksum was made of")
        at = end + 4
