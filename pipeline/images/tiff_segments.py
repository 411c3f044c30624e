"""The strips or tiles of one page of a TIFF, decoded as they are asked for and kept for a while. Knows no window.

tifffile decodes a segment (the extra `tiff`). What a hostile file claims is refused before memory is allocated:
segments outside the file, or upon each other, or far larger than a tile; a JPEG that is larger than its segment.
"""

import logging
import math
import struct
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipeline.images.bands import LZW, READ, UNCOMPRESSED, unpacked_lzw
from pipeline.images.decode import explained
from pipeline.images.frame import UnreadableImage, missing_extra
from pipeline.images.integrity import CUT_OFF

JPEG = 7  # a value of the tag Compression
READ_BY_WINDOWS = READ | {JPEG: "JPEG"}
IN_PLANES = 2
KEPT_BYTES = 384_000_000  # of decoded segments
LARGEST = 128_000_000  # bytes of a segment, decoded; a striped file that is not compressed is read in runs of RUN bytes
RUN, RUN_ROWS = 4_000_000, 64
SLACK = 1 << 20  # bytes by which compressed pixels may be more than they are decoded
MOST_SEGMENTS = 2_000_000
MCU = 16  # pixels: a JPEG's last blocks may reach so far over the segment
Shown = Callable[[list[NDArray[Any]]], NDArray[np.uint8]]  # bands, each (height, width) -> RGB (height, width, 3)


