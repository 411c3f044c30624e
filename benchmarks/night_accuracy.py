"""How often does the interval of a night's accuracy hold the truth, whatever else people judge?

    python -m benchmarks.night_accuracy [TRIES]      two minutes at 200

Nights of 300, 1,000 and 5,000 rows, drawn from the demo's test answers (reports/test_predictions.csv) with status `ok`
so that another share of them is right in every night, from 80 to 99 %. TRIES reviews, each of another night, judge 30,
60 or 120 images at random, and as many more for another reason:

    random        nothing else
    doubt         by turns the least certain one
    doubt after   the least certain ones, when the draw is done
    sweep         first the least certain ones that the model calls `functional`
    sweep after   when the draw is done, the whole class in which the draw has found the larger share of wrong ones
    cannot tell   nothing else, but of the wrong ones a third is too hard to judge, of the right ones one in fifty

`held`: share of intervals that hold the truth; `width`: their mean width; `off`: mean error of the estimate, in points.
`as strata` counts what was not drawn as it is and estimates the rest from the drawn: what one would do first, and what
`pipeline/review/accuracy.py` does not do, as its error shows where doubtful images were also drawn before.
"""

import itertools
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.core.paths import TEST_PREDICTIONS
from pipeline.evaluation.results import read_training
from pipeline.review import accuracy
from pipeline.review.accuracy import LEVEL, Answer, count, estimate

TRIES = 200
JUDGED = (30, 60, 120)  # at random
ROWS = (300, 1_000, 5_000)  # of a night
RIGHT = (0.8, 0.99)  # the least and the largest share of them that is right

accuracy.finite_ends = cache(accuracy.finite_ends)  # the same draws come again and again


@dataclass(frozen=True)
class Night:
    """The `ok` rows of a night, and whether they are right, (n,) each."""

    label: NDArray[np.str_]
    confidence: NDArray[np.float64]
    right: NDArray[np.bool_]


@dataclass
class Review:
    """A review of a night at work; `order` is the random order of the rows."""

    night: Night
    order: list[int]
    why: dict[int, str]  # row -> drawn, chosen

    def draw(self, rows: int) -> None:
        """Judge the next rows of the random order that nobody has judged."""
        self.judge(self.order, rows, "drawn")

    def judge(self, wanted: Iterable[int], rows: int, why: str) -> None:
        """Judge the first `rows` of those wanted that nobody has judged."""
        left = (row for row in wanted if row not in self.why)
        self.why |= dict.fromkeys(itertools.islice(left, rows), why)

    def choose(self, rows: int, label: str = "") -> None:
        """Judge the least certain rows, of one label or of all."""
        self.judge((row for row in self.by_doubt if label in ("", self.night.label[row])), rows, "chosen")

    @cached_property
    def by_doubt(self) -> list[int]:
        """The least certain first."""
        return [*map(int, np.argsort(self.night.confidence, kind="stable"))]

    def worst(self) -> str:
        """The label with the larger share of wrong ones among the drawn."""
        drawn = np.array([row for row, why in self.why.items() if why == "drawn"])
        labels = np.unique(self.night.label[drawn])
        shares = [self.night.right[drawn[self.night.label[drawn] == label]].mean() for label in labels]
        return str(labels[int(np.nanargmin(shares))])


@cache
def of_the_demo() -> Night:
    """The test answers that are `ok`."""
    table = pd.read_csv(TEST_PREDICTIONS)
    table = table[table["confidence"] >= read_training().unsure_below]
    right = (table["label"] == table["predicted"]).to_numpy()
    return Night(table["predicted"].to_numpy(str), table["confidence"].to_numpy(), right)


def of_rows(rows: int, rng: np.random.Generator) -> Night:
    """A night of so many of them, some share of them right."""
    night = of_the_demo()
    is_right = rng.random(rows) < rng.uniform(*RIGHT)
    drawn = np.where(is_right, *(rng.choice(np.flatnonzero(night.right == right), rows) for right in (True, False)))
    return Night(night.label[drawn], night.confidence[drawn], night.right[drawn])


def by_turns(review: Review, rows: int) -> None:
    """One drawn, one doubtful."""
    for _ in range(rows):
        review.draw(1)
        review.choose(1)


def after(review: Review, rows: int) -> None:
    """The doubtful ones after the draw."""
    review.draw(rows)
    review.choose(rows)


def sweep(review: Review, rows: int) -> None:
    """A part of a class before the draw."""
    review.choose(rows, "functional")
    review.draw(rows)


def sweep_after(review: Review, rows: int) -> None:
    """The whole class in which the draw found the most."""
    review.draw(rows)
    review.choose(len(review.order), review.worst())


MIXES: dict[str, Callable[[Review, int], None]] = {
    "random": Review.draw, "doubt": by_turns, "doubt after": after, "sweep": sweep, "sweep after": sweep_after,
    "cannot tell": Review.draw,
}  # fmt: skip
TOO_HARD = {True: 1 / 50, False: 1 / 3}  # whether the label is right -> share that nobody can tell


def ours(review: Review, hard: NDArray[np.bool_]) -> tuple[float, float, float]:
    """The estimate and its ends."""
    words: dict[bool, Answer] = {True: "right", False: "wrong"}
    right = review.night.right
    return estimate(count([
        None if row not in review.why else "open" if hard[row] else words[bool(right[row])]
        for row in review.order
    ]))  # fmt: skip


def as_strata(review: Review, hard: NDArray[np.bool_]) -> tuple[float, float, float]:
    """What was chosen as it is, and the rest by the drawn; what is too hard is left out."""
    parts = {why: np.array([row for row, of in review.why.items() if of == why and not hard[row]], np.int64)
             for why in ("drawn", "chosen")}  # fmt: skip
    right, images = review.night.right, len(review.order)
    known, rest = int(right[parts["chosen"]].sum()), images - len(parts["chosen"])
    hits, drawn = int(right[parts["drawn"]].sum()), len(parts["drawn"])
    low, high = accuracy.finite_ends(hits, drawn, rest, LEVEL)
    return (known + rest * hits / drawn) / images, (known + low) / images, (known + high) / images


def measure(rows: int, judged: int, mix: str, tries: int) -> list[tuple[float, float, float]]:
    """For each estimator: the share of intervals that hold the truth, their mean width, the mean error."""
    found = np.empty((2, tries, 3))
    for number in range(tries):
        rng = np.random.default_rng([number, judged])
        night = of_rows(rows, rng)
        review = Review(night, [*map(int, rng.permutation(len(night.right)))], {})
        hard = rng.random(len(night.right)) < np.where(night.right, *TOO_HARD.values()) * (mix == "cannot tell")
        MIXES[mix](review, judged)
        truth = float(night.right.mean())
        for place, method in enumerate((ours, as_strata)):
            share, low, high = method(review, hard)
            found[place, number] = low - 1e-9 <= truth <= high + 1e-9, high - low, share - truth
    return [(float(held), float(width), float(off)) for held, width, off in found.mean(axis=1)]


def main(tries: int) -> None:
    """The table."""
    print("rows   judged  mix            held   width     off   as strata: held   width     off")
    every = []
    for rows in ROWS:
        for judged in JUDGED:
            for mix in MIXES:
                found = measure(rows, judged, mix, tries)
                every.append(found[0][0])
                words = "   ".join(f"{held:6.3f}  {width:6.3f}  {100 * off:+6.2f}" for held, width, off in found)
                print(f"{rows:>5}  {judged:6d}  {mix:12s} {words}", flush=True)
    print(f"held: {min(every):.3f} to {max(every):.3f}, mean {np.mean(every):.3f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else TRIES)
