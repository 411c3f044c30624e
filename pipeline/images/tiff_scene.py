"""A TIFF or BigTIFF as a scene: windows of it as upright 8-bit RGB, as the whole picture would look. Opens no file.

Colours of 8 bits stay as they are; 16 bits are scaled as in a picture that is read whole. Bands (images.bands, or
values without a full range) are stretched between percentiles of the whole scene, taken from at most SAMPLED of its
segments: all tiles of a scene alike.
"""

import math
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.images.bands import is_valid, limits, scaled
from pipeline.images.camera_raw import WORDS
from pipeline.images.frame import UnreadableImage
from pipeline.images.orientation import exif_number, turned_upright, upright_size
from pipeline.images.taken_exif import taken_of
from pipeline.images.taken_values import UNKNOWN, Taken
from pipeline.images.tiff_segments import Segments, opened_tiff
from pipeline.images.tiff_tags import DNG_VERSION, NODATA, SUB_IFDS, WIDTH, TiffTags, read_tags
from pipeline.images.windows import Window, as_stored
from pipeline.params.data import Images, Tiles

MIN_IS_WHITE, MIN_IS_BLACK, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6  # values of PhotometricInterpretation
ASSOCIATED, UNASSOCIATED = 1, 2  # values of ExtraSamples: alpha, multiplied into the colours or not
SUBFILE, REDUCED, MASK = 254, 1, 4  # NewSubfileType and its bits
MOST_PAGES = 64  # looked at for the levels of a pyramid
SAMPLED, SAMPLED_PIXELS = 64, 1_000_000  # segments and pixels for percentiles