class Segments:
    """A page's pixels in a grid of segments of `width` x `height` pixels; those at the right and below may reach over.

    Several threads may ask at a time.
    """

    def __init__(self, opened: BinaryIO, page: Any, wanted: tuple[int, ...], size: int) -> None:
        """page: of tifffile. wanted: the bands to decode, counted from 1. size: of a tile. Raises UnreadableImage."""
        self._opened, self._page, self._wanted = opened, page, wanted
        self._bytes, self._reading = opened.seek(0, 2), threading.Lock()
        self._keeping, self._kept = threading.Lock(), OrderedDict[int, Future[list[NDArray[Any]]]]()
        pixel = page.dtype.itemsize * (1 if page.planarconfig == IN_PLANES else page.samplesperpixel)
        contiguous = not page.is_tiled and page.is_contiguous and page.predictor == 1 and page.fillorder == 1
        self._runs = contiguous and (page.planarconfig != IN_PLANES or page.samplesperpixel == 1)
        self.width = page.tilewidth if page.is_tiled else page.imagewidth
        self.height = page.tilelength if page.is_tiled else min(page.rowsperstrip, page.imagelength)
        if self._runs:
            self.height = min(page.imagelength, RUN_ROWS, max(1, RUN // (page.imagewidth * pixel)))
        self.columns = math.ceil(page.imagewidth / self.width)
        self.rows = math.ceil(page.imagelength / self.height)
        self._pixel = pixel
        self._shown_bytes = page.dtype.itemsize * len(set(wanted))
        self._refuse_odd(size)
        self._most = max(4, KEPT_BYTES // (self.width * self.height * self._shown_bytes))
        self._lzw = page.compression == LZW
        if self._lzw:  # libtiff decompresses it: imagecodecs' LZW decoder crashes on damaged bytes
            page.compression = UNCOMPRESSED

    def _refuse_odd(self, size: int) -> None:
        page, largest = self._page, self.width * self.height * self._pixel
        if page.compression not in READ_BY_WINDOWS:
            raise UnreadableImage(
                f"TIFF compression {int(page.compression)} is not read by windows; save it with one of "
                f"{', '.join(sorted(set(READ_BY_WINDOWS.values())))}"
            )
        if largest > LARGEST:
            raise UnreadableImage(
                f"its tiles or strips of {self.width} x {self.height} pixels are too large to be read by windows; save "
                "it in tiles of 512 x 512 pixels"
            )
        if not page.is_tiled and (size + 2 * self.height) * page.imagewidth * self._shown_bytes > KEPT_BYTES:
            raise UnreadableImage(
                f"its strips are too wide to be kept for a row of tiles of {size} pixels; save it in tiles of 512 x 512"
            )
        if self._runs:
            return
        planes = page.samplesperpixel if page.planarconfig == IN_PLANES else 1
        if self.columns * self.rows * planes > min(MOST_SEGMENTS, len(page.dataoffsets), len(page.databytecounts)):
            raise UnreadableImage("damaged image: strips or tiles are missing")
        offsets, counts = np.array(page.dataoffsets, np.uint64), np.array(page.databytecounts, np.uint64)
        # Writers may let equal tiles, as empty ones, share their bytes.
        places = np.unique(np.stack([offsets, counts], axis=1)[counts > 0], axis=0)
        if len(places) and np.any(places[:-1, 0] + places[:-1, 1] > places[1:, 0]):
            raise UnreadableImage("damaged image: its tiles or strips overlap")

    def bands(self, number: int) -> list[NDArray[Any]]:
        """The wanted bands of a segment, each (height, width) at most. Raises UnreadableImage for a damaged one."""
        with self._keeping:
            coming = self._kept.get(number)
            mine = coming is None
            coming = self._kept.setdefault(number, coming or Future())
            self._kept.move_to_end(number)
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        if mine:
            try:
                with explained(b""):
                    coming.set_result(self._decoded(number))
            except UnreadableImage as error:
                coming.set_exception(error)
            except BaseException:
                coming.cancel()
                raise
        try:
            return coming.result()
        except UnreadableImage as error:  # of another thread, perhaps
            raise UnreadableImage(str(error)) from None

    def _decoded(self, number: int) -> list[NDArray[Any]]:
        page = self._page
        if self._runs:
            return self._of_run(number)
        if page.planarconfig != IN_PLANES or page.samplesperpixel == 1:
            values = self._of_segment(number)
            return [values[:, :, band - 1] for band in self._wanted]
        each = self.columns * self.rows
        found = {band: self._of_segment((band - 1) * each + number)[:, :, 0] for band in set(self._wanted)}
        return [found[band] for band in self._wanted]

    def _of_run(self, number: int) -> list[NDArray[Any]]:
        """Rows of a file without compression: they stand in it one after the other."""
        page, row = self._page, self._page.imagewidth * self._pixel
        top = number * self.height
        rows = min(self.height, page.imagelength - top)
        data = self._read(page.dataoffsets[0] + top * row, rows * row)
        values = np.frombuffer(data, np.dtype(page.dtype).newbyteorder(page.parent.byteorder))
        values = values.reshape(rows, page.imagewidth, page.samplesperpixel).astype(page.dtype, copy=False)
        return [values[:, :, band - 1] for band in self._wanted]

    def _of_segment(self, index: int) -> NDArray[Any]:
        """A segment of the file, (height, width, samples)."""
        page = self._page
        offset, length = page.dataoffsets[index], page.databytecounts[index]
        if length > self.width * self.height * self._pixel + SLACK:
            raise UnreadableImage(f"damaged image: a tile or strip claims {length} bytes")
        data: bytes | None = self._read(offset, length) if length else None
        if data and page.compression == JPEG:
            self._refuse_larger_jpeg(data)
        if data and self._lzw:
            samples = 1 if page.planarconfig == IN_PLANES else page.samplesperpixel
            rows = self.height
            if not page.is_tiled:
                rows = min(rows, page.imagelength - index % self.rows * rows)
            data = unpacked_lzw(data, rows * math.ceil(self.width * samples * page.bitspersample / 8))
        values, _, shape = page.decode(data, index, jpegtables=page.jpegtables)
        if values is None:  # GDAL omits a tile that holds nodata only
            values = np.full(shape, page.nodata, page.dtype)
        return np.asarray(values[0])

    def _read(self, offset: int, length: int) -> bytes:
        if offset + length > self._bytes:
            raise UnreadableImage(CUT_OFF)
        with self._reading:
            self._opened.seek(offset)
            data = self._opened.read(length)
        if len(data) != length:
            raise UnreadableImage(CUT_OFF)
        return data

    def _refuse_larger_jpeg(self, data: bytes) -> None:
        width, height = _jpeg_size(data)
        if width > self.width + MCU or height > self.height + MCU:
            raise UnreadableImage(f"damaged image: a tile of {self.width} pixels holds a JPEG of {width} x {height}")


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height that a JPEG declares. Raises UnreadableImage when it declares none."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        kind = data[at + 1]
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        at += 1 if kind == 0xFF else 2 + struct.unpack_from(">H", data, at + 2)[0]
    raise UnreadableImage("damaged image: a tile's JPEG has no size")


def opened_tiff(opened: BinaryIO) -> Any:
    """The file as tifffile's TiffFile. Raises UnreadableImage where the extra `tiff` is missing."""
    try:
        import imagecodecs  # noqa: F401 - tifffile needs it for every compression
        import tifffile
    except ImportError:
        raise missing_extra("TIFF scenes", "tifffile", "tiff") from None
    logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)  # the reason goes into the row, not to the console
    opened.seek(0)
    return tifffile.TiffFile(opened, name="scene.tif")
