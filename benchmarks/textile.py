"""Few labelled images: a published protocol on textiles, frozen features, and the heads that can be put on them.

    python -m benchmarks.textile [--seeds 20] [--networks efficientnet_lite0 ...] [--kept FOLDER]

The package conformal-clip-data (`pip install conformal-clip-data`, MIT) holds 2,000 simulated textiles of 250 pixels:
1,000 sound ones, 500 with a fault in one place, 500 with a fault everywhere. Its authors draw 50 sound and 50 faulty
ones (25 of each kind) as examples, as many more for calibration, as many more for the test, and call a textile faulty
where the most similar example is (cosine similarity of a frozen network's features; fmegahed/conformal_clip,
examples/benchmark_textile.py). They publish the accuracy on one such draw: 0.72 with EfficientNet-B0, 0.60 with
ResNet18; with isotonic calibration 0.78 and 0.73. Each seed draws other images: the same protocol, not the same split.

Heads: their own (`most similar`); the head of a training (`linear`; the calibration images decide when it stops);
ridge regression on the classes; the nearest class mean. The last two see no calibration image. Besides the two
classes, the same with all three. FOLDER keeps what the networks compute and each row that is done: the same command
resumes.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from sklearn.linear_model import RidgeClassifierCV
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.backbones import network_of, pixels_of, textile
from pipeline.backbones.efficientnet_lite import LITES, lite
from pipeline.data.prepared import Dataset, Split
from pipeline.model.nearest import unit
from pipeline.params.file import load_params
from pipeline.training.inputs import Data
from pipeline.training.recipe import fit_head, logits_of

PUBLISHED = {"EfficientNet-B0": (0.72, 0.78), "ResNet18": (0.60, 0.73)}  # accuracy, and with isotonic calibration
DRAWN = {"nominal": 50, "local": 25, "global": 25}  # images: of examples, of calibration, of the test
STRENGTHS = np.logspace(0, 6, 13)  # of ridge's penalty; leave-one-out chooses

Floats = NDArray[np.float32]
Labels = NDArray[np.str_]
# features and labels of examples, then of calibration images; features to answer; seed -> answers
Head = Callable[[Floats, Labels, Floats, Labels, Floats, int], Labels]


def most_similar(
    learnt: Floats, labels: Labels, _val: Floats, _val_labels: Labels, asked: Floats, _seed: int
) -> Labels:
    """The label of the most similar example: the publication's head."""
    head = KNeighborsClassifier(1, metric="cosine", algorithm="brute").fit(learnt, labels)
    return np.asarray(head.predict(asked))


def nearest_mean(
    learnt: Floats, labels: Labels, _val: Floats, _val_labels: Labels, asked: Floats, _seed: int
) -> Labels:
    """The nearest class mean, by cosine similarity of features of length 1."""
    names = np.unique(labels)
    means = np.stack([unit(learnt)[labels == name].mean(axis=0) for name in names])
    return np.asarray(names[(unit(asked) @ unit(means).T).argmax(axis=1)])


def ridge(learnt: Floats, labels: Labels, _val: Floats, _val_labels: Labels, asked: Floats, _seed: int) -> Labels:
    """Ridge regression on the classes, of standardised features."""
    head = make_pipeline(StandardScaler(), RidgeClassifierCV(STRENGTHS, class_weight="balanced"))
    return np.asarray(head.fit(learnt, labels).predict(asked))


def linear(learnt: Floats, labels: Labels, val: Floats, val_labels: Labels, asked: Floats, seed: int) -> Labels:
    """The head of `nightshift train`, with the values of params.yaml."""
    names = np.unique(labels)

    def split(features: Floats, of: Labels) -> Split:
        return Split(pd.DataFrame(index=range(len(of))), features, np.searchsorted(names, of))  # type: ignore[arg-type]

    dataset = Dataset(class_names=tuple(names), images=load_params().images, sha256="")
    data = Data(dataset, split(learnt, labels), split(val, val_labels), learnt, val)
    how = load_params().train
    how = how.model_copy(update={"head": how.head.model_copy(update={"method": "linear"})})
    return np.asarray(names[logits_of(fit_head(data, how, seed).layer, asked).argmax(axis=1)])


HEADS: dict[str, Head] = {
    "most similar": most_similar, "nearest mean": nearest_mean, "ridge": ridge, "linear": linear,
}  # fmt: skip


def drawn(labels: Labels, seed: int) -> tuple[NDArray[np.int64], ...]:
    """The numbers of the examples, of the calibration images and of the test images."""
    rng = np.random.default_rng(seed)
    parts = [np.split(rng.permutation(np.flatnonzero(labels == name))[: 3 * count], 3) for name, count in DRAWN.items()]
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))


def rows(features: Floats, labels: Labels, seed: int) -> Iterator[dict[str, object]]:
    """Each head's accuracy on the test images of one draw, of two classes and of three."""
    learnt, val, test = drawn(labels, seed)
    for classes, names in ((2, np.where(labels == "nominal", "sound", "faulty")), (3, labels)):
        for name, head in HEADS.items():
            answers = head(features[learnt], names[learnt], features[val], names[val], features[test], seed)
            yield {
                "classes": classes, "head": name, "seed": seed, "accuracy": accuracy_score(names[test], answers),
                "balanced": balanced_accuracy_score(names[test], answers),
            }  # fmt: skip


def features_of(name: str, kept: Path | None) -> tuple[Floats, Labels]:
    """The frozen network's features of all images, at the size that it learnt from, and their labels."""
    file = kept / f"{name}.npz" if kept else None
    if file and file.is_file():
        found = np.load(file)
        return found["features"], found["labels"]
    data, side = textile(), LITES[name].side
    features = network_of(lite(name, (side, side, 3), "package"))(pixels_of(data.files, side))
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, features=features, labels=data.labels)
    return features, data.labels


def interval(values: "pd.Series[float]") -> str:
    """Mean, the 95 % interval of the mean (Student), least and most of one draw."""
    half = stats.t.ppf(0.975, len(values) - 1) * values.sem()
    mean = values.mean()
    return f"{mean:.3f} [{mean - half:.3f}, {mean + half:.3f}], draws {values.min():.2f} to {values.max():.2f}"


def main(seeds: int, networks: list[str], kept: Path | None) -> None:
    """Every network, every draw, then means."""
    table = kept / "rows.csv" if kept else None
    done = pd.read_csv(table) if table and table.is_file() else pd.DataFrame(columns=["network", "seed"])
    for name in networks:
        features, labels = features_of(name, kept)
        for seed in range(seeds):
            if ((done["network"] == name) & (done["seed"] == seed)).any():
                continue
            new = pd.DataFrame([{"network": name, **row} for row in rows(features, labels, seed)])
            done = new if done.empty else pd.concat([done, new])
            if table:
                done.to_csv(table, index=False)
    asked = done[done["network"].isin(networks) & (done["seed"] < seeds)]
    for classes in (2, 3):
        print(f"{classes} classes, {seeds} draws")
        for (name, head), part in asked[asked["classes"] == classes].groupby(["network", "head"], sort=False):
            print(f"  {name} {head:13s} {interval(part['accuracy'])}; balanced {part['balanced'].mean():.3f}")
    print("published, 2 classes, one draw:", *(f"{name} {plain} ({iso})" for name, (plain, iso) in PUBLISHED.items()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--networks", nargs="+", choices=LITES, default=list(LITES))
    parser.add_argument("--kept", type=Path)
    words = parser.parse_args()
    main(words.seeds, words.networks, words.kept)
