"""Multi-band TIFF -> an upright 8-bit RGB frame, read with tifffile (the extra `tiff`). Opens no file.

A band is one sample of the first page. If the first page has a single sample, every page of the same shape and type is
a band, in file order: OME-TIFF stores channels this way. Three bands become red, green and blue; the same band three
times gives grey. Each band is stretched separately between two percentiles. A pixel without data (NaN, infinite, GDAL's
nodata) in one of the three bands is black.
"""

import io
import itertools
import logging
import math
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.images.frame import Frame, UnreadableImage, missing_extra, refuse_too_large
from pipeline.images.orientation import exif_number, turned_upright, upright_size
from pipeline.images.taken_exif import taken_of_tiff
from pipeline.params.data import Images

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

BYTES_A_PIXEL = 16  # limit for each pixel of max_megapixels: tifffile decodes all bands of a page at once
ORIENTATION, GDAL_NODATA = 274, 42113  # tags
LAYOUT = frozenset({*range(256, 260), 262, *range(273, 280), 284, 317, *range(320, 326), 338, 339})  # tags on pixels
TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
UNCOMPRESSED, LZW = 1, 5  # values of the tag Compression
READ = {UNCOMPRESSED: "none", LZW: "LZW", 8: "deflate", 32946: "deflate", 50000: "zstd"}  # tested on damaged bytes
LARGEST_TILE = 1024 * 1024  # pixels; a picture may be smaller than its only tile
NOT_A_BAND = 1 | 4  # bits of NewSubfileType: a reduced copy, a mask


def read_bands(data: bytes, rules: Images) -> Frame:
    """Read three bands of a TIFF. Raises UnreadableImage, or any error that tifffile raises on a damaged file."""
    try:
        import imagecodecs  # noqa: F401 - tifffile needs it for every compression
        import tifffile
    except ImportError:
        raise missing_extra("TIFF images of this kind", "tifffile", "tiff") from None
    logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)  # the reason goes into the row, not to the console
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        _refuse_cut_tags(tiff, data)
        page: Any = tiff.pages.first
        width, height, samples = int(page.imagewidth), int(page.imagelength), int(page.samplesperpixel)
        refuse_too_large(width, height, rules)
        dtype = np.dtype(page.dtype)
        _refuse_odd_pages(page, dtype, rules)
        wanted = rules.bands or ((1, 2, 3) if samples >= 3 else (1, 1, 1))
        shown = _bands(tiff, data, wanted)
        valid = np.logical_and.reduce([is_valid(band, page) for band in shown.values()])
        channels = {number: stretched(band, valid, rules.stretch) for number, band in shown.items()}
        bits, orientation = int(page.bitspersample), _orientation(page)
    image = turned_upright(Image.fromarray(np.dstack([channels[number] for number in wanted])), orientation)
    width, height = upright_size(width, height, orientation)
    return Frame(image, width, height, "TIFF", f"{samples} x {dtype.name}", bits, orientation, taken_of_tiff(data))


def _refuse_cut_tags(tiff: "TiffFile", data: bytes) -> None:
    """Raise UnreadableImage when a tag on the pixels' layout is truncated: tifffile would ignore the tag."""
    form, at = tiff.tiff, tiff.pages.first.offset
    count = struct.unpack_from(form.tagnoformat, data, at)[0]
    for entry in range(at + form.tagnosize, at + form.tagnosize + count * form.tagsize, form.tagsize):
        number, kind = struct.unpack_from(form.tagformat1, data, entry)
        values, place = struct.unpack_from(form.tagformat2, data, entry + 4)
        size = values * TYPE_BYTES.get(kind, 1)
        if number not in LAYOUT or size <= form.tagoffsetthreshold:
            continue
        if struct.unpack(form.offsetformat, place)[0] + size > len(data):
            raise UnreadableImage("damaged image: it is cut off")


