"""How often the headlines' 95 % intervals contain the true value, before (percentile bootstrap) and now.

    python -m benchmarks.intervals [TRIES]

For each number of images: the mean over eight kinds of models (2 and 4 classes, accuracy 0.7 and 0.95, scenes of 1 and
3 images) and, in brackets, the least of the eight; `-`: too few images for an interval. TRIES test splits of each kind
(default 100; a fifth of them with 2,000 images). The models are too sure of themselves.
"""

import itertools
import sys

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.headlines import METRICS, headlines
from pipeline.evaluation.metrics import Metric
from pipeline.model.answers import Answers
from pipeline.params.model import Intervals

IMAGES = (6, 12, 30, 100, 393, 2000)
KINDS = tuple(itertools.product((2, 4), (0.7, 0.95), (1, 3)))  # classes, accuracy, images in a scene
ALIKE = 0.8  # correlation of what the model sees in two images of one scene
TOO_SURE = 1.3  # factor on the logits
VERY_MANY = 200_000  # images for the true values
PARAMS = Intervals(interval_level=0.95, resamples=400)


def draw(rng: np.random.Generator, images: int, classes: int, strength: float, scene: int) -> tuple[Answers, NDArray]:
    """Answers of a model that sees each class's evidence with noise of standard deviation 1, and their scenes."""
    groups = np.arange(images) // scene
    labels = rng.integers(0, classes, groups[-1] + 1)[groups]
    shared, own = rng.normal(size=(groups[-1] + 1, classes))[groups], rng.normal(size=(images, classes))
    seen = shared if scene == 1 else np.sqrt(ALIKE) * shared + np.sqrt(1 - ALIKE) * own
    powers = np.exp(TOO_SURE * strength * (seen + strength * np.eye(classes)[labels]))
    return Answers(labels, (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)), groups


def strength_of(classes: int, accuracy: float) -> float:
    """How strong the evidence has to be for this accuracy."""
    noise, low, high = np.random.default_rng(0).normal(size=(VERY_MANY, classes)), 0.0, 8.0
    for _ in range(30):
        middle = (low + high) / 2
        reached = (noise[:, 0] + middle > noise[:, 1:].max(axis=1)).mean()
        low, high = (middle, high) if reached < accuracy else (low, middle)
    return low


def percentile(metric: Metric, answers: Answers, groups: NDArray[np.int64], rng: np.random.Generator) -> list[float]:
    """The percentile bootstrap over whole scenes (Efron, 1979)."""
    scenes = groups[-1] + 1
    times = np.stack([np.bincount(rng.integers(0, scenes, scenes), minlength=scenes) for _ in range(PARAMS.resamples)])
    values = metric.weighted(answers.labels, answers.probabilities, times[:, groups].astype(np.float64))
    known = values[np.isfinite(values)]
    return np.quantile(known, [0.025, 0.975]).tolist() if len(known) else [np.nan, np.nan]


def coverage(kind: tuple[int, float, int], images: int, tries: int) -> dict[str, tuple[float, float, float]]:
    """Of each metric: how often the intervals before and now contain the true value, and how often there is one now."""
    classes, accuracy, scene = kind
    rng, strength = np.random.default_rng(1), strength_of(classes, accuracy)
    many, _ = draw(rng, VERY_MANY, classes, strength, 1)
    asked = {one.name: one.metric for one in METRICS if classes > one.more_classes_than}
    truth = {name: metric(many.labels, many.probabilities) for name, metric in asked.items()}
    before: dict[str, list[bool]] = {name: [] for name in asked}
    now: dict[str, list[bool]] = {name: [] for name in asked}
    for number in range(tries):
        answers, groups = draw(rng, images, classes, strength, scene)
        found = headlines(answers, PARAMS, number, groups)
        for name, metric in asked.items():
            if (one := found[name]) is None:
                continue
            low, high = percentile(metric, answers, groups, rng)
            before[name].append(low <= truth[name] <= high)
            if one.ends:
                now[name].append(one.ends[0] <= truth[name] <= one.ends[1])
    return {
        name: (np.mean(before[name]), np.mean(now[name]) if now[name] else np.nan, len(now[name]) / tries)
        for name in asked
    }


def main(tries: int) -> None:
    """The table."""
    found = {
        (kind, images): coverage(kind, images, max(20, tries // 5) if images > 1000 else tries)
        for images in IMAGES
        for kind in KINDS
    }
    for row, words in enumerate(("before", "now")):
        print(f"\n| {words} | " + " | ".join(f"{images:,}" for images in IMAGES) + " |")
        print("|---|" + "---:|" * len(IMAGES))
        for name in (one.name for one in METRICS):
            cells = []
            for images in IMAGES:
                shares = np.array([found[kind, images][name][row] for kind in KINDS if name in found[kind, images]])
                known = 100 * shares[np.isfinite(shares)]
                cells.append(f"{known.mean():.0f} ({known.min():.0f})" if len(known) else "-")
            if set(cells) != {"-"}:
                print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
