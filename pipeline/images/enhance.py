"""Optional enhancement at the model's input size, with OpenCV: denoising, then CLAHE. Knows no files and no formats.

The settings belong to the image rules that a model carries, so training and nights do the same.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.params.data import Images

MEDIAN_SIDE = 3  # pixels; of a 3 x 3 neighbourhood
# Non-local means compares 5 x 5 patches within 11 x 11 pixels. On noise of sigma 10 it takes 0.4 times as long as
# OpenCV's default, 7 x 7 within 21 x 21, and restores the image as well (37.5 dB against 37.2).
STRENGTH, PATCH, SEARCH = 5, 5, 11
TILES = (8, 8)  # CLAHE equalises the contrast in each of 8 x 8 tiles


def enhance(pixels: NDArray[np.uint8], rules: Images) -> NDArray[np.uint8]:
    """Denoise, then apply CLAHE, as `rules` say; unchanged when both are off. Grey stays grey.

    pixels: (height, width, 3), RGB, 0..255; any size. Returns the same shape. The same pixels give the same result on
    every machine with the same OpenCV, however many threads call.
    """
    if rules.denoise == "none" and rules.clahe == 0:
        return pixels
    import cv2

    cv2.setNumThreads(1)  # callers already use one thread per image; more would compete for the same cores
    grey = bool((pixels == pixels[:, :, :1]).all())
    match rules.denoise:
        case "median":
            pixels = np.asarray(cv2.medianBlur(pixels, MEDIAN_SIDE), np.uint8)
        case "non_local_means" if grey:
            plane = np.ascontiguousarray(pixels[:, :, 0])
            pixels = _as_rgb(np.asarray(cv2.fastNlMeansDenoising(plane, None, STRENGTH, PATCH, SEARCH), np.uint8))
        case "non_local_means":
            cleaned = cv2.fastNlMeansDenoisingColored(pixels, None, STRENGTH, STRENGTH, PATCH, SEARCH)
            pixels = np.asarray(cleaned, np.uint8)
    if rules.clahe > 0:
        lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)
        lightness = cv2.createCLAHE(rules.clahe, TILES).apply(np.ascontiguousarray(lab[:, :, 0]))
        lab = np.dstack([lightness, lab[:, :, 1:]])
        pixels = np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), np.uint8)
        if grey:  # the conversion through LAB makes the channels differ by 1
            pixels = _as_rgb(pixels[:, :, 1])
    return pixels


def _as_rgb(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A grey plane (height, width) as (height, width, 3)."""
    return np.repeat(plane[:, :, np.newaxis], 3, axis=2)
