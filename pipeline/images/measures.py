"""Measures of an image's pixels, and the perceptual hash that finds near-duplicates. Opens no file.

Only measures taken at the same size are comparable: SIDE x SIDE in the manifest, so that a photograph and its smaller
copy agree, and the model's input size at night. Imports OpenCV when it measures.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 256  # pixels
# 256 bits. With the usual 64, 24 pairs of different solar cells among 2,624 have the same hash, and 590 differ by <= 4.
HASH_SIDE = 16


@dataclass(frozen=True, slots=True)
class Light:
    """Measures of an image's grey values."""

    brightness: float  # mean, 0..255
    contrast: float  # standard deviation, 0..127.5
    sharpness: float  # variance of the Laplacian (Pech-Pacheco et al., 2000); a photograph has hundreds


@dataclass(frozen=True, slots=True)
class Quality(Light):
    """Measures of an image's grey values at SIDE x SIDE pixels."""

    entropy: float  # of the grey values, bits, 0..8
    phash: str  # perceptual hash of HASH_SIDE * HASH_SIDE bits, hexadecimal


def measure(pixels: NDArray[np.uint8]) -> Quality:
    """All measures of `pixels` (SIDE, SIDE, 3), RGB, 0..255."""
    import imagehash

    picture = Image.fromarray(pixels).convert("L")
    light = _light(picture)
    return Quality(
        brightness=light.brightness,
        contrast=light.contrast,
        sharpness=light.sharpness,
        entropy=picture.entropy(),
        phash=str(imagehash.phash(picture, HASH_SIDE)),
    )


def measure_light(pixels: NDArray[np.uint8]) -> Light:
    """The cheap measures of `pixels` (height, width, 3), RGB, 0..255: at most 0.15 ms at 224 x 224."""
    return _light(Image.fromarray(pixels).convert("L"))


def _light(picture: Image.Image) -> Light:
    import cv2

    grey = np.asarray(picture)
    mean, deviation = cv2.meanStdDev(grey)
    _, of_edges = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))  # -1020..1020
    return Light(float(mean[0, 0]), float(deviation[0, 0]), float(of_edges[0, 0] ** 2))