def _refuse_odd_pages(page: "TiffPage", dtype: np.dtype[Any], rules: Images) -> None:
    if page.imagedepth != 1:
        raise UnreadableImage(f"a volume of {page.imagedepth} layers is no picture")
    if page.compression not in READ:
        raise UnreadableImage(
            f"TIFF compression {int(page.compression)} is not read for images of this kind; save it with one of "
            f"{', '.join(sorted(set(READ.values())))}"
        )
    if dtype.kind not in "uifb":
        raise UnreadableImage(f"values of the type {dtype.name} cannot be shown")
    if page.imagewidth * page.imagelength * page.samplesperpixel * dtype.itemsize > _most_bytes(rules):
        raise UnreadableImage(
            f"{page.imagewidth} x {page.imagelength} pixels of {page.samplesperpixel} bands ({dtype.name}) are more "
            f"than images.max_megapixels ({rules.max_megapixels:g}) allows"
        )


def _most_bytes(rules: Images) -> float:
    return BYTES_A_PIXEL * rules.max_megapixels * 1e6


def _bands(tiff: "TiffFile", data: bytes, wanted: tuple[int, ...]) -> dict[int, NDArray[Any]]:
    """The wanted bands by number, each (height, width). Raises UnreadableImage when the file has fewer."""
    page: Any = tiff.pages.first
    highest = max(wanted)
    if page.samplesperpixel > 1:
        pages, count = [page], int(page.samplesperpixel)
    else:
        pages = list(itertools.islice(_pages_like_the_first(tiff, data), highest))
        count = len(pages)
    if count < highest:
        raise UnreadableImage(f"images.bands asks for band {highest}; the file has {count}")
    if page.samplesperpixel == 1:
        return {number: _decoded(pages[number - 1], data) for number in sorted(set(wanted))}
    values = _decoded(page, data)
    last = not page.axes.startswith("S")
    return {number: values[:, :, number - 1] if last else values[number - 1] for number in sorted(set(wanted))}


def _pages_like_the_first(tiff: "TiffFile", data: bytes) -> Iterator[Any]:
    """Yield the pages that are bands; skip reduced copies and masks."""
    from tifffile import TiffPage

    first: Any = tiff.pages.first
    yield first
    for number, offset in enumerate(itertools.islice(_page_offsets(tiff, data), 1, None), start=1):
        tiff.filehandle.seek(offset)
        page = TiffPage(tiff, index=number)
        if (page.shape, page.dtype) == (first.shape, first.dtype) and not page.subfiletype & NOT_A_BAND:
            yield page


def _page_offsets(tiff: "TiffFile", data: bytes) -> Iterator[int]:
    """Yield the offset of each page's tags, each offset once: a cyclic chain of pages would never end."""
    form, seen = tiff.tiff, set()
    offset: int = tiff.pages.first.offset
    while 0 < offset < len(data) and offset not in seen:
        seen.add(offset)
        yield offset
        count = struct.unpack_from(form.tagnoformat, data, offset)[0]
        offset = struct.unpack_from(form.offsetformat, data, offset + form.tagnosize + count * form.tagsize)[0]


def _decoded(page: "TiffPage", data: bytes) -> NDArray[Any]:
    """Decode a page: (height, width), (height, width, samples) or (samples, height, width), as its axes say.

    Raises UnreadableImage when strips or tiles are missing: tifffile would leave their pixels uninitialised.
    """
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    if any(offset + length > len(data) for offset, length in segments):
        raise UnreadableImage("damaged image: it is cut off")
    contiguous = page.is_contiguous  # one run of bytes, however many strips the tags list
    if not contiguous and len(segments) != math.prod(page.chunked):
        raise UnreadableImage("damaged image: strips or tiles are missing")
    if page.is_tiled and page.tilewidth * page.tilelength > 4 * max(page.imagewidth * page.imagelength, LARGEST_TILE):
        raise UnreadableImage("damaged image: its tiles are larger than the picture")
    if page.compression == LZW:
        return _decoded_lzw(page, [data[offset : offset + length] for offset, length in segments])
    return np.asarray(page.asarray(maxworkers=1))


