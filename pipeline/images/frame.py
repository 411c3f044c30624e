"""What each reader of a format gives to `images`: the upright first frame with the facts of its file, or the reason.

Knows no format and no size that a model wants.
"""

from dataclasses import dataclass

from PIL import Image

from pipeline.params.data import Images

TURNED = Image.Transpose
UPRIGHT = {  # what makes the pixels of each EXIF orientation upright; 1 is upright already
    2: TURNED.FLIP_LEFT_RIGHT, 3: TURNED.ROTATE_180, 4: TURNED.FLIP_TOP_BOTTOM, 5: TURNED.TRANSPOSE,
    6: TURNED.ROTATE_270, 7: TURNED.TRANSVERSE, 8: TURNED.ROTATE_90,
}  # fmt: skip
QUARTER_TURNS = (5, 6, 7, 8)  # the orientations that swap width and height


class UnreadableImage(Exception):  # noqa: N818 - an answer about a file, written as a row, not a failure of the run
    """These bytes are not a picture that can be judged; str() is the reason, in words for a person."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The first frame of a file, upright and with 8 bits a sample."""

    image: Image.Image  # RGB; of a large JPEG, already reduced
    width: int  # pixels of the whole frame, upright
    height: int
    format: str  # Pillow's name, or DICOM
    mode: str  # how the pixels are stored: Pillow's name, DICOM's photometric interpretation, or `5 x uint16`
    bits: int  # of one sample, as stored
    orientation: int  # EXIF's number; 1 where the file says nothing


def exif_number(found: object) -> int:
    """The orientation that a file names, 1 to 8; 1 where it names none or nonsense."""
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def refuse_too_large(width: int, height: int, rules: Images) -> None:
    """Raises UnreadableImage when the declared size is none, or over the limit; to be asked before memory is taken."""
    if width < 1 or height < 1:
        raise UnreadableImage(f"damaged image: it says that it has {width} x {height} pixels")
    if width * height > rules.max_megapixels * 1e6:
        raise UnreadableImage(
            f"{width} x {height} pixels is more than images.max_megapixels ({rules.max_megapixels:g}) allows"
        )


def missing_extra(images: str, package: str, extra: str) -> UnreadableImage:
    """What to raise when the package that reads such `images` is not installed."""
    return UnreadableImage(f"{images} need the package {package}: pip install 'nightshift[{extra}]'")
