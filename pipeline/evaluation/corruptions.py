"""What happens to pictures outside the laboratory: blur, noise, compression, light. Knows arrays only.

After Hendrycks and Dietterich, Benchmarking Neural Network Robustness to Common Corruptions and Perturbations, 2019
(ImageNet-C), severities 1, 3 and 5; `darker` is their brightness with the sign turned. They are applied to the picture
at the model's size.
"""

import io
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]  # (height, width, 3), RGB, 0..255
Corruption = Callable[[Pixels, float, np.random.Generator], Pixels]

STRENGTHS = (1, 2, 3)
REFERENCE_SIDE = 224  # pixels of ImageNet-C's pictures: a blur is as wide in proportion


def blur(pixels: Pixels, sigma: float, _: np.random.Generator) -> Pixels:
    """Gaussian blur, its standard deviation in pixels of a picture of REFERENCE_SIDE."""
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma * min(pixels.shape[:2]) / REFERENCE_SIDE), np.uint8)


def noise(pixels: Pixels, deviation: float, rng: np.random.Generator) -> Pixels:
    """Gaussian noise on each channel, its standard deviation as a share of the full range."""
    return _as_pixels(pixels / 255 + rng.normal(0, deviation, pixels.shape))


def jpeg(pixels: Pixels, quality: float, _: np.random.Generator) -> Pixels:
    """Compressed as JPEG of this quality, 1..95."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=int(quality))
    return np.asarray(Image.open(buffer), np.uint8)


def light(pixels: Pixels, change: float, _: np.random.Generator) -> Pixels:
    """Value in HSV changed by this share of the full range; the hue stays."""
    hsv = cv2.cvtColor((pixels / 255).astype(np.float32), cv2.COLOR_RGB2HSV)
    hsv[..., 2] = np.clip(hsv[..., 2] + change, 0, 1)
    return _as_pixels(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))


def contrast(pixels: Pixels, share: float, _: np.random.Generator) -> Pixels:
    """This share of each channel's distance to its mean is left."""
    values = pixels / 255
    mean = values.mean(axis=(0, 1), keepdims=True)
    return _as_pixels((values - mean) * share + mean)


def _as_pixels(values: NDArray[np.floating]) -> Pixels:
    """0..1 as 0..255."""
    return np.asarray((np.clip(values, 0, 1) * 255).round(), np.uint8)


CORRUPTIONS: dict[str, tuple[Corruption, tuple[float, float, float]]] = {  # and its amount at each of STRENGTHS
    "blur": (blur, (1.0, 3.0, 6.0)),
    "noise": (noise, (0.08, 0.18, 0.38)),
    "JPEG": (jpeg, (25, 15, 7)),
    "brighter": (light, (0.1, 0.3, 0.5)),
    "darker": (light, (-0.1, -0.3, -0.5)),
    "less contrast": (contrast, (0.4, 0.2, 0.05)),
}


def corrupted(pixels: Pixels, name: str, strength: int, seed: tuple[int, ...]) -> Pixels:
    """The picture (height, width, 3) after the corruption `name` at `strength`, one of STRENGTHS; same size.

    The same seed gives the same picture.
    """
    corrupt, amounts = CORRUPTIONS[name]
    return corrupt(pixels, amounts[STRENGTHS.index(strength)], np.random.default_rng(seed))