def _decoded_lzw(page: Any, segments: list[bytes]) -> NDArray[Any]:
    """Like `_decoded`, but libtiff decompresses LZW: imagecodecs' LZW decoder crashes on damaged bytes."""
    page.compression = UNCOMPRESSED  # tifffile still undoes predictor, byte order and tiles
    _, depth, height, width, samples = page.shaped
    decoded = np.zeros((page.shaped[0], depth, height, width, samples), page.dtype)
    strips = math.ceil(height / page.rowsperstrip) if not page.is_tiled else 1
    for index, segment in enumerate(segments):
        rows = page.tilelength if page.is_tiled else min(page.rowsperstrip, height - index % strips * page.rowsperstrip)
        columns = page.tilewidth if page.is_tiled else width
        raw = unpacked_lzw(segment, rows * columns * samples * decoded.itemsize) if segment else None
        part, (plane, _, top, left, _), shape = page.decode(raw, index)
        if part is None:  # GDAL omits a tile that holds nodata only
            part = np.full((*shape[:3], samples), page.nodata, decoded.dtype)
        into = decoded[plane, :, top : top + shape[1], left : left + shape[2]]
        into[...] = part[:, : into.shape[1], : into.shape[2]]
    return decoded.reshape(page.shape)


def unpacked_lzw(segment: bytes, size: int) -> bytes:
    """Decompress one strip or tile to `size` bytes, as a TIFF of one row. Raises OSError when bytes are missing."""
    tags = [(256, 4, size), (257, 4, 1), (258, 3, 8), (259, 3, LZW), (262, 3, 1), (273, 4, 122), (277, 3, 1)]
    tags += [(278, 4, 1), (279, 4, len(segment))]  # in ascending order; the compressed bytes begin at 122
    entries = b"".join(struct.pack("<HHII", number, kind, 1, value) for number, kind, value in tags)
    file = struct.pack("<4sIH", b"II*\0", 8, len(tags)) + entries + bytes(4) + segment
    with Image.open(io.BytesIO(file), formats=("TIFF",)) as image:
        return image.tobytes()


def is_valid(band: NDArray[Any], page: "TiffPage") -> NDArray[np.bool_]:
    """A mask of the pixels with data: not NaN, not infinite, not the value of GDAL's nodata tag."""
    valid: NDArray[np.bool_] = np.isfinite(band)
    tag = page.tags.get(GDAL_NODATA)
    try:
        nodata = float(str(tag.value).strip(" \0")) if tag else math.nan
    except ValueError:
        return valid
    # Compare in the band's own type: -3.4028234663852886e+38 is a float32 only after rounding.
    return np.asarray(valid & (band != np.float64(nodata).astype(band.dtype))) if _fits(nodata, band.dtype) else valid


def _fits(number: float, dtype: np.dtype[Any]) -> bool:
    if dtype.kind == "f":
        return math.isfinite(number) and abs(number) <= float(np.finfo(dtype).max) * (1 + 1e-6)
    limits = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return math.isfinite(number) and limits[0] <= number <= limits[1] and number == int(number)


def stretched(band: NDArray[Any], valid: NDArray[np.bool_], percentiles: tuple[float, float]) -> NDArray[np.uint8]:
    """Scale a band to 0..255 between two percentiles of its valid pixels; all other pixels become black.

    band, valid: (height, width). Raises UnreadableImage when no pixel is valid.
    """
    return scaled(band, valid, limits(band[valid], percentiles))


def limits(values: NDArray[Any], percentiles: tuple[float, float]) -> tuple[float, float]:
    """The values that become 0 and 255: two percentiles of `values`, (n,). Raises UnreadableImage without any."""
    if not values.size:
        raise UnreadableImage("no pixel has a value in all bands that are shown")
    low, high = (float(value) for value in np.percentile(values.astype(np.float64), percentiles))
    return low, high


def scaled(band: NDArray[Any], valid: NDArray[np.bool_], between: tuple[float, float]) -> NDArray[np.uint8]:
    """A band with the values `between` as 0..255, and black where it is not valid. band, valid: (height, width)."""
    low, high = between
    values = np.where(valid, band, low).astype(np.float64)
    return np.where(valid, np.rint(((values - low) / max(high - low, 1e-12)).clip(0, 1) * 255), 0).astype(np.uint8)


def _orientation(page: "TiffPage") -> int:
    tag = page.tags.get(ORIENTATION)
    return exif_number(tag.value if tag else None)
