"""The head on frozen features, then the whole network; then what validation says of it. Never reads the test split."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from keras import layers
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_class_weight

from pipeline.backbones.build import build_backbone
from pipeline.core.code import code_of, versions_of
from pipeline.core.command import run
from pipeline.core.log import log
from pipeline.core.paths import (
    AUGMENTED_FIGURE,
    CHECKPOINTS,
    CURVES,
    CURVES_FIGURE,
    FEATURES,
    MODEL,
    PREPARED,
    TRAINING_METRICS,
)
from pipeline.data.features import Features, TrainingRows, read_features, read_training_rows
from pipeline.data.prepared import Dataset, Split, read_dataset, read_split
from pipeline.model.answers import in_batches, judged_of
from pipeline.model.contract import KERAS, OPENVINO, Contract, weights_sha256, write_contract
from pipeline.model.device import prepare_device, writes_files
from pipeline.model.engine import Judging, Numbers, has_bfloat16, load_judging, on_gpu, probabilities
from pipeline.model.export import compute_in_float32, export_openvino
from pipeline.model.reference import Judged, Reference, make_reference, sampled, write_reference
from pipeline.params.file import Params, load_params
from pipeline.params.model import Augment, Fit, Monitor, Train
from pipeline.registry.live import live_run
from pipeline.storage.files import replacing, sha256, sha256_of_file, write_json
from pipeline.training.augment import augmentation, draw_augmented, mixing
from pipeline.training.calibration import HELD, Calibration, answers_hold, calibrate
from pipeline.training.checkpoints import Checkpoints, training
from pipeline.training.curves import write_curves
from pipeline.training.fitting import Change, Examples, OnEpoch, Task, as_table, best_epoch, fit, is_better
from pipeline.training.optimiser import build_optimiser, freeze, warm_up_and_cosine
from pipeline.training.targets import soft_targets
from pipeline.versions.dvc import git_commit

LOGITS = "logits"  # the last layer's name
CLASSIFIER = "classifier"  # the network's: Keras' own count what was built before, and stand in the exported file
JUDGED_AT_ONCE = 32  # images
IRRELEVANT = {"evaluate", "register_", "batch", "tune"}  # the parts of params.yaml that come after
READING = "workers"  # and the one that changes no result


@dataclass(frozen=True, slots=True)
class Data:
    """Training and validation images of one dataset, and what the frozen backbone makes of them."""

    dataset: Dataset
    train: Split
    val: Split
    train_features: Features | TrainingRows | None = None  # None: trained from scratch
    val_features: Features | None = None


@dataclass(frozen=True, slots=True)
class Trained:
    """A fitted network, images in and logits out, and how it came about."""

    model: keras.Model
    curves: pd.DataFrame  # one row an epoch of every phase
    kept: dict[str, float]  # the row of the epoch whose weights `model` has
    is_frozen: bool  # the backbone is as it came: the features that were computed with it are this network's


def class_weights(labels: NDArray[np.int64], classes: int, how: str) -> NDArray[np.float32]:
    """How much each class counts, (classes,); `balanced`: the rarer, the more, by n / (classes * n of the class)."""
    found = compute_class_weight("balanced" if how == "balanced" else None, classes=np.arange(classes), y=labels)
    return np.asarray(found, np.float32)


def targets_of(data: Data, how: Train) -> NDArray[np.float32]:
    """What the network is to answer for the training images, (n, classes)."""
    return soft_targets(data.train, data.dataset.class_names, how.soft_labels)


def head(classes: int) -> layers.Dense:
    """The last layer: logits, kept in float32 under mixed precision."""
    return layers.Dense(classes, dtype="float32", name=LOGITS)


def fit_head(
    data: Data, how: Train, seed: int, checkpoints: Checkpoints | None = None, on_epoch: OnEpoch | None = None
) -> tuple[layers.Dense, pd.DataFrame]:
    """A linear layer on the frozen features, and one row an epoch; to be called in the strategy's scope."""
    keras.utils.set_random_seed(seed)  # else the result would depend on what was built before
    assert data.train_features is not None  # noqa: S101 - whoever calls has them
    assert data.val_features is not None  # noqa: S101
    rows = data.train_features
    classes = len(data.dataset.class_names)
    inputs = keras.Input(rows.shape[1:])
    layer = head(classes)
    model = keras.Model(inputs, layer(layers.Dropout(how.head.dropout, seed=seed)(inputs)))
    optimiser = build_optimiser(model, how.head, how.head.learning_rate)
    task = Task(
        phase="head",
        train=Examples(rows, np.tile(data.train.labels, len(rows) // len(data.train.labels))),  # the views' follow
        val=Examples(data.val_features, data.val.labels),
        targets=np.tile(targets_of(data, how), (len(rows) // len(data.train.labels), 1)),
        class_weights=class_weights(data.train.labels, classes, how.class_weights),
        seed=seed,
    )
    return layer, as_table(fit(model, optimiser, task, how.head, how, checkpoints, on_epoch), "head")


def assemble(backbone: keras.Model, layer: layers.Dense, dropout: float, seed: int) -> keras.Model:
    """Images in, logits out."""
    features = layers.Dropout(dropout, seed=seed)(backbone.output)
    return keras.Model(backbone.input, layer(features), name=CLASSIFIER)


def fit_images(
    model: keras.Model, data: Data, how: Fit, params: Params, phase: str, layer_decay: float = 1.0,
    checkpoints: Checkpoints | None = None, on_epoch: OnEpoch | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Fit the whole network on augmented images; one row an epoch."""
    steps = how.epochs * -(-len(data.train.labels) // how.batch_size)
    with model.distribute_strategy.scope():
        optimiser = build_optimiser(model, how, warm_up_and_cosine(how, steps), layer_decay)
    classes = len(data.dataset.class_names)
    task = Task(
        phase=phase,
        train=Examples(data.train.images, data.train.labels),
        val=Examples(data.val.images, data.val.labels),
        targets=targets_of(data, params.train),
        class_weights=class_weights(data.train.labels, classes, params.train.class_weights),
        seed=params.seed,
        change=lambda seed: random_change(params.augment, seed),
        judged_at_once=how.batch_size,
        bar=True,
    )
    return as_table(fit(model, optimiser, task, how, params.train, checkpoints, on_epoch), phase)


def random_change(augment: Augment, seed: int) -> Change:
    """Augmentation, then mixing, of a batch of images and targets."""
    layers_, mix = augmentation(augment, seed), mixing(augment, seed)

    def change(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        changed = layers_(images, training=True)
        return mix(changed, labels) if mix else (changed, labels)

    return change


def train(
    params: Params, data: Data, strategy: tf.distribute.Strategy,
    checkpoints: Checkpoints | None = None, on_epoch: OnEpoch | None = None,
) -> Trained:  # fmt: skip
    """The fitted network and how it came about; touches no file but `checkpoints`."""
    monitor = params.train.monitor
    with strategy.scope():
        backbone = build_backbone(params.model, params.images)
        if params.model.is_pretrained:
            layer, curves = fit_head(data, params.train, params.seed, checkpoints, on_epoch)
            how: Fit = params.train.fine_tune
        else:
            layer, curves = head(len(data.dataset.class_names)), pd.DataFrame()
            how = params.train.scratch
        model = assemble(backbone, layer, how.dropout, params.seed)
    if not params.model.is_pretrained:
        curves = fit_images(model, data, how, params, "scratch", 1.0, checkpoints, on_epoch)
        return _trained(model, [curves], monitor, is_frozen=False)
    if not how.epochs:
        return _trained(model, [curves], monitor)
    freeze(backbone, params.train.fine_tune)
    before, decay = model.get_weights(), params.train.fine_tune.layer_decay
    tuned = fit_images(model, data, how, params, "fine_tune", decay, checkpoints, on_epoch)
    if is_better(best_row(tuned, monitor), best_row(curves, monitor), monitor):
        return _trained(model, [curves, tuned], monitor, kept=1, is_frozen=False)
    log.warning("Fine-tuning did not better %s; the model with the frozen backbone is kept.", monitor)
    model.set_weights(before)
    return _trained(model, [curves, tuned], monitor)


def best_row(table: pd.DataFrame, monitor: Monitor) -> dict[str, float]:
    """The epoch of a phase whose weights it ends with."""
    rows = cast("list[dict[str, float]]", table.drop(columns="phase").to_dict("records"))
    return rows[best_epoch(rows, monitor)]


def _trained(
    model: keras.Model, phases: list[pd.DataFrame], monitor: Monitor, kept: int = 0, is_frozen: bool = True
) -> Trained:
    curves = pd.concat(phases, ignore_index=True)
    return Trained(model, curves.assign(step=np.arange(1, len(curves) + 1)), best_row(phases[kept], monitor), is_frozen)


def read_data(params: Params) -> Data:
    """The prepared splits, and their features where the backbone has some; all of it stays on disk."""
    data = Data(read_dataset(PREPARED), read_split(PREPARED, "train"), read_split(PREPARED, "val"))
    if not params.model.is_pretrained:
        return data
    rows = read_training_rows(FEATURES)
    return Data(data.dataset, data.train, data.val, rows, read_features(FEATURES, "val"))


def training_key(params: Params, data: Data) -> str:
    """A hash of everything that the fitted network follows from: parameters, images, features, code, versions."""
    files = FEATURES.glob("*.npy")
    values = {
        "params": params.model_dump(mode="json", exclude={*IRRELEVANT, "compute"}),
        "compute": params.compute.model_dump(exclude={READING}),
        "dataset": data.dataset.sha256,
        "splits": [
            sha256("\n".join(split.table["path"]).encode() + split.labels.tobytes()) for split in (data.train, data.val)
        ],
        "targets": sha256(targets_of(data, params.train).tobytes()),
        "files": {file.name: sha256_of_file(file) for file in sorted(files)},
        "code": code_of("pipeline.train"),
        "versions": versions_of("keras", "keras-hub", "numpy", "openvino", "tensorflow"),
    }
    return sha256(json.dumps(values, sort_keys=True).encode())[:16]


def warn_of_gap(gap: float, max_gap: float) -> None:
    """Say that the network has learnt its images by heart, and what helps."""
    if gap > max_gap:
        log.warning(
            "Overfitting: accuracy on training images is %.3f higher than on validation images (train.max_gap allows "
            "%.3f). What helps: more images, stronger augmentation (`augment`), more dropout or weight_decay, fewer "
            "epochs.",
            gap, max_gap,
        )  # fmt: skip


def main() -> None:
    """The stage."""
    params = load_params()
    strategy = prepare_device(params.compute, params.seed)
    data, writes = read_data(params), writes_files(strategy)
    key = training_key(params, data)
    with training(CHECKPOINTS, key, writes) as checkpoints:
        if not writes:
            train(params, data, strategy, checkpoints)
            return
        with live_run(params, data.dataset.sha256, checkpoints.folder) as live:
            trained = train(params, data, strategy, checkpoints, live.epoch)
            contract, metrics = write_results(params, data, trained)
            live.end(contract.hash, metrics)


def write_results(params: Params, data: Data, trained: Trained) -> tuple[Contract, dict[str, float]]:
    """The model with its contract, the metrics, the curves and the picture of the augmentation."""
    dataset = data.dataset
    compute_in_float32(trained.model)
    warn_of_gap(trained.kept["gap_accuracy"], params.train.max_gap)
    with replacing(MODEL) as beside:
        beside.mkdir()
        trained.model.save(beside / KERAS)
        export_openvino(trained.model, beside / OPENVINO)
        asked, in_bfloat16 = ask(beside, data.val, params)
        reference = write_reference(beside, reference_of(params, data, trained, asked))
        found = asked.calibration
        contract = Contract(
            class_names=dataset.class_names,
            images=dataset.images,
            backbone=params.model.backbone,
            temperature=found.temperature,
            unsure_below=found.unsure_below,
            dataset_sha256=dataset.sha256,
            weights_sha256=weights_sha256(beside),
            keras_sha256=sha256_of_file(beside / KERAS),
            code_commit=git_commit(),
            bfloat16=in_bfloat16,
            **reference,
        )
        write_contract(beside, contract)
    metrics = {
        **found.metrics,
        "temperature": found.temperature,
        "unsure_below": found.unsure_below,
        "gap_accuracy": trained.kept["gap_accuracy"],
        "gap_loss": trained.kept["gap_loss"],
        "epochs": len(trained.curves),
    }
    write_json(TRAINING_METRICS, metrics)
    write_curves(trained.curves, CURVES, CURVES_FIGURE)
    with replacing(AUGMENTED_FIGURE) as beside:
        draw_augmented(data.train.images, params.augment, params.seed).savefig(beside)
    return contract, metrics


@dataclass(frozen=True, slots=True)
class Asked:
    """A network as the night will ask it, and what it says of the validation images."""

    numbers: Numbers
    judging: Judging
    embeddings: NDArray[np.float32]  # (n, d)
    probabilities: NDArray[np.float32]  # (n, classes)
    calibration: Calibration


def ask_in(numbers: Numbers, folder: Path, val: Split, params: Params) -> Asked:
    """Ask the network in `folder`, computing in `numbers`, and calibrate its answers."""
    judging = load_judging(folder, params.compute, numbers)
    logits, embeddings = judged_of(judging, in_batches(val.images, JUDGED_AT_ONCE, f"calibrate {numbers}"))
    found = calibrate(logits, val.labels, params.train.target_precision)
    return Asked(numbers, judging, embeddings, probabilities(logits, found.temperature), found)


def ask(folder: Path, val: Split, params: Params) -> tuple[Asked, bool | None]:
    """Ask the network in `folder` in bfloat16 where its answers hold in that, and say whether; None: it was not tried.

    It is tried on CPUs that have it. What is fitted is fitted to the answers that will be given.
    """
    plain = ask_in("f32", folder, val, params)
    if on_gpu(params.compute) or not has_bfloat16():
        return plain, None
    short = ask_in("bf16", folder, val, params)
    holds = answers_hold(plain.calibration.metrics, short.calibration.metrics, params.train.max_bfloat16_loss)
    log.info(
        "In bfloat16, about twice as fast: accuracy %.3f (in float32 %.3f), balanced accuracy %.3f (%.3f), "
        "calibration error %.3f (%.3f). Nights compute in %s.",
        *(one.calibration.metrics[name] for name in HELD for one in (short, plain)),
        "bfloat16" if holds else "float32",
    )  # fmt: skip
    return (short if holds else plain), holds


def reference_of(params: Params, data: Data, trained: Trained, asked: Asked) -> Reference:
    """What the night's images will be compared with; training images are asked about unless features say the same."""
    rows = sampled(len(data.train.labels), params.seed)
    if trained.is_frozen and data.train_features is not None and asked.numbers == "f32":
        embeddings = data.train_features[rows]
    else:
        batches = (data.train.images[part] for part in in_batches(rows, JUDGED_AT_ONCE, "reference"))
        _, embeddings = judged_of(asked.judging, batches)
    val = Judged(data.val, asked.embeddings, asked.probabilities)
    names, percentile = data.dataset.class_names, params.train.outlier_percentile
    return make_reference(data.train, rows, embeddings, val, names, percentile, params.seed)


if __name__ == "__main__":
    sys.exit(run(main))
