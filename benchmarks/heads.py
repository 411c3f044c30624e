"""Which last layer tells new images apart best when there are few of each class: gradient descent, or a formula?

    python benchmarks/heads.py FEATURES.npz [--images 5 10 19 50] [--seeds 5] [--results FILE]

FEATURES.npz: frozen features that `benchmarks/strangers.py` keeps (of solar cells, textiles, Fashion-MNIST). Of each
set some images a class are for training, a fifth as many for validation, and all others are the test. Every method is
fitted as `nightshift train` does, with the parameters that are shipped; `auto` is what training would choose on the
validation images. Log loss has the temperature that was fitted to the validation images. The same command resumes.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.data.features import TrainingRows
from pipeline.data.prepared import Dataset, Split
from pipeline.evaluation.metrics import accuracy, mean_log_loss
from pipeline.model.engine import probabilities
from pipeline.params.file import load_params
from pipeline.training.calibration import fit_temperature
from pipeline.training.inputs import Data
from pipeline.training.recipe import fit_head, logits_of

SETS = ("solar", "textile", "fashion")
METHODS = ("linear", "ridge", "nearest_mean", "auto")
VAL_SHARE = 0.2  # of the training images, as many as params.yaml puts aside


def cut(labels: np.ndarray, images: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows for training, validation and test; so many training images of each class."""
    rng = np.random.default_rng(seed)
    of_val = max(1, round(VAL_SHARE * images))
    drawn = [rng.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    parts = [np.concatenate([rows[part] for rows in drawn]) for part in (slice(images), slice(images, images + of_val))]
    return parts[0], parts[1], np.setdiff1d(np.arange(len(labels)), np.concatenate(parts))


def compare(features: np.ndarray, labels: np.ndarray, images: int, seed: int) -> list[dict[str, object]]:
    """One row a method."""
    params = load_params()
    train, val, test = cut(labels, images, seed)
    names = tuple(str(label) for label in range(labels.max() + 1))
    dataset = Dataset(class_names=names, images=params.images, sha256="")
    splits = [Split(pd.DataFrame({"path": rows.astype(str)}), features[rows], labels[rows]) for rows in (train, val)]
    rows = TrainingRows(features[train], features[:0].reshape(0, len(train), features.shape[1]))
    data = Data(dataset, splits[0], splits[1], rows, features[val])
    found = []
    for method in METHODS:
        how = params.train.model_copy(update={"head": params.train.head.model_copy(update={"method": method})})
        fitted = fit_head(data, how, seed)
        answers = probabilities(
            logits_of(fitted.layer, features[test]), fit_temperature(fitted.val_logits, labels[val])
        )
        scores = {"accuracy": accuracy(labels[test], answers), "log_loss": mean_log_loss(labels[test], answers)}
        found.append({"images": images, "seed": seed, "method": method, "kept": fitted.method, **scores})
    return found


def main(file: Path, counts: list[int], seeds: int, results: Path) -> None:
    """Every set, number of images and seed; then means."""
    stored = np.load(file)
    done = pd.read_csv(results) if results.is_file() else pd.DataFrame(columns=["set", "images", "seed"])
    for seed in range(seeds):
        for images in counts:
            for name in SETS:
                if ((done["set"] == name) & (done["images"] == images) & (done["seed"] == seed)).any():
                    continue
                labels = np.unique(stored[f"{name} labels"], return_inverse=True)[1]
                rows = pd.DataFrame(compare(stored[name], labels, images, seed)).assign(set=name)
                done = pd.concat([done, rows], ignore_index=True)
                done.to_csv(results, index=False)
    chosen = done[done["images"].isin(counts) & (done["seed"] < seeds)]
    print(chosen.groupby(["set", "images", "method"], sort=False)[["accuracy", "log_loss"]].mean().round(3).unstack())
    print(chosen[chosen["method"] == "auto"].groupby(["set", "images"])["kept"].value_counts().unstack(fill_value=0))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", type=Path)
    parser.add_argument("--images", type=int, nargs="+", default=[5, 10, 19, 50], help="of each class, for training")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--results", type=Path, default=Path("heads.csv"), help="rows done so far; continued")
    words = parser.parse_args()
    main(words.features, words.images, words.seeds, words.results)
