"""How often a threshold that is chosen on validation images misses its target, and what certifying it costs.

    python -m benchmarks.thresholds [TRIES]      about a minute with 400

Prints the figures of docs/how-it-works.md. Each world has a true precision at every threshold; we draw validation
images from it, choose a threshold by each rule, and look up the truth: the share of misses, the mean coverage, and the
share of draws in which nothing could be certified. The demo's world is its own test answers, resampled. The last table
is about scenes: several images that are right or wrong together, more or less, counted in three ways.
"""

import dataclasses
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import bdtr

from pipeline.core.paths import TEST_PREDICTIONS
from pipeline.training.certify import (
    AFTER_A_PASS,
    Sets,
    last_passed,
    p_value,
    strict_error,
    surest,
    twentieths,
    whole,
)

LEVEL = 0.9
ERROR = 1 - LEVEL
Drawn = tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]  # confidence, correct, scenes
Rule = Callable[[Sets, float], int]  # position of the chosen set; -1: none
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class World:
    """Where validation images come from, and what is true of all images."""

    draw: Callable[[np.random.Generator, int], Drawn]
    confidence: Array  # of very many images, falling
    right: Array  # the probability that each is answered rightly

    def truth(self, threshold: float) -> tuple[float, float]:
        """True precision and coverage of the answers at or above a threshold."""
        given = int(np.searchsorted(-self.confidence, -threshold, side="right"))
        return float(self.right[:given].mean()), given / len(self.confidence)


def demo() -> World:
    """The demo's test answers, drawn with replacement."""
    table = pd.read_csv(TEST_PREDICTIONS).sort_values("confidence", ascending=False, kind="stable")
    confidence, right = table["confidence"].to_numpy(), (table["label"] == table["predicted"]).to_numpy()

    def draw(rng: np.random.Generator, images: int) -> Drawn:
        rows = rng.integers(0, len(table), images)
        split = confidence[rows] - 1e-10 * rng.random(images)  # copies of an image are other images here
        return split, right[rows], np.arange(images)

    return World(draw, confidence, right.astype(float))


def two_classes(spread: float, too_sure: float, copies: int = 1, alike: float = 1.0) -> World:
    """Two classes whose true logit is normal with a standard deviation of `spread`, given `too_sure` times too large.

    copies: images of a scene, of nearly the same logit; `alike` of the scenes are right or wrong as a whole.
    """

    def draw(rng: np.random.Generator, images: int) -> Drawn:
        scenes = np.repeat(np.arange(images), rng.integers(1, 2 * copies, images))[:images]
        logit = np.abs(rng.normal(0, spread, images)[scenes] + rng.normal(0, 0.05, images) * (copies > 1))
        chance = np.where(rng.random(images)[scenes] < alike, rng.random(images)[scenes], rng.random(images))
        return too_sure * logit, chance < sigmoid(logit), scenes

    logit = np.sort(np.abs(np.random.default_rng(9).normal(0, spread, 40_000)))[::-1]
    return World(draw, too_sure * logit, sigmoid(logit))


def sigmoid(logit: Array) -> Array:
    """The probability of a logit."""
    return np.asarray(1 / (1 + np.exp(-logit)))


def lucky(sets: Sets, target: float) -> int:
    """The lowest threshold that reaches the target on these images: `train.target_confidence: null`."""
    reached = np.flatnonzero(sets.precision >= target)
    return int(reached[-1]) if len(reached) else -1


def hoeffding_bentkus(right: Array, images: Array, target: float) -> Array:
    """The p-value of Learn then Test (Angelopoulos et al., 2021), proposition 3, for a risk of 1 - target."""
    limit, risk = 1 - target, np.minimum(1 - right / images, 1 - target)
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.where(risk > 0, risk * np.log(risk / limit), 0) + (1 - risk) * np.log((1 - risk) / target)
    bentkus = np.e * bdtr(np.ceil(images - right - 1e-9), np.round(images).astype(int), limit)
    return np.asarray(np.minimum(np.exp(-images * distance), bentkus))


def certified(sets: Sets, target: float) -> int:
    """Our rule."""
    after = AFTER_A_PASS * ERROR
    return last_passed(p_value(*sets.counts, target), strict_error(whole(sets.scenes), target, ERROR, after), after)


def bonferroni(sets: Sets, target: float) -> int:
    """The largest set that passes with its part of the error."""
    return largest(p_value(*sets.counts, target) <= ERROR / len(sets.images))


def fallback(sets: Sets, target: float) -> int:
    """As Bonferroni, but a set that passes hands its error on to the next (Wiens and Dmitrienko, 2005)."""
    found, left = -1, 0.0
    for position, error in enumerate(p_value(*sets.counts, target)):
        left += ERROR / len(sets.images)
        if error <= left:
            found = position
        else:
            left = 0.0
    return found


