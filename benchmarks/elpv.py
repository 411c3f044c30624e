"""The published benchmark of the demo set: 2,624 solar cells, a quarter for the test, over several random splits.

    python benchmarks/elpv.py [--seeds 5] [--models cnn frozen fine_tuned shipped]
        [--backbones efficientnet_lite0 efficientnet_lite1 efficientnet_lite2] [--results FILE]

frozen      features of the frozen backbone and the head; `fine_tuned` adds fine-tuning, both by RECIPE
shipped     params.yaml as it is, at the size that the backbone learnt from
cnn         the tutorial's network, from scratch

Protocol: Deitsch et al., Automatic classification of defective photovoltaic module cells in electroluminescence
images, 2019: 75 % training, 25 % test, stratified by label and cell type, `defective` from a defect probability of 0.5
on. Their convolutional network reaches 88.42 % accuracy, their SVM 82.44 %. A tenth of the training part is the
validation part: it alone decides when to stop. No choice uses the test part.

Such a split is random, so both halves hold cells photographed twice: the figures compare with the publication's, and
not with those of `nightshift train`, which keeps each scene in one split. With --results the same command resumes an
interrupted benchmark. On a CPU, fine-tuning takes minutes per seed.
"""

import argparse
import gc
import time
from importlib import resources
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from sklearn.model_selection import train_test_split

from pipeline.backbones.efficientnet_lite import LITES
from pipeline.backbones.weights import is_pretrained
from pipeline.data.features import TrainingRows
from pipeline.data.prepared import Dataset, Split
from pipeline.embed import view
from pipeline.evaluation.metrics import accuracy, balanced_accuracy
from pipeline.images.decode import decode
from pipeline.model.device import prepare_device
from pipeline.model.engine import probabilities
from pipeline.model.frozen import embed, frozen_network
from pipeline.params.data import Images
from pipeline.params.file import Params, load_params
from pipeline.sources.demo import DEFECT_CUT
from pipeline.training.batches import Examples
from pipeline.training.fitting import make_judge
from pipeline.training.inputs import Data
from pipeline.training.outcome import JUDGED_AT_ONCE
from pipeline.training.recipe import train

PUBLISHED = 0.8842  # accuracy of the publication's network
TEST_SHARE, VAL_SHARE = 0.25, 0.1  # of all; of the training part
MODELS = ("frozen", "fine_tuned", "shipped", "cnn")
METRICS = {"accuracy": accuracy, "balanced_accuracy": balanced_accuracy}
# Differences from params.yaml, chosen on validation images of the first split's training part.
RECIPE: dict[str, dict[str, object]] = {
    "images": {"width": 300, "height": 300},  # their original size; only for `fine_tuned`
    "train": {"class_weights": "none", "soft_labels": {"defective": "defect_probability"}, "label_smoothing": 0.05},
    "fine_tune": {
        "steps": 560, "patience": 10, "learning_rate": 3e-4, "weight_decay": 0.02, "layer_decay": 0.06, "frozen": 0.31,
        "ema": 0.99, "clip_norm": 1.0,
    },
}  # fmt: skip


def read_cells(rules: Images) -> tuple[pd.DataFrame, NDArray[np.uint8]]:
    """The table of all cells (path, label, cell_type, defect_probability), and their pixels, (n, height, width, 3)."""
    with resources.as_file(resources.files("elpv_dataset") / "data") as folder:
        columns = ["path", "defect_probability", "cell_type"]
        cells = pd.read_csv(folder / "labels.csv", sep=r"\s+", names=columns)
        pixels = [decode((folder / path).read_bytes(), rules).pixels for path in cells["path"]]
    defective = cells["defect_probability"].ge(DEFECT_CUT)
    cells = cells.assign(cluster=range(len(cells)))  # which of them show one scene is not known here
    return cells.assign(label=defective.map({True: "defective", False: "functional"})), np.stack(pixels)


def splits_of(cells: pd.DataFrame, pixels: NDArray[np.uint8], classes: tuple[str, ...], seed: int) -> tuple[Split, ...]:
    """Training, validation and test."""
    strata, labels = cells["label"] + cells["cell_type"], cells["label"].map(classes.index).to_numpy(np.int64)
    rest, test = train_test_split(np.arange(len(cells)), test_size=TEST_SHARE, stratify=strata, random_state=seed)
    learnt, val = train_test_split(rest, test_size=VAL_SHARE, stratify=strata[rest], random_state=seed)
    return tuple(Split(cells.iloc[rows], pixels[rows], labels[rows]) for rows in (learnt, val, test))


