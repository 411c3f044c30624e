"""The turn that a camera writes beside its pixels (EXIF orientation), and how it is undone. Knows no format."""

from PIL import Image

TURNED = Image.Transpose
UPRIGHT = {  # how to make each EXIF orientation upright; 1 is upright already
    2: TURNED.FLIP_LEFT_RIGHT, 3: TURNED.ROTATE_180, 4: TURNED.FLIP_TOP_BOTTOM, 5: TURNED.TRANSPOSE,
    6: TURNED.ROTATE_270, 7: TURNED.TRANSVERSE, 8: TURNED.ROTATE_90,
}  # fmt: skip
QUARTER_TURNS = (5, 6, 7, 8)  # the orientations that swap width and height


def exif_number(found: object) -> int:
    """The EXIF orientation, 1 to 8, that was found in a file; 1 where it is missing or invalid."""
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def turned_upright(image: Image.Image, orientation: int) -> Image.Image:
    """The pixels as a person sees them. orientation: EXIF's number, 1 to 8."""
    return image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image


def upright_size(width: int, height: int, orientation: int) -> tuple[int, int]:
    """Width and height, in pixels, after the turn."""
    return (height, width) if orientation in QUARTER_TURNS else (width, height)
