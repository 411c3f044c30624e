"""What every format reader gives to `decode`: the upright first frame with facts about its file, or UnreadableImage.

Knows neither the formats nor the model's input size.
"""

from dataclasses import dataclass

from PIL import Image

from pipeline.images.in_flight import IN_FLIGHT
from pipeline.images.taken_values import UNKNOWN, Taken
from pipeline.params.data import Images


class UnreadableImage(Exception):  # noqa: N818 - an answer about a file, written as a row, not a failure of the run
    """These bytes are not a readable image; str() is the reason, in words for a person."""


class LargerThanTile(UnreadableImage):
    """A scene (`images.tiles`): it is read window by window at night, and never as one picture."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The first frame of a file, upright and with 8 bits a sample."""

    image: Image.Image  # RGB; of a large JPEG, already reduced
    width: int  # pixels of the whole frame, upright
    height: int
    format: str  # Pillow's name, or DICOM
    mode: str  # how the pixels are stored: Pillow's name, DICOM's photometric interpretation, or `5 x uint16`
    bits: int  # of one sample, as stored
    orientation: int  # EXIF's number, already applied; 1 where the file names none
    taken: Taken = UNKNOWN


def refuse_too_large(width: int, height: int, rules: Images) -> None:
    """Raise UnreadableImage when the declared size is empty or over the limit. Call it before memory is allocated.

    Raise LargerThanTile for a scene. It waits while other threads decode too many pixels.
    """
    if width < 1 or height < 1:
        raise UnreadableImage(f"damaged image: its header claims {width} x {height} pixels")
    if rules.tiles and max(width, height) > rules.tiles.size:
        raise LargerThanTile(
            f"{width} x {height} pixels is larger than a tile of images.tiles ({rules.tiles.size}): nights read it "
            "tile by tile; to learn from it or to serve it, cut it with `nightshift data tiles SOURCE FOLDER`"
        )
    if width * height > rules.max_megapixels * 1e6:
        raise UnreadableImage(
            f"{width} x {height} pixels is more than images.max_megapixels ({rules.max_megapixels:g}) allows"
        )
    IN_FLIGHT.claim(width * height)


def missing_extra(images: str, package: str, extra: str) -> UnreadableImage:
    """The error for `images` whose package is not installed; `extra` installs it."""
    return UnreadableImage(f"{images} need the package {package}: pip install 'nightshift[{extra}]'")
