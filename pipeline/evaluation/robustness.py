"""Robustness: how the answers change on corrupted images (blur, noise, compression, light). Draws nothing.

The corruptions are those of Hendrycks and Dietterich, Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations, 2019 (ImageNet-C), severities 1, 3 and 5; `darker` is their brightness with the opposite sign. We
corrupt the image at the model's size.
"""

import io
from collections.abc import Callable, Iterator
from typing import Never

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from pipeline.core.parallel import ordered_map
from pipeline.core.terminal import progress_bar
from pipeline.evaluation.metrics import accuracy, balanced_accuracy
from pipeline.model.answers import Answers, Judged, ask, outputs_of
from pipeline.model.engine import Engine
from pipeline.model.reference import Reference

Pixels = NDArray[np.uint8]  # (height, width, 3), RGB, 0..255
Corruption = Callable[[Pixels, float, np.random.Generator], Pixels]

STRENGTHS = (1, 2, 3)
REFERENCE_SIDE = 224  # pixels, in ImageNet-C; a blur scales with the image
MOST_IMAGES = 1000  # drawn by the seed: enough to know the accuracy to 3 points, in bounded time
CLEAN = "none"  # the name of the row for the original images
ROBUSTNESS_COLUMNS = ("corruption", "strength", "images", "accuracy", "balanced_accuracy", "unsure_share")


def blur(pixels: Pixels, sigma: float, _: np.random.Generator) -> Pixels:
    """Gaussian blur, its standard deviation in pixels of an image of REFERENCE_SIDE."""
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
    """Change the value in HSV by this share of the full range; the hue stays."""
    hsv = cv2.cvtColor((pixels / 255).astype(np.float32), cv2.COLOR_RGB2HSV)
    hsv[..., 2] = np.clip(hsv[..., 2] + change, 0, 1)
    return _as_pixels(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))


def contrast(pixels: Pixels, share: float, _: np.random.Generator) -> Pixels:
    """Keep this share of each channel's distance to its mean."""
    mean = (pixels / 255).mean(axis=(0, 1))
    levels = np.arange(256)[:, np.newaxis] / 255
    table = _as_pixels((levels - mean) * share + mean)  # (256, 3): what becomes of each value
    return np.asarray(cv2.LUT(pixels, table[np.newaxis]), np.uint8)


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
    """The image (height, width, 3) after the corruption `name` at `strength`, one of STRENGTHS; same size.

    The same seed gives the same pixels.
    """
    corrupt, amounts = CORRUPTIONS[name]
    return corrupt(pixels, amounts[STRENGTHS.index(strength)], np.random.default_rng(seed))


def chosen(count: int, seed: int) -> NDArray[np.int64]:
    """The numbers of the images to corrupt, ascending: all, or MOST_IMAGES of them."""
    if count <= MOST_IMAGES:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, MOST_IMAGES, replace=False))


def measure_robustness(
    engine: Engine, reference: Reference | None, images: NDArray[np.uint8], judged: Judged, seed: int, batch_size: int,
    workers: int,
) -> pd.DataFrame:  # fmt: skip
    """One row for the original images, and one for each corruption and strength.

    images: (n, height, width, 3); judged: their answers; reference: None: no image counts as an outlier. The columns
    are ROBUSTNESS_COLUMNS; the row of the original images has strength 0.
    """
    rows = chosen(len(images), seed)
    labels, groups = judged.answers.labels[rows], judged.groups[rows]
    found = [_row(CLEAN, 0, judged.answers.of(rows), judged.unsure[rows])]
    with progress_bar(desc="robustness", total=len(CORRUPTIONS) * len(STRENGTHS) * len(rows), unit="image") as progress:
        for number, name in enumerate(CORRUPTIONS):
            for strength in STRENGTHS:
                pictures = ordered_map(_corrupter(images, name, strength, (seed, number, strength)), rows, workers)
                outputs = outputs_of(engine, reference, _batches(pictures, batch_size, progress))
                worse = ask(engine, labels, outputs, groups)
                found.append(_row(name, strength, worse.answers, worse.unsure))
    return pd.DataFrame(found, columns=list(ROBUSTNESS_COLUMNS))


def _corrupter(
    images: NDArray[np.uint8], name: str, strength: int, seed: tuple[int, ...]
) -> Callable[[np.int64], NDArray[np.uint8]]:
    """The corrupted pixels of the image with this number; its noise does not depend on the order of the images."""
    return lambda row: corrupted(images[row], name, strength, (*seed, int(row)))


def _batches(pictures: Iterator[NDArray[np.uint8]], size: int, progress: "tqdm[Never]") -> Iterator[NDArray[np.uint8]]:
    batch: list[NDArray[np.uint8]] = []
    for picture in pictures:
        batch.append(picture)
        if len(batch) == size:
            yield np.stack(batch)
            progress.update(len(batch))
            batch = []
    if batch:
        yield np.stack(batch)
        progress.update(len(batch))


def _row(name: str, strength: int, answers: Answers, unsure: NDArray[np.bool_]) -> dict[str, str | int | float]:
    return {
        "corruption": name,
        "strength": strength,
        "images": len(answers.labels),
        "accuracy": accuracy(answers.labels, answers.probabilities),
        "balanced_accuracy": balanced_accuracy(answers.labels, answers.probabilities),
        "unsure_share": float(unsure.mean()),
    }
