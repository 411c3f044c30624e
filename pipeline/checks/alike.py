"""Classes that the audit's model cannot tell apart: doubts between them say little of the labels. Asks no model.

A doubt is a diagnostic test of a label. Where the model, asked for one of two classes, names the share r of their
images right, a doubt multiplies the odds that the label is wrong by about r / (1 - r), its likelihood ratio. Below 2 is
"rarely important" (Jaeschke, Guyatt and Sackett, Users' Guides to the Medical Literature III B, JAMA 1994).
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.core.text import counted

LEAST_RIGHT = 2 / 3  # share r, of both classes the mean: a likelihood ratio of 2
NAMED = 3  # pairs in the sentences


@dataclass(frozen=True, slots=True)
class Alike:
    """Two classes that the audit's model cannot tell apart."""

    classes: tuple[str, str]
    right: float  # share of their images that it names right, of both classes the mean; guessing: 0.5
    doubts: int  # labels of the one that it takes for the other

    @property
    def words(self) -> str:
        """What that means for its doubts, in a sentence."""
        one, other = self.classes
        worth = "doubt about these labels is worth little and is" if self.doubts == 1 else (
            "doubts about these labels are worth little and are"
        )  # fmt: skip
        return (
            f"The audit cannot tell {one} from {other} ({100 * self.right:.0f} % of their images are answered right, "
            f"50 % by guessing), so its {self.doubts:,} {worth} not listed."
        )


def alike(
    suspects: pd.DataFrame, labels: NDArray[np.int64], answers: NDArray[np.float64], class_names: tuple[str, ...]
) -> tuple[Alike, ...]:
    """The pairs of classes with doubts between them that the model cannot tell apart, those with the most doubts first.

    suspects: columns label and suggested; labels: (n,), index into the classes; answers: (n, classes), out of fold.
    """
    index = {name: number for number, name in enumerate(class_names)}
    doubts = Counter(_pairs(suspects))
    found = [Alike((one, other), _right(index[one], index[other], labels, answers), count)
             for (one, other), count in doubts.items() if one != other]  # fmt: skip
    poor = [pair for pair in found if pair.right < LEAST_RIGHT]
    return tuple(sorted(poor, key=lambda pair: (-pair.doubts, pair.classes)))


def without(suspects: pd.DataFrame, pairs: tuple[Alike, ...]) -> pd.DataFrame:
    """The suspects but for doubts between the classes of such a pair."""
    left_out = {pair.classes for pair in pairs}
    kept = np.array([pair not in left_out for pair in _pairs(suspects)], bool)
    found: pd.DataFrame = suspects[kept].reset_index(drop=True)
    return found


def in_words(pairs: tuple[Alike, ...]) -> list[str]:
    """A sentence for each of the first pairs, and how many more there are."""
    words = [pair.words for pair in pairs[:NAMED]]
    if rest := pairs[NAMED:]:
        doubts = counted(sum(pair.doubts for pair in rest), "doubt")
        words.append(f"Nor can it tell {counted(len(rest), 'more pair')} of classes apart ({doubts}).")
    return words


def _pairs(suspects: pd.DataFrame) -> list[tuple[str, str]]:
    """The given and the suggested label of each suspect, in the order of the alphabet."""
    both = zip(suspects["label"].astype(str), suspects["suggested"].astype(str), strict=True)
    return [(min(names), max(names)) for names in both]


def _right(one: int, other: int, labels: NDArray[np.int64], answers: NDArray[np.float64]) -> float:
    """The share of their judged images that are likelier of their own class than of the other, mean over both."""
    judged = ~np.isnan(answers).any(axis=1)
    shares = [
        float((answers[rows, own] > answers[rows, wrong]).mean())
        for own, wrong in ((one, other), (other, one))
        if (rows := judged & (labels == own)).any()
    ]
    return sum(shares) / len(shares)
