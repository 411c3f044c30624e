"""What Pillow reads -> an upright 8-bit RGB frame; HEIF by its plugin, the extra `heic`. Opens no file.

TIFF that is a stack of bands and no picture is told from the rest here, and read in `multiband`.
"""

import io
import struct
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from pipeline.frame import QUARTER_TURNS, Frame, UnreadableImage, exif_number, missing_extra, refuse_too_large
from pipeline.params_data import Images

# Readers that stay inside this process: no EPS (it starts Ghostscript), no PDF, no formats of the last century.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "JPEG2000", "AVIF", "PPM")
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the latter two: BigTIFF
HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
AVIF_BRANDS = frozenset({b"avif", b"avis"})
OPEN_BRANDS = frozenset({b"mif1", b"msf1"})  # HEIF, or AVIF when that is among the other brands
NEEDED_BOXES = frozenset({b"ftyp", b"meta", b"moov", b"mdat", b"idat"})  # of HEIF: where its pixels are
DRAFT_MARGIN = 2  # decode JPEG at >= 2x the target: 3 to 3.6x faster on 12 megapixels, mean difference 0.30 of 255
BITS_PER_SAMPLE, ORIENTATION, SAMPLES_PER_PIXEL, PLANAR_CONFIGURATION = 258, 274, 277, 284  # TIFF's tags
IN_PLANES = 2
MOST_PICTURE_SAMPLES = 4  # of a pixel; a TIFF with more is a stack of bands
START_OF_TILE, END_OF_CODESTREAM = b"\xff\x90", b"\xff\xd9"  # JPEG2000
WHITE = (255, 255, 255, 255)


def is_tiff(data: bytes) -> bool:
    """Whether the bytes are a TIFF or BigTIFF."""
    return data.startswith(TIFF_STARTS)


def is_plain_tiff(data: bytes) -> bool:
    """Whether a TIFF is an ordinary picture, which Pillow opens; all others are stacks of bands."""
    try:
        with Image.open(io.BytesIO(data), formats=("TIFF",)) as image:
            samples, planes = _tag(image, SAMPLES_PER_PIXEL), _tag(image, PLANAR_CONFIGURATION)
            # Pillow opens planes of 16 bits, and gives other pixels than are in them.
            return samples <= MOST_PICTURE_SAMPLES and (planes != IN_PLANES or _tag(image, BITS_PER_SAMPLE) <= 8)
    except (UnidentifiedImageError, KeyError):  # a layout of samples, or (KeyError) a compression, unknown to Pillow
        return False


def _tag(image: Image.Image, number: int) -> int:
    """A TIFF tag's value, the highest of several; 1, as the standard has it for those asked for, when there is none."""
    value = getattr(image, "tag_v2", {}).get(number, 1)
    return int(max(value) if isinstance(value, tuple) else value)


def is_heif(data: bytes) -> bool:
    """Whether the bytes say they are HEIC or another HEIF, and not AVIF."""
    if data[4:8] != b"ftyp":
        return False
    length = min(struct.unpack_from(">I", data)[0], 256)
    first, others = data[8:12], {data[at : at + 4] for at in range(16, length, 4)}
    return first in HEIF_BRANDS or (first in OPEN_BRANDS and not others & AVIF_BRANDS)


def read_picture(data: bytes, rules: Images) -> Frame:
    """The first frame, large JPEG at a reduced scale. Raises UnreadableImage, or whatever Pillow raises."""
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        refuse_too_large(*image.size, rules)
        if image.format == "JPEG2000" and END_OF_CODESTREAM not in data[data.find(START_OF_TILE) :]:
            raise UnreadableImage("damaged image: it is cut off")  # OpenJPEG paints the missing tiles black
        bits = _bits(image, data)
        size = image.size
        target = DRAFT_MARGIN * max(rules.width, rules.height)
        image.draft(None, (target, target))  # None keeps the mode; only JPEG listens
        return _upright(image, size, bits)


def read_heif(data: bytes, rules: Images) -> Frame:
    """The primary image, turned as its file says; its EXIF orientation repeats that and is not applied again."""
    try:
        from pillow_heif import HeifImageFile, options
    except ImportError:
        raise missing_extra("HEIC images", "pillow-heif", "heic") from None
    _refuse_cut_boxes(data)
    options.DECODE_THREADS = 1  # callers have a thread an image already
    opener: Any = HeifImageFile  # has no types
    with opener(io.BytesIO(data)) as image:
        refuse_too_large(image.width, image.height, rules)
        orientation = exif_number(image.info.get("original_orientation"))
        frame = _upright(image, image.size, int(image.info.get("bit_depth", 8)))
        return Frame(
            frame.image, frame.width, frame.height, "HEIF", frame.mode, frame.bits,
            orientation,
        )  # fmt: skip


def _refuse_cut_boxes(data: bytes) -> None:
    """Raises UnreadableImage when the file ends inside one of the boxes that hold the picture."""
    at = 0
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if length == 1 and at + 16 <= len(data):
            length = struct.unpack_from(">Q", data, at + 8)[0]
        if length == 0:  # it goes on to the end of the file
            return
        if kind in NEEDED_BOXES and at + length > len(data):
            raise UnreadableImage("damaged image: it is cut off")
        at += max(length, 8)


def _upright(image: Image.Image, size: tuple[int, int], bits: int) -> Frame:
    """The opened image, decoded; `size` is what the file declares."""
    name, mode, told = image.format or "", image.mode, _tag(image, ORIENTATION)
    image.load()  # which turns a TIFF, and forgets that it was turned
    orientation = exif_number(image.getexif().get(ExifTags.Base.Orientation))
    width, height = reversed(size) if orientation in QUARTER_TURNS else size
    # Turned before its mode is changed: a changed image has lost its EXIF.
    upright = _rgb(ImageOps.exif_transpose(image))
    return Frame(upright, width, height, name, mode, bits, exif_number(told) if orientation == 1 else orientation)


def _bits(image: Image.Image, data: bytes) -> int:
    """Bits of one sample as stored. Pillow's mode tells those it gives, which may be fewer."""
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
    """Any mode as RGB: transparent pixels over white, deep pixels scaled and never clipped."""
    if image.mode in ("F", "I") or image.mode.startswith("I;"):
        return _deep_grey(image).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, WHITE), image).convert("RGB")
    return image.convert("RGB")


def _deep_grey(image: Image.Image) -> Image.Image:
    """More than 8 bits of grey to 8: 16-bit by its full range, wider integers and floats by the values they hold."""
    values = np.asarray(image).astype(np.float64)
    finite = np.isfinite(values)
    if not finite.any():
        raise UnreadableImage("no pixel has a finite value")
    low, high = (0.0, 65535.0) if image.mode != "F" else (values[finite].min(), values[finite].max())
    if image.mode == "I" and (values.min() < low or values.max() > high):
        low, high = values.min(), values.max()
    scaled = (np.where(finite, values, low) - low) / max(high - low, 1e-12) * 255
    return Image.fromarray(np.rint(scaled).astype(np.uint8))
