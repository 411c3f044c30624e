"""Images as the browser shows them: small ones that are made once and cached, large ones as they are asked for.

All come from the project's one decoder, so that a hostile file meets no other, and the reader sees what the model saw:
the same window of a DICOM image, the same scaling of deep samples. Only the size differs, and the shape is the file's.
"""

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.core.errors import NightshiftError
from pipeline.core.processors import usable
from pipeline.images.decode import Picture, UnreadableImage, decode
from pipeline.night.reading import BYTES_A_PIXEL, HEADER_BYTES
from pipeline.params.data import Images
from pipeline.storage.files import replacing, sha256
from pipeline.storage.folders import UnfitFile, folder_at

CACHE = Path(".nightshift/thumbnails")
THUMBNAIL = 256  # pixels, of the longer side: sharp at 128 points on a telephone
LARGEST = 2048  # pixels of the longer side of a large picture
QUALITY, LARGE_QUALITY = 82, 94  # of WebP
LOSSLESS = 1_500_000  # pixels; a larger picture would take too long


class PictureError(NightshiftError):
    """An image cannot be shown; says why."""


@dataclass(frozen=True, slots=True)
class View:
    """How deep samples become 8 bits; None: as the model saw it."""

    window: tuple[float, float] | None = None  # DICOM: centre and width
    white: int | None = None  # the 16-bit sample that is shown as white


class Pictures:
    """Makes the pictures of one project, a few at a time."""

    def __init__(self, rules: Images, cache: Path = CACHE) -> None:
        """rules: as the model sees images."""
        self._rules = rules
        look = sha256(rules.model_copy(update={"width": 8, "height": 8, "fit": "stretch"}).model_dump_json().encode())
        self._cache = cache / f"{THUMBNAIL}-{look[:8]}"
        self.pool = ThreadPoolExecutor(max(2, usable()), "picture")  # clicks must not wait for pictures
        self._names = threading.Lock()

    def thumbnail(self, digest: str, place: str) -> bytes:
        """A small picture as WebP; made once. Raises PictureError."""
        file = self._cache / digest[:2] / f"{digest}.webp"
        try:
            return file.read_bytes()
        except OSError:
            pass
        found = self._decoded(digest, place, self._square(THUMBNAIL))
        data = as_webp(_shaped(found, THUMBNAIL))
        try:
            with replacing(file) as beside:
                beside.write_bytes(data)
        except OSError:  # a full disk: the next page makes it again
            pass
        return data

    def large(self, digest: str, place: str, view: View) -> bytes:
        """A picture with all pixels up to LARGEST, as WebP. Raises PictureError."""
        rules = self._square(THUMBNAIL)
        if view.window:
            rules = rules.model_copy(update={"window": view.window})
        if view.white:
            rules = rules.model_copy(update={"white_level": view.white})
        small = self._decoded(digest, place, rules)
        width, height = _size(small, min(LARGEST, max(small.width, small.height)))
        found = self._decoded(digest, place, rules.model_copy(update={"width": width, "height": height}))
        return as_webp(found.pixels, large=True)

    def as_model_sees(self, digest: str, place: str) -> Picture:
        """The pixels that the model gets. Raises PictureError."""
        return self._decoded(digest, place, self._rules)

    def _square(self, side: int) -> Images:
        return self._rules.model_copy(update={"width": side, "height": side, "fit": "stretch"})

    def _decoded(self, digest: str, place: str, rules: Images) -> Picture:
        most = int(rules.max_megapixels * 1e6 * BYTES_A_PIXEL) + HEADER_BYTES
        try:
            data = folder_at(place).read_at_most("", most)
        except UnfitFile as error:
            raise PictureError(str(error)) from None
        except (OSError, NightshiftError) as error:
            raise PictureError(f"it cannot be read: {getattr(error, 'strerror', None) or error}") from None
        if sha256(data) != digest:
            raise PictureError("the file has changed since: its answer is of other bytes")
        try:
            return decode(data, rules)
        except UnreadableImage as error:
            raise PictureError(str(error)) from None


def as_webp(pixels: NDArray[np.uint8], *, large: bool = False) -> bytes:
    """Pixels (height, width, 3) as a file for a browser; a large one is for a close look."""
    buffer, exact = io.BytesIO(), large and pixels.shape[0] * pixels.shape[1] <= LOSSLESS
    quality = (30 if exact else LARGE_QUALITY) if large else QUALITY  # of a lossless one: the effort
    Image.fromarray(pixels).save(buffer, "WEBP", quality=quality, method=1, lossless=exact)
    return buffer.getvalue()


def _size(found: Picture, side: int) -> tuple[int, int]:
    """Width and height of the image's shape with this longer side."""
    scale = side / max(found.width, found.height)
    return max(8, round(found.width * scale)), max(8, round(found.height * scale))


def _shaped(found: Picture, side: int) -> NDArray[np.uint8]:
    """A stretched picture in the image's shape."""
    size = _size(found, min(side, max(found.width, found.height)))
    return np.asarray(Image.fromarray(found.pixels).resize(size, Image.Resampling.BILINEAR))
