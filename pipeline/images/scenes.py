"""A scene, a picture larger than a tile of images.tiles -> its tiles, as a model sees them. Opens no file itself.

TIFFs and slides are read window by window: nothing holds the whole picture. Other formats cannot be: they are decoded
whole, up to images.max_megapixels, and then cut in the same places.
"""

from dataclasses import dataclass
from typing import BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.images.decode import as_seen, explained, first_frame
from pipeline.images.frame import UnreadableImage
from pipeline.images.georeference import Georeference, georeference_of
from pipeline.images.measures import Light, measure_light
from pipeline.images.slide_scene import SlideScene, is_slide
from pipeline.images.taken_values import UNKNOWN, Taken
from pipeline.images.tiff_scene import TiffScene
from pipeline.images.tiff_tags import is_tiff
from pipeline.images.windows import Window, count
from pipeline.params.data import Images, Tiles

BYTES_A_PIXEL, HEADER_BYTES = 16, 64_000_000  # largest file that is decoded whole
MOST_TILES = 1_000_000
BLANK = "blank"
NEVER_REDUCED = 1 << 20  # pixels: a JPEG is decoded at a lower scale only for a much smaller target


class Scene(Protocol):
    """A picture that is read by windows."""

    @property
    def width(self) -> int:
        """Pixels, upright, of the level that is read."""

    @property
    def height(self) -> int:
        """Pixels, upright, of the level that is read."""

    @property
    def scale(self) -> float:
        """Pixels of the full picture for each of the level."""

    @property
    def orientation(self) -> int:
        """EXIF's number, already applied."""

    @property
    def taken(self) -> Taken:
        """When, where and by which camera, as the file says."""

    def read(self, window: Window) -> Image.Image:
        """A window, RGB. Raises UnreadableImage when a part of it is damaged."""


@dataclass(frozen=True, slots=True)
class WholeScene:
    """A picture that cannot be read by windows, decoded."""

    image: Image.Image  # RGB, upright
    taken: Taken = UNKNOWN
    scale: float = 1.0
    orientation: int = 1

    @property
    def width(self) -> int:
        """Pixels."""
        return self.image.width

    @property
    def height(self) -> int:
        """Pixels."""
        return self.image.height

    def read(self, window: Window) -> Image.Image:
        """A window, RGB."""
        return self.image.crop((window.x, window.y, window.x + window.width, window.y + window.height))


@dataclass(frozen=True, slots=True)
class Tile:
    """A window of a scene."""

    window: Window
    image: Image.Image  # RGB, its own size
    pixels: NDArray[np.uint8]  # (height, width, 3) as the rules say: what a model sees
    light: Light  # of these pixels
    ignored: str  # why it is not judged: BLANK; else empty


def open_scene(opened: BinaryIO, rules: Images, path: str | None) -> Scene:
    """The scene in an opened file, which is read by windows as long as the scene is used.

    rules: with `tiles`. path: of the file where it is on a disk, which slides need. Raises UnreadableImage.
    """
    tiles = tiles_of(rules)
    opened.seek(0)
    start = opened.read(256)
    with explained(start):
        scene: Scene
        if path is not None and is_slide(path):
            scene = SlideScene(path, tiles)
        elif is_tiff(opened):
            scene = TiffScene(opened, rules, tiles)
        else:
            scene = _decoded(opened, rules)
        tiles_in_all = count(scene.width, scene.height, tiles)
        if tiles_in_all > MOST_TILES:
            raise UnreadableImage(
                f"{scene.width} x {scene.height} pixels are {tiles_in_all:,} tiles; images.tiles allows {MOST_TILES:,} "
                "of a scene: choose a larger size, a smaller overlap or another level"
            )
        return scene


def tiles_of(rules: Images) -> Tiles:
    """The rules' `tiles`, which scenes have."""
    if rules.tiles is None:
        raise ValueError("images.tiles is null: no picture is a scene.")
    return rules.tiles


def _decoded(opened: BinaryIO, rules: Images) -> WholeScene:
    if opened.seek(0, 2) > rules.max_megapixels * 1e6 * BYTES_A_PIXEL + HEADER_BYTES:
        raise UnreadableImage(
            "only TIFFs and slides are read by windows; this file is longer than images.max_megapixels "
            f"({rules.max_megapixels:g}) allows a picture that is decoded whole: save it as a TIFF in tiles"
        )
    opened.seek(0)
    whole = rules.model_copy(update={"tiles": None, "width": NEVER_REDUCED, "height": NEVER_REDUCED})
    frame = first_frame(opened.read(), whole)
    return WholeScene(frame.image, frame.taken)


def read_tile(scene: Scene, window: Window, rules: Images) -> Tile:
    """A tile of a scene, as a model sees it. Raises UnreadableImage when a part of it is damaged."""
    with explained(b""):
        image = scene.read(window)
        pixels = as_seen(image, rules)
        light, tiles = measure_light(pixels), tiles_of(rules)
        blank = tiles.ignore == BLANK and light.contrast < tiles.blank_below
        return Tile(window, image, pixels, light, BLANK if blank else "")


def place_of(scene: Scene) -> Georeference | None:
    """Where a scene lies on the earth, if it is an upright GeoTIFF."""
    return georeference_of(scene.tags) if isinstance(scene, TiffScene) and scene.orientation == 1 else None
