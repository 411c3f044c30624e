"""The answers for events of labelled images, as a night computes them. Measures nothing and opens no file."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.model.answers import Answers
from pipeline.model.ranked import DIGITS, RANKS, MeanAnswer


@dataclass(frozen=True, slots=True)
class EventAnswers:
    """Events with several images; position i of each part is the same event."""

    answers: Answers  # labels (e,) and mean probabilities (e, classes)
    confidence: NDArray[np.float64]  # (e,), of the most probable class, to the digits of events.csv
    groups: NDArray[np.int64]  # (e,), events with the same number show one scene or belong together
    images: NDArray[np.int64]  # (i,), the numbers of the images of all events
    of: NDArray[np.int64]  # (i,), the position of each one's event


def event_answers(answers: Answers, groups: NDArray[np.int64], bursts: NDArray[np.int64]) -> EventAnswers | None:
    """The events among the images, by the number of each one's burst, (n,), -1: none; None where none has several.

    An event's label is that of most of its images; of equally frequent ones, that of its first image.
    """
    numbers, counts = np.unique(bursts[bursts >= 0], return_counts=True)
    several = numbers[counts > 1]
    images = np.flatnonzero(np.isin(bursts, several))
    found: list[tuple[int, MeanAnswer, int]] = []
    for number in several:
        rows, mean = np.flatnonzero(bursts == number), MeanAnswer(answers.probabilities.shape[1])
        for row in rows:
            probabilities = answers.probabilities[row]
            best = np.argsort(-probabilities, kind="stable")[:RANKS].tolist()
            mean.add([(column, round(float(probabilities[column]), DIGITS)) for column in best])
        label = Counter(answers.labels[rows].tolist()).most_common(1)[0][0]  # of equal ones the first that it met
        found.append((label, mean, int(groups[rows[0]])))
    if not found:
        return None
    labels, means = [label for label, *_ in found], [mean.means for _, mean, _ in found]
    return EventAnswers(
        Answers(np.array(labels, np.int64), np.array(means, np.float32)),
        np.array([mean.answer[1] for _, mean, _ in found], np.float64),
        np.array([group for *_, group in found], np.int64),
        images,
        np.searchsorted(several, bursts[images]),
    )