def sequence(start: float, p: Callable[..., Array] = p_value) -> Rule:
    """Fixed sequence: from the set with a share of `start` on, with the whole error, until one does not pass."""

    def rule(sets: Sets, target: float) -> int:
        begin = int(np.searchsorted(sets.images, start * sets.images[-1] - 1e-9))
        failed = np.flatnonzero(p(*sets.counts, target)[begin:] > ERROR)
        end = begin + int(failed[0]) if len(failed) else len(sets.images)
        return end - 1 if end > begin else -1

    return rule


def learn_then_test(sets: Sets, target: float) -> int:
    """Bonferroni with the p-value of Hoeffding and Bentkus."""
    return largest(hoeffding_bentkus(*sets.counts, target) <= ERROR / len(sets.images))


def largest(passed: NDArray[np.bool_]) -> int:
    """The position of the last set that passes; -1: none."""
    return int(np.flatnonzero(passed)[-1]) if passed.any() else -1


RULES: dict[str, Rule] = {
    "as measured (null)": lucky,
    "Bonferroni": bonferroni,
    "fallback": fallback,
    "fixed sequence from 0.3": sequence(0.3),
    "fixed sequence from 0.5": sequence(0.5),
    "Hoeffding-Bentkus, Bonferroni": learn_then_test,
    "Hoeffding-Bentkus, sequence from 0.5": sequence(0.5, hoeffding_bentkus),
    "ours": certified,
}


def measure(world: World, target: float, images: int, tries: int) -> pd.DataFrame:
    """One row per rule: share of misses, mean coverage, share without a certified threshold."""
    rng, rows = np.random.default_rng(1), []
    for _ in range(tries):
        every = surest(*world.draw(rng, images))
        some = twentieths(every)
        for name, rule in RULES.items():
            sets = every if rule is lucky else some
            rows.append((name, *outcome(world, sets, rule(sets, target), target)))
    return table_of(rows)


def outcome(world: World, sets: Sets, found: int, target: float) -> tuple[bool, float, bool]:
    """Whether the chosen set misses its target, its true coverage, and whether there is none."""
    precision, coverage = world.truth(float(sets.threshold[found])) if found >= 0 else (1.0, 0.0)
    return precision < target - 1e-12, coverage, found < 0


def table_of(rows: list[tuple[str, bool, float, bool]]) -> pd.DataFrame:
    """The means of each rule's outcomes."""
    table = pd.DataFrame(rows, columns=["rule", "missed", "coverage", "none"])
    return table.groupby("rule", sort=False).mean()


def with_estimated_effect(drawn: Drawn) -> Sets:
    """Sets whose scenes count by the design effect that their answers show, between none and Kish's."""
    confidence, correct, scenes = drawn
    sets = twentieths(surest(*drawn))
    counts = []
    for threshold, images, precision, least in zip(
        sets.threshold, sets.images, sets.precision, sets.scenes, strict=True
    ):
        inside = confidence >= threshold
        sums = np.bincount(scenes[inside], correct[inside] - precision)
        groups = len(np.unique(scenes[inside]))
        plain = precision * (1 - precision) * images
        effect = (sums**2).sum() * groups / max(groups - 1, 1) / plain if plain else images / least
        counts.append(np.clip(images / max(effect, 1e-9), least, images))
    return dataclasses.replace(sets, scenes=np.array(counts))


def measure_scenes(world: World, target: float, images: int, tries: int) -> pd.DataFrame:
    """Our rule on images of scenes: each counted alone, by an estimated design effect, and by Kish's formula."""
    rng, rows = np.random.default_rng(1), []
    for _ in range(tries):
        confidence, correct, _ = drawn = world.draw(rng, images)
        ways = {
            "each image alone": twentieths(surest(confidence, correct, np.arange(images))),
            "estimated effect": with_estimated_effect(drawn),
            "Kish (ours)": twentieths(surest(*drawn)),
        }
        rows += [(name, *outcome(world, sets, certified(sets, target), target)) for name, sets in ways.items()]
    return table_of(rows)


def main(tries: int) -> None:
    """The tables."""
    worlds = {"the demo's answers": demo()} | {
        f"two classes, spread {spread}": two_classes(spread, 1.0) for spread in (1.5, 3.5, 10.0)
    }
    for name, world in worlds.items():
        for target in (0.9, 0.95):
            for images in (150, 393, 1500):
                show(f"{name}, {world.right.mean():.1%} right; target {target:g}, {images} images",
                     measure(world, target, images, tries))  # fmt: skip
    for copies, alike in ((2, 0.5), (2, 1.0), (10, 0.3), (10, 1.0)):
        world = two_classes(3.5, 1.0, copies, alike)
        show(f"scenes of {copies} images on average, {alike:.0%} right or wrong as a whole; target 0.9, 1000 images",
             measure_scenes(world, 0.9, 1000, tries // 2))  # fmt: skip


def show(title: str, table: pd.DataFrame) -> None:
    """Print a table."""
    print(f"\n{title}\n{table.to_string(float_format='%.3f')}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
