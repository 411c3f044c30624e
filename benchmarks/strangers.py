"""Which score finds images unlike the training images: AUROC, and the share of them called `ok` at 5 % false alarms.

    python benchmarks/strangers.py PHOTOS FASHION TEXTILE [FEATURES.npz]

PHOTOS: a folder of photographs, strangers to every model; FASHION: the folder of Debian's dataset-fashion-mnist;
TEXTILE: a folder of class folders (data/textile_images/simulated of the package conformal-clip-data). The third set
is the demo, solar cells. FEATURES keeps what the network computes, for the next run. Each round is printed when it is
done; about nine minutes of processor time.

A model is a logistic head on the frozen features of efficientnet_lite0. Far: the photographs and the other two sets.
Near: a class (solar cells: the other type of cell) that is left out of training. Damaged: own images that were not
trained on, heavily blurred, under noise, nearly black; and pages of text. Limits come from 15 % of the images
(validation), AUROC from 15 % more (test).
"""

import gzip
import sys
import warnings
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.special import logsumexp, softmax
from sklearn.covariance import LedoitWolf
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from pipeline.images.decode import decode
from pipeline.model.false_alarms import limit
from pipeline.model.frozen import embed, frozen_network
from pipeline.model.nearest import unit
from pipeline.params.file import load_params

SEEDS, ALARMS, SIDE = 3, 0.05, 224
A_CLASS = 300  # images of Fashion-MNIST
SPOILT = 200  # images of each set
PAGES = 40
PRINCIPAL = 512  # dimensions of ViM's principal space, as its authors take for up to 1,500

Floats = NDArray[np.float64]
Scoring = Callable[[Floats, Floats], Floats]  # features (n, d), logits (n, classes) -> scores (n,), strangers' larger


def photographs(folder: Path) -> Iterator[tuple[NDArray[np.uint8], str]]:
    """Pixels and class (the folder's name) of every image below `folder`."""
    rules = load_params().images
    for file in sorted(file for file in folder.rglob("*") if file.suffix.lower() in (".jpg", ".png", ".jpeg")):
        yield decode(file.read_bytes(), rules).pixels, file.parent.name


