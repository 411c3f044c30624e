"""A model's answers for images with known labels. Measures nothing and opens no file."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.core.terminal import progress_bar
from pipeline.model.doubt import outliers
from pipeline.model.engine import Engine, Judging, Network, probabilities
from pipeline.model.reference import Reference

Pixel = TypeVar("Pixel", np.uint8, np.int64)


@dataclass(frozen=True, slots=True)
class Answers:
    """True labels and predicted probabilities; row i of both is the same image."""

    labels: NDArray[np.int64]  # (n,), the truth, index into class_names
    probabilities: NDArray[np.float32]  # (n, classes), rows sum to 1

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable class, (n,), index into class_names."""
        return np.asarray(self.probabilities.argmax(axis=1), np.int64)

    @property
    def confidence(self) -> NDArray[np.float32]:
        """The probability of the most probable class, (n,), 0..1."""
        return np.asarray(self.probabilities.max(axis=1), np.float32)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the most probable class is the right one, (n,)."""
        return np.asarray(self.predicted == self.labels)

    def of(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "Answers":
        """The answers for some of the images, by number or by mask."""
        return Answers(self.labels[rows], self.probabilities[rows])


@dataclass(frozen=True, slots=True)
class Judged:
    """The model's answers on the test split, and what the metrics need besides."""

    answers: Answers
    uncalibrated: Answers  # the same without the contract's temperature
    class_names: tuple[str, ...]
    unsure_below: float  # a smaller confidence is "unsure"
    groups: NDArray[np.int64]  # (n,), images with the same number show one scene or belong together
    candidates_above: tuple[float, ...] | None = None  # as in the contract
    outliers: NDArray[np.bool_] | None = None  # (n,); None: the model has no reference

    @property
    def unsure(self) -> NDArray[np.bool_]:
        """Whether the night would mark the image as unsure, (n,), by the rule of `doubt`."""
        low = self.answers.confidence < self.unsure_below
        return np.asarray(low if self.outliers is None else low | self.outliers)


def in_batches(images: NDArray[Pixel], size: int, doing: str) -> Iterator[NDArray[Pixel]]:
    """Batches of at most `size` images, or image numbers, with a progress bar named `doing`."""
    for start in progress_bar(range(0, len(images), size), doing, unit="batch"):
        yield images[start : start + size]


def logits_of(network: Network, batches: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """The network's logits, (n, classes), for the images of all batches (m, height, width, 3)."""
    return np.concatenate([network(batch) for batch in batches])


def judged_of(
    judging: Judging, batches: Iterable[NDArray[np.uint8]]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Logits as in `logits_of`, and embeddings (n, d)."""
    logits, embeddings = zip(*map(judging, batches), strict=True)
    return np.concatenate(logits), np.concatenate(embeddings)


def outputs_of(
    engine: Engine, reference: Reference | None, batches: Iterable[NDArray[np.uint8]]
) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """The logits, (n, classes), and which images are outliers, (n,); None without a reference."""
    if reference is None or engine.judging is None:
        return logits_of(engine.network, batches), None
    parts = [(logits, reference.scores(found)) for logits, found in map(engine.judging, batches)]
    logits, scores = (np.concatenate(part) for part in zip(*parts, strict=True))
    return logits, outliers(scores, engine.contract)


def ask(
    engine: Engine, labels: NDArray[np.int64], outputs: tuple[NDArray[np.float32], NDArray[np.bool_] | None],
    groups: NDArray[np.int64],
) -> Judged:  # fmt: skip
    """The answers as the night gives them, at the contract's temperature, and those without temperature.

    outputs: as `outputs_of` gives them.
    """
    logits, odd = outputs
    contract = engine.contract
    return Judged(
        answers=Answers(labels, probabilities(logits, contract.temperature)),
        uncalibrated=Answers(labels, probabilities(logits, 1.0)),
        class_names=contract.class_names,
        unsure_below=contract.unsure_below,
        groups=groups,
        candidates_above=contract.candidates_above,
        outliers=odd,
    )
