"""The only decoder: encoded bytes -> upright RGB uint8, or `UnreadableImage`. Opens no file and knows no model.

Training and nights both decode here, so a model sees the same pixels at night as in training.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.images.bands import read_bands
from pipeline.images.camera_raw import refuse_camera_raw
from pipeline.images.dicom import is_dicom, read_dicom
from pipeline.images.enhance import enhance
from pipeline.images.formats import what_instead
from pipeline.images.frame import Frame
from pipeline.images.frame import LargerThanTile as LargerThanTile
from pipeline.images.frame import UnreadableImage as UnreadableImage  # whoever decodes finds it here
from pipeline.images.in_flight import IN_FLIGHT
from pipeline.images.pillow import is_heif, is_plain_tiff, is_tiff, read_heif, read_picture
from pipeline.images.taken_values import UNKNOWN, Taken
from pipeline.params.data import Images

MOST_WORDS = 300  # characters kept of a decoder's message, which may quote a hostile file
WHOLE = Images(width=4096, height=4096, fit="stretch", max_megapixels=100)  # no picture that this allows is reduced
Image.MAX_IMAGE_PIXELS = None  # `refuse_too_large` checks our own limit, for every format, before pixels are decoded


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded image and what it was before resizing."""

    pixels: NDArray[np.uint8]  # (height, width, 3) as the rules say, RGB, 0..255
    width: int  # pixels, upright, before resizing
    height: int
    format: str  # one of formats.EXTENSIONS_OF
    mode: str  # Pillow's name, e.g. RGB, L, I;16; DICOM's photometric interpretation; of many bands, `5 x uint16`
    bits: int  # of one sample as stored, e.g. 1, 8, 12, 16, 32
    orientation: int  # EXIF's number, 1 to 8, already applied; 1 where the file names none
    taken: Taken = UNKNOWN  # when, where and by which camera


def without_enhancement(rules: Images, side: int) -> Images:
    """The rules for measuring a file: read in the same way, stretched to side x side, not enhanced."""
    changes = {"width": side, "height": side, "fit": "stretch", "denoise": "none", "clahe": 0.0}
    return Images.model_validate(rules.model_dump() | changes)


def decode(data: bytes, rules: Images) -> Picture:
    """Upright RGB pixels of the first frame, resized as `rules` says. Raises UnreadableImage with the reason.

    Of a scene it raises LargerThanTile.
    """
    with explained(data):
        return as_picture(first_frame(data, rules), rules)


def upright_pixels(data: bytes) -> NDArray[np.uint8]:
    """Upright RGB pixels of the first frame at its own size: (height, width, 3), 0..255. Raises UnreadableImage."""
    with explained(data):
        return np.asarray(first_frame(data, WHOLE).image)


@contextmanager
def explained(data: bytes) -> Iterator[None]:
    """Turn whatever a decoder raises in this block into UnreadableImage. data: the file, or its first bytes."""
    try:
        yield
    except UnreadableImage:
        raise
    except UnidentifiedImageError:
        raise UnreadableImage(what_instead(data)) from None
    # The one wide except of the project: on a hostile file a decoder can raise any error (we have seen
    # SyntaxError, struct.error and ZeroDivisionError), and each of them means that the image is damaged.
    except Exception as error:
        if is_dicom(data):  # pydicom's message may contain a patient's name
            raise UnreadableImage(f"damaged DICOM image ({type(error).__name__})") from None
        reason = " ".join(str(error).split())[:MOST_WORDS]
        if not any(letter.isalpha() for letter in reason):  # the message of a KeyError is only the key
            reason = f"{type(error).__name__} {reason}".strip()
        reason = reason.encode("utf-8", "backslashreplace").decode()  # it may quote bytes of the file
        raise UnreadableImage(f"damaged image: {reason}") from error
    finally:
        IN_FLIGHT.release()


def as_picture(frame: Frame, rules: Images) -> Picture:
    """A frame as a model sees it, with what its file says of it."""
    pixels = as_seen(frame.image, rules)
    return Picture(
        pixels, frame.width, frame.height, frame.format, frame.mode, frame.bits, frame.orientation, frame.taken
    )


def as_seen(image: Image.Image, rules: Images) -> NDArray[np.uint8]:
    """An upright RGB picture as a model sees it: (height, width, 3) as the rules say, 0..255."""
    return np.asarray(_resize(image, rules))


def first_frame(data: bytes, rules: Images) -> Frame:
    """Read the first frame. The bytes alone decide which reader does it, never the file's name."""
    if not data:
        raise UnreadableImage("the file is empty")
    if is_dicom(data):
        return read_dicom(data, rules)
    refuse_camera_raw(data, is_tiff=is_tiff(data))
    if is_heif(data):
        return read_heif(data, rules)
    if is_tiff(data) and (rules.bands or not is_plain_tiff(data)):
        return read_bands(data, rules)
    return read_picture(data, rules)


def _resize(image: Image.Image, rules: Images) -> Image.Image:
    """Resize to the model's input size, then enhance. Pillow's bilinear filter grows with the scale: no aliasing."""
    size, how = (rules.width, rules.height), Image.Resampling.BILINEAR
    match rules.fit:
        case "stretch":
            return _enhanced(image.resize(size, how), rules)
        case "pad":  # enhance before padding: the borders stay black and do not change the image's contrast
            return ImageOps.pad(_enhanced(ImageOps.contain(image, size, how), rules), size, how, color="black")
        case "crop":
            return _enhanced(ImageOps.fit(image, size, how), rules)


def _enhanced(image: Image.Image, rules: Images) -> Image.Image:
    if (rules.denoise == "none" and rules.clahe == 0) or 0 in image.size:  # a very narrow image shrinks to a width of 0
        return image
    return Image.fromarray(enhance(np.asarray(image), rules))
