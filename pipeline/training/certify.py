"""The certified threshold: the lowest confidence from which on answers are right as often as asked. Knows arrays only.

We look at twenty sets of validation images: the surest twentieth, the surest two twentieths, ..., all. For each, the
exact binomial test asks whether its answers may be right less often than the target; the lowest threshold that passes
is taken. Twenty tests find a lucky one more often than one test does, so each must pass with a smaller error. How much
smaller follows from what the sets have in common: the answers of each are also in all larger ones, as in a study that
is looked at again and again while its data accumulate (Pocock, Group Sequential Methods in the Design and Analysis
of Clinical Trials, 1977). After a set that has passed, the next one is tested with more error, as its turn comes
only if the one before passed (Huque and Alosh, A Flexible Fixed-Sequence Testing Method for Hierarchically Ordered
Correlated Multiple Endpoints in Clinical Trials, 2008). `strict_error` gives the split that keeps the whole error.

This needs that answers below the confidence at which precision falls under the target are no more often right than it.
Why not another rule (benchmarks/thresholds.py; figures in docs/how-it-works.md): fixed-sequence testing keeps no more
answers, and certifies nothing where its first set fails; Bonferroni's and the fallback procedure ignore what the sets
have in common and keep fewer; the p-value of Learn then Test (Angelopoulos et al., 2021), Hoeffding's and Bentkus's, is
meant for losses between 0 and 1: for right and wrong it is up to e times the exact binomial one.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import correlate
from scipy.special import betainc, betaincinv
from scipy.stats import binom

from pipeline.model.certificate import Certificate

STEPS = 20  # sets that are tested
AFTER_A_PASS = 0.8  # of the whole error, for a set after one that has passed: more would leave too little for the first
BISECTIONS = 12  # to three digits
ROUNDING = 1e-9  # floating point: 0.15 * 20 images must count as 3
MOST_IMAGES = 1e8  # where even these are too few, no number of images helps

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sets:
    """Sets of the surest answers, from few to all; position i of each array is the same set."""

    threshold: NDArray[np.float32]  # the lowest confidence in the set; every image that has it is in
    images: NDArray[np.int64]
    right: NDArray[np.int64]
    scenes: Numbers  # the number of independent images that say as much, see `surest`

    @property
    def precision(self) -> Numbers:
        """The share of right answers."""
        return np.asarray(self.right / self.images)

    @property
    def counts(self) -> tuple[Numbers, Numbers]:
        """Right answers and all answers, in independent images."""
        return self.precision * self.scenes, self.scenes

    def of(self, positions: NDArray[np.int64]) -> "Sets":
        """Some of the sets."""
        return Sets(self.threshold[positions], self.images[positions], self.right[positions], self.scenes[positions])


def certify(
    confidence: NDArray[np.float32], correct: NDArray[np.bool_], scenes: NDArray[np.int64], target: float, level: float
) -> tuple[float, Certificate]:
    """The lowest threshold whose precision is at least `target` with confidence `level`, and what is certain of it.

    confidence, correct, scenes: (n,) of the validation images; images with the same scene number belong together.
    Where nothing can be certified the threshold is the one with the best lower bound, of equal bounds the highest.
    """
    sets = twentieths(surest(confidence, correct, scenes))
    after = AFTER_A_PASS * (1 - level)
    strict = strict_error(whole(sets.scenes), target, 1 - level, after)
    passed = last_passed(p_value(*sets.counts, target), strict, after)
    bounds = lower_bound(*sets.counts, strict if passed < 0 else after)
    chosen = int(np.argmax(bounds)) if passed < 0 else passed
    return float(sets.threshold[chosen]), Certificate(
        target_precision=target,
        confidence=level,
        certified=passed >= 0,
        lower_bound=float(bounds[chosen]),
        precision=float(sets.precision[chosen]),
        images=int(sets.images[chosen]),
        more_images=more_images(sets, target, strict) if passed < 0 else None,
    )


def surest(confidence: NDArray[np.float32], correct: NDArray[np.bool_], scenes: NDArray[np.int64]) -> Sets:
    """All sets of images whose confidence is at least some threshold.

    The images of a scene count as if all were right or all wrong together: scenes with m images each say as much as
    (sum m)^2 / (sum m^2) independent images (Kish, Survey Sampling, 1965, at an intraclass correlation of 1).
    """
    order = np.argsort(-confidence, kind="stable")
    last = np.append(np.diff(confidence[order]) != 0, True)  # equal confidences are accepted or rejected together
    images = np.arange(1, len(order) + 1)
    squares = np.cumsum(2 * _earlier_of_scene(scenes[order]) + 1)
    return Sets(confidence[order][last], images[last], np.cumsum(correct[order])[last], (images**2 / squares)[last])


def _earlier_of_scene(scenes: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each image, (n,), how many images before it show the same scene."""
    order = np.argsort(scenes, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(scenes[order]) != 0))
    found = np.empty(len(scenes), np.int64)
    found[order] = np.arange(len(scenes)) - np.repeat(starts, np.diff(np.append(starts, len(scenes))))
    return found


