"""What fine-tuning adds to the head on small sets, and whether the few validation images choose right between the two.

    python -m benchmarks.fine_tuning [--sets demo textile fashion] [--images 60 245 1000] [--seeds 3]
        [--recipes shipped before] [--side 96] [--results FILE] [--fashion FOLDER]

The sets of benchmarks/backbones.py, of which so many images are for training, 15 for validation to each 70 (as in
params.yaml), and 900 others for the test, which no choice looks at. The images are smaller than those of a night, so
that a step takes a fifth of a second on two cores: recipes are compared, not networks. Accuracy and log loss on the
test, with the temperature fitted to validation images: of the head alone, of the fine-tuned network, of the one that
training keeps, and after the last step. The same command resumes.
"""

import argparse
import gc
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from benchmarks import backbones
from pipeline.backbones.build import build_backbone
from pipeline.data.features import TrainingRows
from pipeline.data.prepared import Dataset, Split
from pipeline.evaluation.metrics import accuracy, mean_log_loss
from pipeline.model.device import prepare_device
from pipeline.model.engine import probabilities
from pipeline.model.frozen import embed, frozen_network
from pipeline.params.file import Params, load_params
from pipeline.training.batches import Examples
from pipeline.training.calibration import fit_temperature
from pipeline.training.choice import difference
from pipeline.training.fitting import make_judge
from pipeline.training.inputs import Data
from pipeline.training.optimiser import freeze
from pipeline.training.recipe import assemble, fit_head, fit_images

VAL_SHARE, TESTED = 15 / 70, 900
RECIPES: dict[str, dict[str, object]] = {  # differences from params.yaml: of train.fine_tune
    "shipped": {},
    "before": {"learning_rate": 1e-4, "layer_decay": 1.0},  # the rates until fine-tuning was counted in steps
    "fast": {"learning_rate": 1e-3, "layer_decay": 0.1},
    "medium": {"learning_rate": 3e-4, "layer_decay": 0.1},
    "longer": {"steps": 400},
    "third": {"frozen": 0.3},  # a step takes two thirds of the time
    "frozen": {"frozen": 0.6},  # half
}


def read(name: str, side: int, fashion: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (n, side, side, 3) and labels (n,) of a set."""
    found = {"demo": backbones.demo, "textile": backbones.textile, "fashion": lambda: backbones.fashion(fashion)}[
        name
    ]()
    return backbones.pixels_of(found.files, side), np.unique(found.labels, return_inverse=True)[1]


def data_of(pixels: np.ndarray, labels: np.ndarray, images: int, params: Params) -> tuple[Data, Split]:
    """So many training images, with validation images and features; and the test part."""
    of_val = max(labels.max() + 1, round(VAL_SHARE * images))
    rest, test = train_test_split(np.arange(len(labels)), test_size=TESTED, stratify=labels, random_state=params.seed)
    used, _ = train_test_split(rest, train_size=images + of_val, stratify=labels[rest], random_state=params.seed)
    train, val = train_test_split(used, test_size=of_val, stratify=labels[used], random_state=params.seed)
    tables = [pd.DataFrame({"path": rows.astype(str), "cluster": rows}) for rows in (train, val, test)]
    parts = [Split(table, pixels[rows], labels[rows]) for table, rows in zip(tables, (train, val, test), strict=True)]
    network = frozen_network(params)
    features = [np.concatenate(list(embed(network, part.images, lambda done: None))) for part in parts[:2]]
    rows = TrainingRows(features[0], np.empty((0, *features[0].shape), np.float32))
    names = tuple(str(label) for label in range(labels.max() + 1))
    return Data(Dataset(class_names=names, images=params.images, sha256=""), *parts[:2], rows, features[1]), parts[2]


def compare(data: Data, test: Split, params: Params) -> dict[str, object]:
    """The scores of head and fine-tuned network on the test part."""
    strategy, how = prepare_device(params.compute, params.seed), params.train.fine_tune
    labels, examples = data.val.labels, Examples(test.images, test.labels)
    backbone = build_backbone(params.model, params.images)
    head = fit_head(data, params.train, params.seed)
    with strategy.scope():
        model = assemble(backbone, head.layer, how.dropout, params.seed)
    freeze(backbone, how)
    judge = make_judge(model, how.batch_size)
    of_head = judge(examples)
    found: dict[str, object] = {"head_method": head.method, **scores("head", of_head, test, head.val_logits, labels)}
    last: list[np.ndarray] = []

    def keep(phase: str, row: dict[str, float]) -> None:
        last[:] = [judge(examples), judge(Examples(data.val.images, labels))]

    curves = fit_images(model, data, params, "fine_tune", on_epoch=keep)
    tuned, of_val = judge(examples), judge(Examples(data.val.images, labels))
    change = difference(of_val, head.val_logits, labels, np.arange(len(labels)), params.train.monitor)
    found |= {"steps": curves["steps"].max(), **scores("tuned", tuned, test, of_val, labels)}
    found |= scores("last", last[0], test, last[1], labels) | {"change": change.mean, "error": change.error}
    kept = "head" if change.is_clearly_worse else "tuned"
    return found | {"kept": kept, "kept_accuracy": found[f"{kept}_accuracy"], "kept_loss": found[f"{kept}_loss"]}


def scores(
    name: str, logits: np.ndarray, test: Split, val_logits: np.ndarray, val_labels: np.ndarray
) -> dict[str, float]:
    """Accuracy and log loss on the test part."""
    answers = probabilities(logits, fit_temperature(val_logits, val_labels))
    return {f"{name}_accuracy": accuracy(test.labels, answers), f"{name}_loss": mean_log_loss(test.labels, answers)}


def main(words: argparse.Namespace) -> None:
    """Every recipe on every set, size and seed; then means."""
    keys = ["set", "images", "seed", "recipe"]
    done = pd.read_csv(words.results) if words.results.is_file() else pd.DataFrame(columns=keys)
    for seed in range(words.seeds):
        for images in words.images:
            for name in words.sets:
                for recipe in words.recipes:
                    if (done[keys] == [name, images, seed, recipe]).all(axis=1).any():
                        continue
                    params = load_params()
                    size = {"width": words.side, "height": words.side}
                    tune = params.train.fine_tune.model_copy(update=RECIPES[recipe])
                    learning = params.train.model_copy(update={"fine_tune": tune})
                    rules = params.images.model_copy(update=size)
                    params = params.model_copy(update={"seed": seed, "images": rules, "train": learning})
                    data, test = data_of(*read(name, words.side, words.fashion), images, params)
                    row = {"set": name, "images": images, "seed": seed, "recipe": recipe}
                    done = pd.concat([done, pd.DataFrame([row | compare(data, test, params)])], ignore_index=True)
                    done.to_csv(words.results, index=False)
                    print(done.iloc[-1].to_dict(), flush=True)
                    keras.backend.clear_session()
                    gc.collect()
    columns = [f"{part}_{metric}" for metric in ("accuracy", "loss") for part in ("head", "tuned", "last", "kept")]
    print(done.groupby(["images", "set", "recipe"])[columns].mean().round(3).to_string())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=["demo", "textile", "fashion"])
    parser.add_argument("--images", type=int, nargs="+", default=[60, 245, 1000])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--recipes", nargs="+", choices=sorted(RECIPES), default=["shipped"])
    parser.add_argument("--side", type=int, default=96)
    parser.add_argument("--fashion", type=Path, default=backbones.FASHION, help="folder of Debian's package")
    parser.add_argument("--results", type=Path, default=Path("fine_tuning.csv"), help="rows done so far; continued")
    main(parser.parse_args())
