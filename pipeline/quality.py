"""What can be measured of a picture's pixels, and the hash by which nearly the same pictures are found. Opens no file.

All measures are taken at one size, SIDE x SIDE, so that a photograph and its smaller copy get the same ones.
"""

from dataclasses import dataclass

import cv2
import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 256  # pixels
# 256 bits. Of 64, as is usual, 24 pairs of different solar cells among 2,624 share all, and 590 differ in 4 or fewer.
HASH_SIDE = 16


@dataclass(frozen=True, slots=True)
class Quality:
    """Measures of a grey picture of SIDE x SIDE pixels."""

    brightness: float  # mean, 0..255
    contrast: float  # standard deviation, 0..127.5
    sharpness: float  # variance of the Laplacian (Pech-Pacheco et al., 2000); a photograph has hundreds
    entropy: float  # of the grey values, bits, 0..8
    phash: str  # perceptual hash of HASH_SIDE * HASH_SIDE bits, hexadecimal


def measure(pixels: NDArray[np.uint8]) -> Quality:
    """The measures of `pixels` (SIDE, SIDE, 3), RGB, 0..255."""
    picture = Image.fromarray(pixels).convert("L")
    grey = np.asarray(picture)
    return Quality(
        brightness=float(grey.mean()),
        contrast=float(grey.std()),
        sharpness=float(cv2.Laplacian(grey, cv2.CV_32F).var()),
        entropy=picture.entropy(),
        phash=str(imagehash.phash(picture, HASH_SIDE)),
    )