def fashion(folder: Path) -> Iterator[tuple[NDArray[np.uint8], str]]:
    """A_CLASS images of each class."""
    with gzip.open(folder / "train-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(folder / "train-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    for label in range(10):
        for image in images[labels == label][:A_CLASS]:
            grey = Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            yield np.asarray(grey.convert("RGB")), str(label)


def solar() -> Iterator[tuple[NDArray[np.uint8], str]]:
    """The demo; the class is `functional` or `defective`, then the type of the cell."""
    rules = load_params().images
    with resources.as_file(resources.files("elpv_dataset") / "data") as folder:
        cells = pd.read_csv(folder / "labels.csv", sep=r"\s+", names=["file", "defect", "type"])
        for row in cells.itertuples():
            label = "defective" if float(str(row.defect)) >= 0.5 else "functional"
            yield decode((folder / str(row.file)).read_bytes(), rules).pixels, f"{label} {row.type}"


def spoilt(pixels: NDArray[np.uint8], rng: np.random.Generator) -> dict[str, NDArray[np.uint8]]:
    """The image beyond recognition, in three ways."""
    noisy = pixels / 255 + rng.normal(0, 0.6, pixels.shape)
    return {
        "blurred": np.asarray(cv2.GaussianBlur(pixels, (0, 0), 16), np.uint8),
        "noisy": np.asarray(np.clip(noisy, 0, 1) * 255, np.uint8),
        "black": np.asarray(pixels * 0.03, np.uint8),
    }


def page(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A page of text."""
    picture = Image.new("RGB", (SIDE, SIDE), "white")
    draw = ImageDraw.Draw(picture)
    for line in range(int(rng.integers(8, 18))):
        words = " ".join("".join(rng.choice([*"abcdefghilmnoprstu"], rng.integers(2, 9))) for _ in range(8))
        draw.text((8, 6 + 12 * line), words, fill="black")
    return np.asarray(picture)


def all_features(photos: Path, fashion_folder: Path, textile: Path) -> dict[str, NDArray[np.generic]]:
    """The features and classes of every set, and the features of spoilt images; `at` says of which ones."""
    network, found = frozen_network(load_params()), {}
    rng = np.random.default_rng(0)

    def features(images: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        return np.concatenate([*embed(network, np.stack(images), lambda _: None)])

    sets = {"photos": photographs(photos), "fashion": fashion(fashion_folder), "textile": photographs(textile)}
    for name, pairs in {**sets, "solar": solar()}.items():
        images, labels = zip(*pairs, strict=True)
        print(f"{name}: {len(images)} images", file=sys.stderr)
        found[name], found[f"{name} labels"] = features(list(images)), np.array(labels)
        at = np.sort(rng.permutation(len(images))[:SPOILT])
        ways = [spoilt(images[row], rng) for row in at]
        found |= {f"{name} {way}": features([one[way] for one in ways]) for way in ways[0]} | {f"{name} at": at}
    return found | {"pages": features([page(rng) for _ in range(PAGES)])}


def knn(train: Floats, _labels: NDArray[np.int64], _head: LogisticRegression) -> Scoring:
    """Mean cosine distance to the ten nearest (Sun et al., 2022): what Nightshift uses."""
    known = unit(train)
    return lambda features, _: (
        1 - np.partition(unit(features) @ known.T, -10, axis=1)[:, -10:].mean(axis=1).astype(np.float64)
    )


def kth(train: Floats, _labels: NDArray[np.int64], _head: LogisticRegression) -> Scoring:
    """Cosine distance to the nearest one."""
    known = unit(train)
    return lambda features, _: 1 - (unit(features) @ known.T).max(axis=1).astype(np.float64)


def tied(train: Floats, labels: NDArray[np.int64], _head: LogisticRegression) -> Scoring:
    """Mahalanobis distance to the nearest class mean, one covariance for all classes (Lee et al., 2018), shrunk."""
    means = np.stack([train[labels == label].mean(axis=0) for label in np.unique(labels)])
    inverse, _ = _inverse(LedoitWolf(assume_centered=True, store_precision=False).fit(train - means[labels]))
    return lambda features, _: np.min([_squared(features - mean, inverse) for mean in means], axis=0)


def of_each(train: Floats, labels: NDArray[np.int64], _head: LogisticRegression) -> Scoring:
    """The same with a covariance of each class, in logarithmic likelihood."""
    parts = []
    for label in np.unique(labels):
        fitted = LedoitWolf(store_precision=False).fit(train[labels == label])
        parts.append((fitted.location_, *_inverse(fitted)))
    return lambda features, _: np.min(
        [_squared(features - mean, inverse) + spread for mean, inverse, spread in parts], axis=0
    )


def unit_tied(train: Floats, labels: NDArray[np.int64], head: LogisticRegression) -> Scoring:
    """`tied` on features of length 1."""
    score = tied(unit(train).astype(np.float64), labels, head)
    return lambda features, logits: score(unit(features).astype(np.float64), logits)


def _inverse(fitted: LedoitWolf) -> tuple[Floats, float]:
    """The inverse of a covariance, and the logarithm of its determinant; scikit-learn's own takes ten times as long."""
    return np.linalg.inv(fitted.covariance_), float(np.linalg.slogdet(fitted.covariance_)[1])


def _squared(offsets: Floats, inverse: Floats) -> Floats:
    return np.asarray(np.einsum("ij,ij->i", offsets @ inverse, offsets))


def vim(train: Floats, _labels: NDArray[np.int64], head: LogisticRegression) -> Scoring:
    """Residual outside the principal space, as a logit beside the others (Wang et al., ViM, 2022)."""
    weights, bias = np.atleast_2d(head.coef_), np.atleast_1d(head.intercept_)
    if len(weights) == 1:
        weights, bias = np.stack([-weights[0], weights[0]]) / 2, np.stack([-bias[0], bias[0]]) / 2
    origin = -np.linalg.pinv(weights) @ bias
    _, vectors = np.linalg.eigh((train - origin).T @ (train - origin))
    rest = vectors[:, : -min(PRINCIPAL, len(train) // 2)]
    logits = train @ weights.T + bias
    scale = logits.max(axis=1).sum() / np.linalg.norm((train - origin) @ rest, axis=1).sum()
    return lambda features, logits: (
        scale * np.linalg.norm((features - origin) @ rest, axis=1) - logsumexp(logits, axis=1)
    )


def energy(*_: object) -> Scoring:
    """Liu et al., 2020."""
    return lambda _, logits: -logsumexp(logits, axis=1)


def max_softmax(*_: object) -> Scoring:
    """Hendrycks and Gimpel, 2017."""
    return lambda _, logits: -softmax(logits, axis=1).max(axis=1)


SCORES = {
    "kNN, mean of 10": knn, "kNN, nearest": kth, "Mahalanobis, tied": tied, "the same, length 1": unit_tied,
    "Mahalanobis, each class": of_each, "ViM": vim, "energy": energy, "max softmax": max_softmax,
}  # fmt: skip
SUMS = {  # of scores in standard deviations of the validation images'
    "kNN + Mahalanobis": ("kNN, mean of 10", "Mahalanobis, tied"),
    "kNN + ViM": ("kNN, mean of 10", "ViM"),
    "kNN + energy": ("kNN, mean of 10", "energy"),
    "kNN + max softmax": ("kNN, mean of 10", "max softmax"),
}


def logits_of(head: LogisticRegression, features: Floats) -> Floats:
    """Logits (n, classes), of two classes too."""
    values = head.decision_function(features)
    return np.stack([-values, values], axis=1) / 2 if values.ndim == 1 else np.asarray(values)


def judged(
    features: NDArray[np.float32], names: NDArray[np.str_], strangers: dict[str, NDArray[np.float32]], seed: int
) -> Iterator[dict[str, object]]:
    """For each score and group of strangers the AUROC and share called `ok`, of a model of `features`."""
    labels = np.unique(names, return_inverse=True)[1]
    order = np.random.default_rng(seed).permutation(len(labels))
    val, test, train = np.split(order, [round(0.15 * len(order)), round(0.3 * len(order))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 60 steps are enough for a head
        head = LogisticRegression(C=0.1, max_iter=60).fit(features[train], labels[train])
    kinds = {"val": features[val], "test": features[test], **strangers}
    doubles = {name: part.astype(np.float64) for name, part in kinds.items() if len(part)}
    logits = {name: logits_of(head, part) for name, part in doubles.items()}
    found: dict[str, dict[str, Floats]] = {}
    for name, make in SCORES.items():
        score = make(features[train].astype(np.float64), labels[train], head)
        found[name] = {kind: np.asarray(score(part, logits[kind])) for kind, part in doubles.items()}
    for name, both in SUMS.items():
        spread = [(found[one]["val"].mean(), found[one]["val"].std()) for one in both]
        found[name] = {
            kind: sum(
                (found[one][kind] - mean) / deviation for one, (mean, deviation) in zip(both, spread, strict=True)
            )
            for kind in doubles
        }
    print(f"seed {seed}: {', '.join(strangers)}", file=sys.stderr)
    for name, scores in found.items():
        above, _ = limit(scores["val"], ALARMS)
        alarms = float((scores["test"] > above).mean())
        for kind in sorted(scores.keys() - {"val", "test"}):
            truth = np.repeat([0, 1], [len(scores["test"]), len(scores[kind])])
            area = roc_auc_score(truth, np.concatenate([scores["test"], scores[kind]]))
            yield {"score": name, "kind": kind, "auroc": area, "ok": float((scores[kind] <= above).mean()),
                   "alarms": alarms, "seed": seed}  # fmt: skip


def rounds(found: dict[str, NDArray[np.generic]]) -> Iterator[dict[str, object]]:
    """Every set, every seed: far, damaged, near."""
    for own in ("solar", "textile", "fashion"):
        features, names = found[own], found[f"{own} labels"]
        others = {f"far: {name}": found[name] for name in ("photos", "solar", "textile", "fashion") if name != own}
        plain = np.char.partition(names, " ")[:, 0] if own == "solar" else names
        for seed in range(SEEDS):
            order = np.random.default_rng(seed).permutation(len(names))
            unseen = np.isin(found[f"{own} at"], order[: round(0.3 * len(order))])
            damaged = {f"damaged: {way}": found[f"{own} {way}"][unseen] for way in ("blurred", "noisy", "black")}
            for row in judged(features, plain, others | damaged | {"damaged: pages": found["pages"]}, seed):
                yield {"set": own, **row}
            if own == "solar":
                out = np.char.endswith(names, ("mono", "poly")[seed % 2])
            else:
                kinds = np.unique(names)
                out = names == kinds[seed % len(kinds)]
            for row in judged(features[~out], plain[~out], {"near": features[out]}, seed):
                yield {"set": own, **row}


def main(photos: str, fashion_folder: str, textile: str, kept: str = "") -> None:
    """The table."""
    if kept and Path(kept).is_file():
        found = dict(np.load(kept))
    else:
        found = all_features(Path(photos), Path(fashion_folder), Path(textile))
        if kept:
            np.savez(kept, **found)
    table = pd.DataFrame(rounds(found))
    table["group"] = table["kind"].str.partition(":")[0]
    pd.set_option("display.width", 200)
    for what, digits in (("auroc", 3), ("ok", 3)):
        means = table.groupby(["score", "set", "group"], sort=False)[what].mean().unstack(["set", "group"])
        print(f"\n{what}, mean of {SEEDS} seeds\n{means.round(digits).to_string()}")
    worst = table.groupby(["score", "set", "kind"], sort=False)["ok"].mean().unstack("score")
    print(f"\nok, by kind\n{worst.round(3).to_string()}")
    print(f"\nfalse alarms\n{table.groupby('score', sort=False)['alarms'].agg(['mean', 'min', 'max']).round(3)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
