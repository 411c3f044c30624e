"""Images that Pillow reads -> an upright 8-bit RGB frame; HEIF with a plugin, the extra `heic`. Opens no file.

`is_plain_tiff` tells a TIFF picture from a stack of bands, which the module `bands` reads.
"""

import hashlib
import io
import math
import struct
from collections.abc import Callable
from typing import Any

from PIL import ExifTags, Image, ImageChops, UnidentifiedImageError

from pipeline.images.deep import STRIP, deep_colour, deep_grey, nodata_of, without_nodata
from pipeline.images.exif_tags import read_exif
from pipeline.images.formats import AVIF_BRANDS, HEIF_BRANDS, OPEN_BRANDS, TIFF_STARTS
from pipeline.images.frame import Frame, UnreadableImage, missing_extra, refuse_too_large
from pipeline.images.integrity import CUT_OFF, jpeg_end, png_lacks_pixels, refuse_damaged, whole_jpeg, without_notes
from pipeline.images.orientation import exif_number, turned_upright, upright_size
from pipeline.images.taken_exif import taken_of
from pipeline.images.taken_values import UNKNOWN
from pipeline.params.data import Images

# Readers that stay inside this process: no EPS (it starts Ghostscript), no PDF, no obsolete formats.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "JPEG2000", "AVIF", "PPM")
NEEDED_BOXES = frozenset({b"ftyp", b"meta", b"moov", b"mdat", b"idat"})  # HEIF boxes that hold or locate the pixels
DRAFT_MARGIN = 2  # decode JPEG at >= 2x the target: 3 to 3.6x faster on 12 megapixels, mean difference 0.30 of 255
BITS_PER_SAMPLE, ORIENTATION, SAMPLES_PER_PIXEL, PLANAR_CONFIGURATION = 258, 274, 277, 284  # TIFF's tags
TILE_WIDTH, TILE_LENGTH = 322, 323
LARGEST_TILE = 1024 * 1024  # pixels; a picture may be smaller than its only tile
IN_PLANES = 2
MOST_PICTURE_SAMPLES = 4  # of a pixel; a TIFF with more is a stack of bands
WHITE = (255, 255, 255, 255)
JPEG_END = b"\xff\xd9"
INVENTED = (b"", *(bytes([byte]) * 64 for byte in (0x00, 0x55, 0xAA, 0xFE, 0x36, 0xC9, 0xE7)))  # bytes of pixels
MISSING = (127, 128)  # the grey that libjpeg paints where pixels are missing, also as CMYK inverts it
NO_EXIF = (SyntaxError, ValueError, TypeError, KeyError, IndexError, OverflowError, OSError, struct.error)


def is_tiff(data: bytes) -> bool:
    """Whether the bytes are a TIFF or BigTIFF."""
    return data.startswith(TIFF_STARTS)


def is_plain_tiff(data: bytes) -> bool:
    """Whether a TIFF is an ordinary picture, which Pillow opens; all others are stacks of bands."""
    try:
        with Image.open(io.BytesIO(data), formats=("TIFF",)) as image:
            samples, planes = _tag(image, SAMPLES_PER_PIXEL), _tag(image, PLANAR_CONFIGURATION)
            # Pillow opens 16-bit planes, but returns wrong pixels.
            return samples <= MOST_PICTURE_SAMPLES and (planes != IN_PLANES or _tag(image, BITS_PER_SAMPLE) <= 8)
    except (UnidentifiedImageError, KeyError):  # a layout of samples, or (KeyError) a compression, unknown to Pillow
        return False


def _tag(image: Image.Image, number: int) -> int:
    """A TIFF tag's value, the highest of several; without the tag 1, which is the standard's default for ours."""
    value = getattr(image, "tag_v2", {}).get(number, 1)
    return int(max(value) if isinstance(value, tuple) else value)


def is_heif(data: bytes) -> bool:
    """Whether the bytes declare HEIC or another kind of HEIF, but not AVIF."""
    if data[4:8] != b"ftyp":
        return False
    length = min(struct.unpack_from(">I", data)[0], 256)
    first, others = data[8:12], {data[at : at + 4] for at in range(16, length, 4)}
    return first in HEIF_BRANDS or (first in OPEN_BRANDS and not others & AVIF_BRANDS)


