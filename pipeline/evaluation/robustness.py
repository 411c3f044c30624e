"""How the answers change when pictures get worse: each corruption of `corruptions` at each strength. Draws nothing."""

from collections.abc import Callable, Iterator
from typing import Never

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from pipeline.core.parallel import ordered_map
from pipeline.evaluation.corruptions import CORRUPTIONS, STRENGTHS, corrupted
from pipeline.evaluation.metrics import accuracy, balanced_accuracy
from pipeline.model.answers import Answers, logits_of
from pipeline.model.engine import Engine, probabilities

MOST_IMAGES = 1000  # asked about, drawn by the seed: the accuracy is then known to 3 points, and the time is bounded
COLUMNS = ("corruption", "strength", "images", "accuracy", "balanced_accuracy", "unsure_share")
CLEAN = "none"  # the corruption of the images as they are


def chosen(count: int, seed: int) -> NDArray[np.int64]:
    """The numbers of the images that are corrupted, ascending: all, or MOST_IMAGES of them."""
    if count <= MOST_IMAGES:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, MOST_IMAGES, replace=False))


def measure_robustness(
    engine: Engine, images: NDArray[np.uint8], answers: Answers, seed: int, batch_size: int, workers: int
) -> pd.DataFrame:
    """One row for the images as they are, and one for each corruption and strength.

    images: (n, height, width, 3). The columns are COLUMNS; the strength of none is 0.
    """
    rows = chosen(len(images), seed)
    clean = answers.of(rows)
    found = [_row(CLEAN, 0, clean, engine)]
    with tqdm(desc="robustness", total=len(CORRUPTIONS) * len(STRENGTHS) * len(rows), unit="image") as progress:
        for number, name in enumerate(CORRUPTIONS):
            for strength in STRENGTHS:
                pictures = ordered_map(_corrupter(images, name, strength, (seed, number, strength)), rows, workers)
                logits = logits_of(engine.network, _batches(pictures, batch_size, progress))
                worse = Answers(clean.labels, probabilities(logits, engine.contract.temperature))
                found.append(_row(name, strength, worse, engine))
    return pd.DataFrame(found, columns=list(COLUMNS))


def _corrupter(
    images: NDArray[np.uint8], name: str, strength: int, seed: tuple[int, ...]
) -> Callable[[np.int64], NDArray[np.uint8]]:
    """Of an image's number its corrupted pixels; the noise belongs to the image, in whatever order they come."""
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


def _row(name: str, strength: int, answers: Answers, engine: Engine) -> dict[str, str | int | float]:
    return {
        "corruption": name,
        "strength": strength,
        "images": len(answers.labels),
        "accuracy": accuracy(answers.labels, answers.probabilities),
        "balanced_accuracy": balanced_accuracy(answers.labels, answers.probabilities),
        "unsure_share": float((answers.confidence < engine.contract.unsure_below).mean()),
    }