def params_of(params: Params, model: str, backbone: str, seed: int) -> Params:
    """The parameters for one of the models."""
    side = LITES[backbone].side if backbone in LITES else params.images.width
    images: dict[str, object] = {"width": side, "height": side}
    network = {"backbone": backbone, "weights": "package" if backbone in LITES else "none"}
    how = params.train
    if model != "shipped":
        fine_tune = how.fine_tune.model_copy(update=RECIPE["fine_tune"])
        if model == "frozen":
            fine_tune = fine_tune.model_copy(update={"steps": 0})
        how = how.model_copy(update={**RECIPE["train"], "fine_tune": fine_tune})
    if model == "fine_tuned":
        images = RECIPE["images"]
    return params.model_copy(
        update={
            "seed": seed,
            "train": how,
            "model": params.model.model_copy(update=network),
            "images": params.images.model_copy(update=images),
        }
    )


def run(params: Params) -> dict[str, float]:
    """Train on one split; the metrics on its test part, and the seconds it took."""
    start = time.perf_counter()
    dataset = Dataset(class_names=("defective", "functional"), images=params.images, sha256="")
    learnt, val, test = splits_of(*read_cells(params.images), dataset.class_names, params.seed)
    rows = of_val = None
    if is_pretrained(params.model):
        network = frozen_network(params)
        changes = [view(params.augment, params.seed, number) for number in range(params.embed.views)]

        def features(images: NDArray[np.uint8], change: object = None) -> NDArray[np.float32]:
            return np.concatenate(list(embed(network, images, lambda done: None, change)))

        images = features(learnt.images)
        views = np.stack([features(learnt.images, change) for change in changes]) if changes else images[:0, None]
        rows, of_val = TrainingRows(images, views.reshape(len(changes), *images.shape)), features(val.images)
    data = Data(dataset, learnt, val, rows, of_val)
    model = train(params, data, prepare_device(params.compute, params.seed)).model
    logits = make_judge(model, JUDGED_AT_ONCE)(Examples(test.images, test.labels))
    answers = probabilities(logits, 1.0)
    scores = {name: metric(test.labels, answers) for name, metric in METRICS.items()}
    keras.backend.clear_session()
    gc.collect()
    return {**scores, "seconds": time.perf_counter() - start}


def summary(values: pd.Series) -> str:
    """Mean, standard deviation, and two 95 % intervals of the mean: plain, and for splits that overlap."""
    count, spread, mean = len(values), values.std(ddof=1), values.mean()
    quantile = stats.t.ppf(0.975, count - 1)
    plain = quantile * spread / np.sqrt(count)
    # Nadeau and Bengio, Inference for the generalization error, 2003: random splits share most of their images.
    corrected = quantile * spread * np.sqrt(1 / count + TEST_SHARE / (1 - TEST_SHARE))
    return (
        f"{mean:.4f} (sd {spread:.4f}), 95 % interval of the mean [{mean - plain:.4f}, {mean + plain:.4f}], "
        f"corrected for overlapping splits [{mean - corrected:.4f}, {mean + corrected:.4f}]"
    )


def main(seeds: int, models: list[str], backbones: list[str], results: Path) -> None:
    """Every model with every backbone on every split, then means."""
    done = pd.read_csv(results) if results.is_file() else pd.DataFrame(columns=["model", "backbone", "seed"])
    params = load_params()
    tried = [(model, "cnn") if model == "cnn" else (model, name) for model in models for name in backbones]
    tried = list(dict.fromkeys(tried))
    for seed in range(seeds):
        for model, backbone in tried:
            if ((done["model"] == model) & (done["backbone"] == backbone) & (done["seed"] == seed)).any():
                continue
            scores = run(params_of(params, model, backbone, seed))
            row = {"model": model, "backbone": backbone, "seed": seed, **scores}
            print(row, flush=True)
            done = pd.concat([done, pd.DataFrame([row])], ignore_index=True)
            done.to_csv(results, index=False)
    for model, backbone in tried:
        found = done[(done["model"] == model) & (done["backbone"] == backbone) & (done["seed"] < seeds)]
        print(
            f"{model} {backbone}: {len(found)} seeds, {found['seconds'].mean():.0f} s each "
            f"(accuracy published: {PUBLISHED})"
        )
        for metric in METRICS:
            print(f"  {metric.replace('_', ' ')} {summary(found[metric])}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--backbones", nargs="+", choices=sorted(LITES), default=["efficientnet_lite0"])
    parser.add_argument("--results", type=Path, default=Path("elpv.csv"), help="rows done so far; continued")
    words = parser.parse_args()
    main(words.seeds, words.models, words.backbones, words.results)
