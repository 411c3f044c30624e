"""How many labels does a model need when a person judges what is proposed first, and not what comes?

    python -m benchmarks.review_order PROJECT [--features FEATURES.npz] [--seeds 5] [--results FILE] [--figure FILE]

PROJECT: a trained project with a frozen backbone; the demo. FEATURES.npz: further sets, as `benchmarks/strangers.py`
keeps them. Of each set 40 % of the scenes are the test, others for every seed. A review begins with 20 images drawn at
random; then the last layer (`review/head.py`) is fitted to all that is judged, answers the rest, and the next 20 are

    random           drawn at random
    doubt            the least certain ones
    ActiveLab        those with the lowest score of cleanlab's `get_active_learning_scores`
    k-centres        the first of `ordered` without its draw
    ours             the first of `ordered`, one in ten of them of the draw

The same command resumes.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.core.paths import FEATURES, PREPARED
from pipeline.data.features import read_features
from pipeline.data.prepared import SPLITS
from pipeline.model.nearest import unit
from pipeline.review import head
from pipeline.review.order import ordered
from pipeline.review.waiting import Candidate, Waiting

BATCH = 20
IMAGES = 400  # labels in a review
TEST = 0.4
SURE = 0.75  # confidence from which an answer is `ok`, and may be drawn
SETS = ("textile", "fashion")
LEVELS = {"demo": 0.75, "textile": 0.65, "fashion": 0.8}  # that all methods reach; below what all labels give
COLOURS = {"random": "#9aa5b1", "doubt": "#d9822b", "ours": "#2f6db3"}  # in the figure


@dataclass(frozen=True)
class Case:
    """A set of images: features (n, d), labels (n,), and which belong together (n,)."""

    name: str
    features: NDArray[np.float32]
    labels: NDArray[np.str_]
    scenes: NDArray[np.int64]


@dataclass(frozen=True)
class Rest:
    """What waits: features of length 1 (n, d), and the answers (n, classes)."""

    embeddings: NDArray[np.float32]
    answers: NDArray[np.float64]
    labels: tuple[str, ...]


def of_project(project: Path) -> Case:
    """All images of a project."""
    tables = pd.concat([pd.read_parquet(project / PREPARED / f"{name}.parquet") for name in SPLITS])
    features = np.concatenate([read_features(project / FEATURES, name) for name in SPLITS])
    return Case("demo", features, tables["label"].to_numpy(str), pd.factorize(tables["cluster"])[0])


def of_file(file: Path) -> Iterator[Case]:
    """The sets of a file."""
    with np.load(file) as stored:
        for name in SETS:
            yield Case(name, stored[name], stored[f"{name} labels"].astype(str), np.arange(len(stored[name])))


def by_random(rest: Rest, rng: np.random.Generator) -> list[int]:
    """As they come."""
    return [int(row) for row in rng.permutation(len(rest.answers))[:BATCH]]


def by_doubt(rest: Rest, rng: np.random.Generator) -> list[int]:
    """The least certain."""
    return [int(row) for row in np.argsort(rest.answers.max(axis=1), kind="stable")[:BATCH]]


def by_activelab(rest: Rest, rng: np.random.Generator) -> list[int]:
    """The lowest score; of labelled images there is one, which cleanlab needs and whose score we do not use."""
    from cleanlab.multiannotator import get_active_learning_scores

    labelled = pd.DataFrame({"reader": np.arange(len(rest.labels))})
    scores = get_active_learning_scores(labelled, np.eye(len(rest.labels)) * 0.98 + 0.01, rest.answers)[1]
    return [int(row) for row in np.argsort(scores, kind="stable")[:BATCH]]


def by_order(rest: Rest, rng: np.random.Generator, share: float = 0.1) -> list[int]:
    """What the page shows first."""
    waiting = [
        Waiting(
            f"{row:064d}", str(row), "", "night", status="ok" if answer.max() >= SURE else "unsure",
            candidates=tuple(map(Candidate, rest.labels, answer.tolist())),
        )
        for row, answer in enumerate(rest.answers)
    ]  # fmt: skip
    embeddings = {one.sha256: embedding for one, embedding in zip(waiting, rest.embeddings, strict=True)}
    first = ordered(waiting, embeddings, random_share=share, seed=str(rng.integers(1 << 30)))[:BATCH]
    return [int(one.path) for one in first]


METHODS: dict[str, Callable[[Rest, np.random.Generator], list[int]]] = {
    "random": by_random, "doubt": by_doubt, "ActiveLab": by_activelab,
    "k-centres": lambda rest, rng: by_order(rest, rng, 0), "ours": by_order,
}  # fmt: skip


def reviewed(case: Case, method: str, seed: int) -> Iterator[tuple[int, float]]:
    """Labels, and the balanced accuracy on the test images after them; at last after all labels."""
    rng = np.random.default_rng(seed)
    scenes = rng.permutation(case.scenes.max() + 1)
    is_test = np.isin(case.scenes, scenes[: round(TEST * len(scenes))])
    pool, test = np.flatnonzero(~is_test), np.flatnonzero(is_test)
    judged = [int(row) for row in rng.permutation(len(pool))[:BATCH]]
    embeddings = unit(case.features[pool])
    while True:
        layer = head.fit(case.features[pool[judged]], case.labels[pool[judged]].tolist())
        yield len(judged), balanced_accuracy(layer, case.features[test], case.labels[test])
        if len(judged) >= IMAGES:
            break
        left = np.setdiff1d(np.arange(len(pool)), judged)
        rest = Rest(embeddings[left], layer.probabilities(case.features[pool[left]]), layer.labels)
        judged += [int(left[row]) for row in METHODS[method](rest, rng)]
    layer = head.fit(case.features[pool], case.labels[pool].tolist())
    yield len(pool), balanced_accuracy(layer, case.features[test], case.labels[test])


def balanced_accuracy(layer: head.Head, features: NDArray[np.float32], labels: NDArray[np.str_]) -> float:
    """The mean over classes of the share that is answered rightly."""
    right = np.array(layer.labels)[layer.probabilities(features).argmax(axis=1)] == labels
    return float(np.mean([right[labels == name].mean() for name in np.unique(labels)]))


def needed(curve: pd.Series, level: float) -> float:
    """The first number of labels from which three measurements in a row reach `level` on average."""
    smooth = curve.sort_index().rolling(3, center=True, min_periods=2).mean()
    reached = smooth.index[smooth >= level]
    return float(reached[0]) if len(reached) else float("nan")


def table(rows: pd.DataFrame) -> str:
    """For each set and method: labels needed (mean and spread over seeds), balanced accuracy after some labels."""
    lines = ["set      method     labels for  needed (sd)  never   at 100   at 200   at 400  all labels    mean"]
    for (name, method), of in rows.groupby(["set", "method"], sort=False):
        level, some = LEVELS[str(name)], of[of["labels"] <= IMAGES]
        counts = np.array([needed(one.set_index("labels")["score"], level) for _, one in some.groupby("seed")])
        mean, reached = some.groupby("labels")["score"].mean(), counts[~np.isnan(counts)]
        words = "  ".join(f"{mean[count]:7.3f}" for count in (100, 200, 400))
        every = of[of["labels"] > IMAGES]["score"].mean()
        number = f"{reached.mean():6.0f} ({reached.std():3.0f})" if len(reached) else " " * 12
        lines.append(
            f"{name:8} {method:10} {level:9.2f} {number}  {np.isnan(counts).sum():5d}  {words}     {every:7.3f}"
            f"  {mean.mean():6.3f}"
        )
    return "\n".join(lines)


def draw(rows: pd.DataFrame) -> Figure:
    """Balanced accuracy by labels, mean over seeds with a standard error, of the demo."""
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    for method, colour in COLOURS.items():
        shown = (rows["set"] == "demo") & (rows["method"] == method) & (rows["labels"] <= IMAGES)
        scores = rows[shown].groupby("labels")["score"]
        mean, error = scores.mean(), scores.sem()
        axes.plot(mean.index, mean, color=colour, label={"ours": "this order"}.get(method, method))
        axes.fill_between(mean.index, mean - error, mean + error, color=colour, alpha=0.15, linewidth=0)
    axes.axhline(LEVELS["demo"], color="black", linewidth=0.8, linestyle=":")
    axes.set(xlabel="labels", ylabel="balanced accuracy on other images", xlim=(BATCH, IMAGES))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    return figure


def main(cases: list[Case], seeds: int, results: Path, figure: Path | None) -> None:
    """Every set, method and seed; then the table, and the figure."""
    done = pd.read_csv(results) if results.is_file() else pd.DataFrame(columns=["set", "method", "seed"])
    for case in cases:
        for method in METHODS:
            for seed in range(seeds):
                if ((done["set"] == case.name) & (done["method"] == method) & (done["seed"] == seed)).any():
                    continue
                rows = pd.DataFrame(reviewed(case, method, seed), columns=["labels", "score"])
                rows = rows.assign(set=case.name, method=method, seed=seed)
                done = pd.concat([done, rows], ignore_index=True) if len(done) else rows
                done.to_csv(results, index=False)
        print(table(done[done["set"] == case.name]), flush=True)
    if figure:
        draw(done).savefig(figure, dpi=110)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", type=Path)
    parser.add_argument("--features", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--results", type=Path, default=Path("review_order.csv"), help="rows done so far; continued")
    parser.add_argument("--figure", type=Path)
    words = parser.parse_args()
    main(
        [of_project(words.project), *(of_file(words.features) if words.features else ())],
        words.seeds, words.results, words.figure,
    )  # fmt: skip