def read_picture(data: bytes, rules: Images) -> Frame:
    """Read the first frame, a large JPEG at a reduced scale. Raises UnreadableImage, or any error of Pillow."""
    data = without_notes(data)
    with _opened(data) as image:
        refuse_too_large(*image.size, rules)
        tile = _tag(image, TILE_WIDTH) * _tag(image, TILE_LENGTH)
        if tile > 4 * max(image.width * image.height, LARGEST_TILE):  # Pillow allocates memory for a whole tile
            raise UnreadableImage("damaged image: its tiles are larger than the picture")
        end = jpeg_end(data) if image.format in ("JPEG", "MPO") else 0
        if end is None:
            return read_picture(_with_its_end(data), rules)
        refuse_damaged(data, image.format or "")
        bits = _bits(image, data)
        size = image.size
        target = DRAFT_MARGIN * max(rules.width, rules.height)
        image.draft(None, (target, target))  # None keeps the mode; only JPEG supports a draft
        frame = _upright(image, size, bits, rules, data)
        _refuse_early_end(image, data, target, end)
        return frame


def _with_its_end(data: bytes) -> bytes:
    """A JPEG without its end marker, with it. Raises UnreadableImage when bytes of its pixels are missing too.

    The decoder invents what is missing. So the pixels are all there if they are the same whatever bytes we invent.
    """
    body, seen = whole_jpeg(data), set()
    for invented in INVENTED:
        with Image.open(io.BytesIO(body + invented + JPEG_END), formats=("JPEG",)) as image:
            digest = hashlib.sha256()
            try:
                image.load()
            except OSError:
                raise UnreadableImage(CUT_OFF) from None
            for top in range(0, image.height, STRIP):
                digest.update(image.crop((0, top, image.width, min(top + STRIP, image.height))).tobytes())
            seen.add(digest.digest())
        if len(seen) > 1:
            raise UnreadableImage(CUT_OFF)
    return body + JPEG_END


def _opened(data: bytes) -> Image.Image:
    """Open the image without decoding it. Bytes with a known signature count as damaged, not as an unknown format."""
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        accepts = [Image.OPEN[name][1] for name in FORMATS]
        if any(accept and accept(data[:16]) is True for accept in accepts):
            raise UnreadableImage("damaged image: its header is broken, or of a rare kind that is not read") from None
        raise


def _refuse_early_end(image: Image.Image, data: bytes, target: int, end: int) -> None:
    """Raise UnreadableImage when a PNG or JPEG ends before its last pixel. Its missing pixels are black or mid-grey.

    end: where a JPEG's end marker is; 0 for other formats. A complete image may end in that colour too, so a second
    check decides: it counts a PNG's pixels, and inserts bytes before a JPEG's end marker, which do not change a
    complete one.
    """
    last = image.getpixel((image.width - 1, image.height - 1))
    values = last if isinstance(last, tuple) else (last,)
    if image.format == "PNG" and not any(values) and png_lacks_pixels(data):
        raise UnreadableImage(CUT_OFF)
    if not end or any(value not in MISSING for value in values):
        return
    with Image.open(io.BytesIO(data[:end] + bytes(range(200)) + data[end:]), formats=("JPEG",)) as longer:
        longer.draft(None, (target, target))
        if ImageChops.difference(image.copy(), longer.copy()).getbbox(alpha_only=False):
            raise UnreadableImage(CUT_OFF)


def read_heif(data: bytes, rules: Images) -> Frame:
    """Read the primary image. The plugin has already rotated it, so its EXIF orientation is not applied again."""
    opened = heif_opener()
    _refuse_cut_boxes(data)
    with opened(io.BytesIO(data)) as image:
        refuse_too_large(image.width, image.height, rules)
        orientation = exif_number(image.info.get("original_orientation"))
        frame = _upright(image, image.size, int(image.info.get("bit_depth", 8)), rules)
        return Frame(
            frame.image, frame.width, frame.height, "HEIF", frame.mode, frame.bits,
            orientation, frame.taken,
        )  # fmt: skip