class TiffScene:
    """An opened TIFF that is read by windows, by several threads at a time."""

    def __init__(self, opened: BinaryIO, rules: Images, tiles: Tiles) -> None:
        """opened: stays open as long as the scene is used. Raises UnreadableImage, or an error of tifffile."""
        self.tags = read_tags(opened)
        tiff = opened_tiff(opened)
        page = self._page = _level(tiff, self.tags, tiles.level)
        self._stored = int(page.imagewidth), int(page.imagelength)
        self.orientation = exif_number(self.tags.first(274, 1))
        self.width, self.height = upright_size(*self._stored, self.orientation)
        if min(self._stored) < 1 or self.width * self.height > tiles.max_gigapixels * 1e9:
            raise UnreadableImage(
                f"{self.width} x {self.height} pixels is more than images.tiles.max_gigapixels "
                f"({tiles.max_gigapixels:g}) allows"
            )
        if page.dtype is None or page.dtype.kind not in "uifb" or page.imagedepth != 1:
            raise UnreadableImage("a TIFF of this kind is not read by windows")
        if DNG_VERSION in self.tags.places:
            raise UnreadableImage(WORDS)
        self.scale = (
            max(self.tags.first(WIDTH), 1) / self._stored[0]
        )  # pixels of the full picture for each of the level
        self.bits, samples = int(page.bitspersample), int(page.samplesperpixel)
        self.taken = _taken(opened)
        self._rules, self._nodata = rules, _nodata(self.tags)
        self._stretch = bool(rules.bands) or not _has_full_range(page)
        self._segments = Segments(opened, page, self._wanted(samples), tiles.size)
        self._limits = self._sampled() if self._stretch else []

    def _wanted(self, samples: int) -> tuple[int, ...]:
        if self._stretch:
            wanted = self._rules.bands or ((1, 2, 3) if samples >= 3 else (1, 1, 1))
            if max(wanted) > samples:
                raise UnreadableImage(f"images.bands asks for band {max(wanted)}; a scene's first page has {samples}")
            return wanted
        return tuple(range(1, samples + 1))

    def read(self, window: Window) -> Image.Image:
        """A window of the upright picture, RGB. Raises UnreadableImage when a part of it is damaged."""
        x, y, width, height = as_stored(window, self._stored, self.orientation)
        found: NDArray[np.uint8] = np.empty((height, width, 3), np.uint8)
        grid = self._segments
        for row in range(y // grid.height, (y + height - 1) // grid.height + 1):
            for column in range(x // grid.width, (x + width - 1) // grid.width + 1):
                left, top = max(x, column * grid.width), max(y, row * grid.height)
                right = min(x + width, (column + 1) * grid.width)
                bottom = min(y + height, (row + 1) * grid.height)
                inside = np.s_[
                    top - row * grid.height : bottom - row * grid.height,
                    left - column * grid.width : right - column * grid.width,
                ]
                bands = [band[inside] for band in grid.bands(row * grid.columns + column)]
                found[top - y : bottom - y, left - x : right - x] = self._shown(bands)
        return turned_upright(Image.fromarray(found), self.orientation)

    def _shown(self, bands: list[NDArray[Any]]) -> NDArray[np.uint8]:
        """Bands (height, width) as RGB (height, width, 3)."""
        if self._stretch:
            valid = np.logical_and.reduce([is_valid(band, self._page) for band in bands])
            pairs = zip(bands, self._limits, strict=True)
            return np.dstack([scaled(band, valid, between) for band, between in pairs])
        page = self._page
        if page.photometric == PALETTE:
            return np.asarray(page.colormap[:, bands[0]] >> 8, np.uint8).transpose(1, 2, 0)
        eight = [self._eight(band) for band in bands]
        if page.photometric == CMYK:
            return np.asarray(Image.fromarray(np.dstack(eight), "CMYK").convert("RGB"))
        colours = 3 if len(bands) >= 3 else 1
        shown = np.dstack([eight[min(number, colours - 1)] for number in range(3)])
        if not math.isnan(self._nodata) and (self._nodata != 0 or self.bits > 8):
            shown[np.logical_and.reduce([band == self._nodata for band in bands[:colours]])] = 0
        kind = _alpha(page, len(bands) - colours)
        if not kind:
            return shown
        mode = "RGBa" if kind == ASSOCIATED else "RGBA"
        image = Image.fromarray(np.dstack([shown, eight[colours]]), mode).convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return np.asarray(Image.alpha_composite(white, image).convert("RGB"))

    def _eight(self, band: NDArray[Any]) -> NDArray[np.uint8]:
        """A band with a full range as 0..255."""
        if self.bits == 1:
            return np.where(band.astype(bool) ^ (self._page.photometric == MIN_IS_WHITE), 255, 0).astype(np.uint8)
        if self.bits == 8:
            return np.asarray(255 - band if self._page.photometric == MIN_IS_WHITE else band, np.uint8)
        if self._page.samplesperpixel >= 3 and not self._rules.white_level:
            return np.asarray(band >> (self.bits - 8), np.uint8)
        white = self._rules.white_level or 2**self.bits - 1
        return np.asarray(np.rint((band / white).clip(0, 1) * 255), np.uint8)

    def _sampled(self) -> list[tuple[float, float]]:
        """For each shown band the values that become 0 and 255."""
        grid = self._segments
        every = grid.columns * grid.rows
        numbers = sorted({round(place) for place in np.linspace(0, every - 1, min(SAMPLED, every))})
        step = max(1, math.isqrt(grid.width * grid.height * len(numbers) // SAMPLED_PIXELS))
        found: list[list[NDArray[Any]]] = []
        for number in numbers:
            width = min(grid.width, self._stored[0] - number % grid.columns * grid.width)
            height = min(grid.height, self._stored[1] - number // grid.columns * grid.height)
            try:
                bands = [band[:height:step, :width:step] for band in grid.bands(number)]
            except UnreadableImage:  # the tiles there say so
                continue
            valid = np.logical_and.reduce([is_valid(band, self._page) for band in bands])
            found.append([band[valid] for band in bands])
        if not found:
            raise UnreadableImage("damaged image: none of its tiles can be read")
        return [limits(np.concatenate(values), self._rules.stretch) for values in zip(*found, strict=True)]


def _taken(opened: BinaryIO) -> Taken:
    """When, where and by which camera; unknown where Pillow does not open this kind of TIFF."""
    opened.seek(0)
    try:
        with Image.open(opened, formats=("TIFF",)) as image:  # it reads the tags, no pixels
            return taken_of(image)
    except Exception:  # noqa: BLE001 - as in `decode`, a parser can raise any error; a note never costs the pixels
        return UNKNOWN


def _has_full_range(page: Any) -> bool:
    """Whether a page is a picture, with values from 0 to a known white."""
    kinds = {MIN_IS_WHITE: (1, 2), MIN_IS_BLACK: (1, 2), RGB: (3, 4), PALETTE: (1,), CMYK: (4,), YCBCR: (3,)}
    kind, bits = int(page.photometric), page.bitspersample
    if page.samplesperpixel not in kinds.get(kind, ()) or page.dtype.kind not in "ub":
        return False
    return bits == 8 or (kind in (MIN_IS_WHITE, MIN_IS_BLACK, RGB) and (bits == 1 or 8 < bits <= 16))


def _alpha(page: Any, extra: int) -> int:
    """ASSOCIATED or UNASSOCIATED where the first sample after the colours is alpha; else 0."""
    if not extra:
        return 0
    kinds = page.extrasamples
    kind = int(kinds[0]) if kinds else UNASSOCIATED  # as Pillow reads a file that does not say it
    return kind if kind in (ASSOCIATED, UNASSOCIATED) else 0


def _nodata(tags: TiffTags) -> float:
    """The value that means no data; NaN where the file names none."""
    _, count, at = tags.places.get(NODATA, (0, 0, 0))
    tags.opened.seek(at)
    try:
        return float(tags.opened.read(min(count, 64)).strip(b" \0")) if count else math.nan
    except ValueError:
        return math.nan


def _level(tiff: Any, tags: TiffTags, level: int) -> Any:
    """The page of a pyramid's level, of which 0 is the first page. Raises UnreadableImage when the file has fewer."""
    if not level:
        return tiff.pages.first
    from tifffile import TiffPage

    reduced = [one for one in _pages_behind(tags) if one.first(SUBFILE) & REDUCED and not one.first(SUBFILE) & MASK]
    reduced.sort(key=lambda one: -one.first(WIDTH))
    if len(reduced) < level:
        raise UnreadableImage(f"images.tiles.level asks for level {level}; the file has {len(reduced)} below the first")
    tiff.filehandle.seek(reduced[level - 1].at)
    return TiffPage(tiff, index=level)


def _pages_behind(tags: TiffTags) -> Iterator[TiffTags]:
    """The pages after the first, and those below it; each once, as a hostile chain may be a circle."""
    seen, todo = {tags.at}, [tags.following, *map(int, tags.numbers(SUB_IFDS, MOST_PAGES))]
    while todo and len(seen) < MOST_PAGES:
        at = todo.pop(0)
        if at and at not in seen:
            seen.add(at)
            try:
                page = read_tags(tags.opened, at)
            except (UnreadableImage, struct.error, OSError):
                continue
            yield page
            todo.append(page.following)