def twentieths(sets: Sets) -> Sets:
    """The smallest set that has a twentieth of all images, two twentieths, ..., all; each once."""
    wanted = np.ceil(np.arange(1, STEPS + 1) / STEPS * sets.images[-1] - ROUNDING)
    return sets.of(np.unique(np.searchsorted(sets.images, wanted)))


def lower_bound(right: Any, images: Any, error: float) -> Numbers:
    """The lower bound of a share, above it with a probability of at most `error` (Clopper and Pearson, 1934).

    Counts may be fractions, as in Korn and Graubard, Confidence Intervals for Proportions with Small Expected Number of
    Positive Counts Estimated from Survey Data, 1998.
    """
    none = np.asarray(right) <= 0
    return np.where(none, 0.0, betaincinv(np.where(none, 1.0, right), images - right + 1, error))


def p_value(right: Any, images: Any, target: float) -> Numbers:
    """The probability of so many right answers or more if the true share were `target` (exact binomial test).

    At this error, `target` is the lower bound.
    """
    none = np.asarray(right) <= 0
    return np.where(none, 1.0, betainc(np.where(none, 1.0, right), images - right + 1, target))


def last_passed(errors: Numbers, strict: float, after: float) -> int:
    """The last set that passes: with an error of `strict`, or of `after` if the set before it passed; -1: none."""
    found = -1
    for position, error in enumerate(errors.tolist()):
        if error <= (after if found == position - 1 >= 0 else strict):
            found = position
    return found


def whole(scenes: Numbers) -> tuple[int, ...]:
    """Numbers of independent images as whole numbers that never fall, at least 1."""
    return tuple(np.maximum.accumulate(np.maximum(np.round(scenes), 1)).astype(int).tolist())


@cache
def strict_error(sizes: tuple[int, ...], target: float, error: float, after: float) -> float:
    """The largest error for a set that may pass by itself such that a wrong one passes with at most `error` in all."""
    low, high = 0.0, after
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if _wrong_pass(sizes, target, middle, after) <= error else (low, middle)
    return low


def _wrong_pass(sizes: tuple[int, ...], target: float, strict: float, after: float) -> float:
    """The probability that a set passes whose precision is below the target, in the worst case.

    The worst case: each answer is right with a chance of `target`. Whichever set is the first that must not pass, it is
    tested with at most `after`, and the later ones pass by themselves only with `strict`. The recursion is that of
    Armitage, McPherson and Rowe, Repeated Significance Tests on Accumulating Data, 1969, from the last set back.
    """
    worst, passes, before = 0.0, np.zeros(0), 0
    for size in reversed(sizes):
        right = np.arange(size + 1)
        error, later = p_value(right, size, target), np.zeros(size + 1)
        if len(passes):  # how probable a later pass is, given so many right ones here
            more = before - size
            later = correlate(passes, binom.pmf(np.arange(more + 1), more, target), "valid")
        worst = max(worst, float(binom.pmf(right, size, target) @ np.where(error <= after, 1, later)))
        passes, before = np.where(error <= strict, 1, later), size
    return worst


def more_images(sets: Sets, target: float, error: float) -> int | None:
    """How many more validation images would certify one of the sets, if its precision stays as measured.

    For each set with a precision p above the target: the smallest n at which the lower bound of n p right answers of n
    reaches the target; all validation images must grow n / (the set's independent images) times. The least of these.
    None: no set is right often enough, whatever the number.
    """
    some = sets.of(np.flatnonzero(sets.precision > target))
    low, high = some.scenes, np.full(len(some.scenes), MOST_IMAGES)
    reachable = p_value(some.precision * high, high, target) <= error
    for _ in range(60):
        middle = (low + high) / 2
        enough = p_value(some.precision * middle, middle, target) <= error
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    times = (high / some.scenes)[reachable]
    return math.ceil((float(times.min()) - 1) * int(sets.images[-1])) if len(times) else None