def heif_opener() -> Callable[[io.BytesIO], Image.Image]:
    """The plugin's way to open an image without decoding it. Raises UnreadableImage when it is not installed."""
    try:
        from pillow_heif import HeifImageFile, options
    except ImportError:
        raise missing_extra("HEIC images", "pillow-heif", "heic") from None
    options.DECODE_THREADS = 1  # callers already use one thread per image
    opener: Any = HeifImageFile  # pillow_heif has no type hints
    return opener  # type: ignore[no-any-return]


def _refuse_cut_boxes(data: bytes) -> None:
    """Raise UnreadableImage when the file ends inside a box that holds the image."""
    at = 0
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if length == 1 and at + 16 <= len(data):
            length = struct.unpack_from(">Q", data, at + 8)[0]
        if length == 0:  # the box extends to the end of the file
            return
        if kind in NEEDED_BOXES and at + length > len(data):
            raise UnreadableImage(CUT_OFF)
        at += max(length, 8)


def _upright(image: Image.Image, size: tuple[int, int], bits: int, rules: Images, data: bytes = b"") -> Frame:
    """Decode the opened image and make it upright. size: as the file declares it; data: the file of a PNG or TIFF."""
    name, mode, told, nodata = image.format or "", image.mode, _tag(image, ORIENTATION), nodata_of(image)
    taken = taken_of(image) if name == "TIFF" else UNKNOWN
    image.load()  # this rotates a TIFF, and drops its orientation and other tags
    taken = taken if name == "TIFF" else taken_of(image)  # a PNG may hold them behind its pixels
    orientation = _orientation(image)
    by_value = rules.white_level or not math.isnan(nodata)  # Pillow would keep only the upper 8 bits
    if by_value and bits == 16 and name in ("PNG", "TIFF") and mode in ("RGB", "RGBA"):
        shown = _rgb(deep_colour(data, rules.white_level or 65535, nodata))  # which turns a TIFF too
    elif mode in ("F", "I") or mode.startswith("I;"):
        shown = deep_grey(image, bits, nodata, rules).convert("RGB")
    else:
        shown = _rgb(without_nodata(image, nodata))
    # Not with ImageOps.exif_transpose: it rewrites all other EXIF data, and fails where they are invalid.
    upright = turned_upright(shown, orientation)
    width, height = upright_size(*size, orientation)
    turn = exif_number(told) if orientation == 1 else orientation
    return Frame(upright, width, height, name, mode, bits, turn, taken)


def _orientation(image: Image.Image) -> int:
    """EXIF's number; 1 where the EXIF data are invalid, as the pixels can be read all the same."""
    exif = image.info.get("exif")
    if isinstance(exif, bytes) and isinstance(found := read_exif(exif).get(ORIENTATION), int):
        return exif_number(found)
    try:  # it may be in XMP, or in a TIFF's own tags
        return exif_number(image.getexif().get(ExifTags.Base.Orientation))
    except NO_EXIF:
        return 1


def _bits(image: Image.Image, data: bytes) -> int:
    """Bits of one sample as stored. Pillow's mode gives the bits after decoding, which may be fewer."""
    match image.format:
        case "PNG" if data[12:16] == b"IHDR":
            return data[24]
        case "TIFF":
            return _tag(image, BITS_PER_SAMPLE)
        case "AVIF" if (at := data.find(b"av1C")) > 0 and data[at + 6] & 0x40:  # more than 8
            return 12 if data[at + 6] & 0x20 else 10
        case "PPM" if image.mode == "I":
            return 16
        case _:
            return 1 if image.mode == "1" else 16 if image.mode.startswith("I;16") else 8


def _rgb(image: Image.Image) -> Image.Image:
    """Convert a mode of 8 bits to RGB: transparent pixels over white."""
    if image.has_transparency_data:
        return _over_white(image)
    return image if image.mode == "RGB" else image.convert("RGB")  # which would copy it


def _over_white(image: Image.Image) -> Image.Image:
    shown = Image.new("RGB", image.size)
    for top in range(0, image.height, STRIP):
        strip = image.crop((0, top, image.width, min(top + STRIP, image.height))).convert("RGBA")
        shown.paste(Image.alpha_composite(Image.new("RGBA", strip.size, WHITE), strip).convert("RGB"), (0, top))
    return shown
