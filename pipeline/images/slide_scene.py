"""A slide of a microscope's scanner as a scene, read by OpenSlide (the extra `slides`). Opens the slide by its path.

Some of its formats are many files (MRXS), so bytes are not enough: a slide in an object store is not read.
"""

from PIL import Image

from pipeline.images.frame import UnreadableImage, missing_extra
from pipeline.images.taken_values import UNKNOWN
from pipeline.images.windows import Window
from pipeline.params.data import Tiles

GENERIC = "generic-tiff"  # what tifffile reads, in more kinds
MRXS = ".mrxs"  # a small JPEG beside a folder; nothing in its bytes says so


def is_slide(path: str) -> bool:
    """Whether OpenSlide knows the file as a scanner's; never where the extra is not installed."""
    try:
        from openslide import OpenSlide
    except ImportError:
        if path.lower().endswith(MRXS):
            raise missing_extra("MRXS slides", "openslide-python", "slides") from None
        return False
    return OpenSlide.detect_format(path) not in (None, GENERIC)


class SlideScene:
    """An opened slide, read by several threads at a time. Transparent parts, where nothing was scanned, are white."""

    orientation, taken = 1, UNKNOWN

    def __init__(self, path: str, tiles: Tiles) -> None:
        """Open it. Raises UnreadableImage, or an error of OpenSlide."""
        from openslide import OpenSlide

        self._slide = OpenSlide(path)
        if tiles.level >= self._slide.level_count:
            raise UnreadableImage(
                f"images.tiles.level asks for level {tiles.level}; the slide has {self._slide.level_count - 1} below "
                "the first"
            )
        self._level = tiles.level
        self.width, self.height = self._slide.level_dimensions[tiles.level]
        self.scale = float(self._slide.level_downsamples[tiles.level])
        if self.width * self.height > tiles.max_gigapixels * 1e9:
            raise UnreadableImage(
                f"{self.width} x {self.height} pixels is more than images.tiles.max_gigapixels "
                f"({tiles.max_gigapixels:g}) allows"
            )

    def read(self, window: Window) -> Image.Image:
        """A window of the picture, RGB."""
        at = round(window.x * self.scale), round(window.y * self.scale)
        image = self._slide.read_region(at, self._level, (window.width, window.height))
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
