"""Which conformal score gives the smallest prediction sets at equal coverage of each class: plain, APS or RAPS?

    python -m benchmarks.sets [TRIES]      about a minute at 400

Resamplings of the demo's test answers (reports/test_predictions.csv) and simulated classifiers of 2, 5 and 20 classes:
TRIES times so many validation images are drawn, a threshold a class is fitted to them (`training.conformal`), and the
sets of all images of the population are looked at. `plain` is what Nightshift does: the most probable label is in every
set; `plain-` without that, so that a set can be empty. APS and RAPS without randomisation, since a night's rows must
not depend on chance, and with it (`APS~`), as they were published.
Coverage is the mean over the tries, of the class that has the least; `5 %`: the twentieth of the tries with the least
coverage of any class lies below. Classes that no set can exclude, with too few validation images, are counted beside.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.core.paths import TEST_PREDICTIONS
from pipeline.model.candidates import in_sets
from pipeline.model.engine import probabilities
from pipeline.training.conformal import candidates_above

ERROR = 0.1
TRIES = 400
IMAGES = (150, 393, 1500)
POPULATION = 5_000  # simulated images
PENALTY, FREE_RANKS = 0.1, 1  # of RAPS, for each rank beyond the free ones

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """A classifier's answers on a population of images."""

    name: str
    labels: NDArray[np.int64]  # (n,)
    answers: NDArray[np.float32]  # (n, classes), rows sum to 1


def of_the_demo() -> Case:
    """The test answers of the demo; of two classes the second probability follows from the first."""
    table = pd.read_csv(TEST_PREDICTIONS)
    names = sorted(table["label"].unique())
    predicted = table["predicted"].map(names.index).to_numpy()
    answers = np.empty((len(table), 2), np.float32)
    answers[np.arange(len(table)), predicted] = table["confidence"]
    answers[np.arange(len(table)), 1 - predicted] = 1 - table["confidence"]
    return Case("demo", table["label"].map(names.index).to_numpy(np.int64), answers)


def simulated(classes: int, strength: float, seed: int = 0) -> Case:
    """A calibrated classifier: rare and frequent classes, easy and hard images."""
    rng = np.random.default_rng(seed)
    shares = np.linspace(1, 3, classes)
    truth = rng.choice(classes, POPULATION, p=shares / shares.sum())
    clear = strength * rng.gamma(2, 0.5, (POPULATION, 1))  # how clear an image is
    seen = rng.normal(0, 1, (POPULATION, classes)) + clear * np.eye(classes)[truth]
    # Bayes' rule for these densities: the answers are the true probabilities.
    answers = probabilities((clear * seen + np.log(shares)).astype(np.float32), 1.0)
    return Case(f"{classes} classes", truth.astype(np.int64), answers)


def plain(answers: Floats, rng: np.random.Generator) -> Floats:
    """The probability of each label."""
    return answers


def adaptive(answers: Floats, draws: Floats | float, penalty: float = 0.0) -> Floats:
    """1 - APS or RAPS of each label, scaled to 0..1: the probability of all labels at least as probable.

    draws: share of the label's own probability that counts; 1: all of it.
    """
    order = np.argsort(-answers, axis=1, kind="stable")
    ranked = np.take_along_axis(answers, order, axis=1)
    sums = np.cumsum(ranked, axis=1) - ranked + draws * ranked
    sums += penalty * np.maximum(0, np.arange(1, answers.shape[1] + 1) - FREE_RANKS)
    scores = np.empty_like(sums)
    np.put_along_axis(scores, order, sums, axis=1)
    return 1 - scores / (1 + penalty * answers.shape[1] + 1e-6)


SCORES: dict[str, Callable[[Floats, np.random.Generator], Floats]] = {
    "plain": plain,
    "plain-": plain,
    "APS": lambda answers, rng: adaptive(answers, 1.0),
    "RAPS": lambda answers, rng: adaptive(answers, 1.0, PENALTY),
    "APS~": lambda answers, rng: adaptive(answers, rng.random((len(answers), 1))),
    "RAPS~": lambda answers, rng: adaptive(answers, rng.random((len(answers), 1)), PENALTY),
}


def measure(case: Case, images: int, name: str, tries: int) -> tuple[float, ...]:
    """Least coverage of a class, its worst twentieth, mean size, share of single and of empty sets, never excluded."""
    rng = np.random.default_rng(1)
    answers, classes = case.answers.astype(np.float64), case.answers.shape[1]
    coverage, sizes, always = np.empty((tries, classes)), np.empty((tries, 3)), 0
    for row in range(tries):
        scores = SCORES[name](answers, rng)
        drawn = rng.integers(0, len(answers), images)
        above = candidates_above(scores[drawn], case.labels[drawn], np.arange(images), ERROR)
        inside = in_sets(scores, above) if name == "plain" else scores >= np.array(above)
        own = inside[np.arange(len(inside)), case.labels]
        coverage[row] = [own[case.labels == one].mean() for one in range(classes)]
        size = inside.sum(axis=1)
        sizes[row] = size.mean(), (size == 1).mean(), (size == 0).mean()
        always += above.count(0.0)
    worst = np.quantile(coverage.min(axis=1), 0.05)
    return (coverage.mean(axis=0).min(), float(worst), *sizes.mean(axis=0).tolist(), always / tries)


def main(tries: int) -> None:
    """The table."""
    cases = [of_the_demo(), simulated(2, 1.8), simulated(5, 3.0), simulated(20, 4.0)]
    print(f"error {ERROR}, {tries} tries")
    print("answers      images score    covered     5 %    size  single  empty  never excluded")
    for case in cases:
        right = float((case.answers.argmax(axis=1) == case.labels).mean())
        print(f"{case.name}, accuracy {right:.3f}")
        for images in IMAGES:
            for name in SCORES:
                covered, worst, size, single, empty, always = measure(case, images, name, tries)
                print(
                    f"             {images:6d} {name:6s} {covered:9.3f} {worst:7.3f} {size:7.3f} {single:7.3f} "
                    f"{empty:6.3f} {always:7.1f}"
                )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else TRIES)
