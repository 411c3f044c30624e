"""Fit the head, then the whole network; then, on validation, temperature and threshold. Never reads the test split."""

import sys
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_class_weight

from pipeline.augment import draw_augmented
from pipeline.backbones import build_backbone
from pipeline.calibration import fit_temperature, unsure_threshold
from pipeline.checkpoints import Checkpoint, checkpoint_of
from pipeline.contract import KERAS, OPENVINO, Contract, weights_sha256, write_contract
from pipeline.curves import gap, table_of, write_curves
from pipeline.device import prepare_device
from pipeline.engine import probabilities
from pipeline.export import export_openvino
from pipeline.features import Features, TrainingRows, read_features, read_training_rows
from pipeline.files import replacing, sha256_of_file, write_json
from pipeline.fitting import CLASSIFIER, Data, OnEpoch, Row, assemble, batches, fit_head, fit_images, head, is_better
from pipeline.live import live_run
from pipeline.metrics import accuracy, balanced_accuracy, mean_log_loss
from pipeline.params import Params, load_params
from pipeline.params_model import Fit, Train
from pipeline.paths import (
    AUGMENTED_FIGURE,
    CHECKPOINTS,
    CURVES,
    CURVES_FIGURE,
    FEATURES,
    MODEL,
    PREPARED,
    TRAINING_METRICS,
)  # fmt: skip
from pipeline.prepared import Dataset, Split, read_dataset, read_split
from pipeline.stage import log, run
from pipeline.targets import soft_targets
from pipeline.versions import git_commit


@dataclass(frozen=True, slots=True)
class Trained:
    """A fitted network, and how it came about."""

    model: keras.Model
    phases: dict[str, list[Row]]  # in their order; one row an epoch
    chosen: Row  # the epoch whose weights the model has


def class_weights(labels: NDArray[np.int64], classes: int, train: Train) -> NDArray[np.float32]:
    """How much an image of each class counts, (classes,); 1 on average over the images."""
    how = "balanced" if train.class_weights == "balanced" else None
    return np.asarray(compute_class_weight(how, classes=np.arange(classes), y=labels), np.float32)


def data_of(dataset: Dataset, train: Split, val: Split, params: Params) -> Data:
    """What a training learns from. Raises NightshiftError when the soft labels are not in the side table."""
    targets = soft_targets(train, dataset.class_names, params.train.soft_labels)
    return Data(dataset, train, val, targets, class_weights(train.labels, len(dataset.class_names), params.train))


def train(
    params: Params, data: Data, rows: TrainingRows | None, val: Features | None,
    checkpoint: Checkpoint | None = None, on_epoch: OnEpoch | None = None,
) -> Trained:  # fmt: skip
    """The fitted network. `rows` and `val`: features of the frozen backbone, None where it is trained from scratch."""
    classes, seed = len(data.dataset.class_names), params.seed
    with prepare_device(params.compute, seed).scope():
        backbone = build_backbone(params.model, params.images)
        if rows is None or val is None:
            model = assemble(backbone, head(classes), 0.0, seed)
            history = fit_images(
                model, backbone, data, params.train.scratch, params.train, params.augment, seed, "scratch",
                checkpoint, on_epoch,
            )  # fmt: skip
            return Trained(model, {"scratch": history}, best_row(history, params.train))
        layer, history = fit_head(data, rows, val, params.train, seed, on_epoch)
        model = assemble(backbone, layer, params.train.head.dropout, seed)
        phases, chosen = {"head": history}, best_row(history, params.train)
        if params.train.fine_tune.epochs:
            before = model.get_weights()
            history = fit_images(
                model, backbone, data, params.train.fine_tune, params.train, params.augment, seed, "fine_tune",
                checkpoint, on_epoch,
            )  # fmt: skip
            phases["fine_tune"], tuned = history, best_row(history, params.train)
            if is_better(tuned, chosen, params.train.monitor):
                chosen = tuned
            else:
                log.warning("Fine-tuning did not better %s; the frozen backbone is kept.", params.train.monitor)
                model.set_weights(before)
    return Trained(model, phases, chosen)


def best_row(history: list[Row], train: Train) -> Row:
    """The epoch whose weights a phase ends with."""
    best = history[0]
    for row in history:
        best = row if is_better(row, best, train.monitor) else best
    return best


def log_epoch(params: Params) -> OnEpoch:
    """A line in the log for each epoch of an image phase, and for one in ten of the head's."""
    hows: dict[str, Fit] = {name: getattr(params.train, name) for name in ("head", "fine_tune", "scratch")}

    def say(phase: str, row: Row) -> None:
        if phase != "head" or row["epoch"] % max(1, hows[phase].epochs // 10) == 0:
            log.info(
                "%s, epoch %d of %d: loss %.3f, validation loss %.3f, accuracy %.3f, validation accuracy %.3f",
                phase, row["epoch"], hows[phase].epochs,
                row["train_loss"], row["val_loss"], row["train_accuracy"], row["val_accuracy"],
            )  # fmt: skip

    return say


def warn_of_overfitting(chosen: Row, max_gap: float) -> None:
    """Say when the network knows its training images by heart."""
    if gap(chosen) > max_gap:
        log.warning(
            "Training images are recognised in %.0f %% of cases, validation images in %.0f %% (train.max_gap allows a "
            "difference of %.0f points): the model overfits. More images help most; then stronger `augment`, "
            "train.label_smoothing, weight_decay, fewer epochs, or fine_tune.frozen.",
            100 * chosen["train_accuracy"], 100 * chosen["val_accuracy"], 100 * max_gap,
        )  # fmt: skip


def code_sha256() -> dict[str, str]:
    """What this package's files are: a checkpoint of other code is another training's."""
    return {file.name: sha256_of_file(file) for file in sorted(Path(__file__).parent.glob("*.py"))}


def main() -> None:
    """The stage."""
    params = load_params()
    dataset = read_dataset(PREPARED)
    data = data_of(dataset, read_split(PREPARED, "train"), read_split(PREPARED, "val"), params)
    pretrained = params.model.is_pretrained
    rows, features = (read_training_rows(FEATURES), read_features(FEATURES, "val")) if pretrained else (None, None)
    said = params.model_dump(mode="json", include={"seed", "images", "compute", "model", "augment", "embed", "train"})
    with (
        checkpoint_of(CHECKPOINTS, {"params": said, "dataset": dataset.sha256, "code": code_sha256()}) as checkpoint,
        live_run(params, checkpoint.file.with_suffix(".run")) as live,
    ):
        say = log_epoch(params)

        def on_epoch(phase: str, row: Row) -> None:
            say(phase, row)
            live.log_epoch(phase, row)

        trained = train(params, data, rows, features, checkpoint, on_epoch)
        warn_of_overfitting(trained.chosen, params.train.max_gap)
        live.finish(write_model(trained, data, params))


def write_model(trained: Trained, data: Data, params: Params) -> str:
    """The model's folder, with what is fitted on validation, and the reports; returns the contract's hash."""
    labels, model = data.val.labels, trained.model
    logits = model.predict(batches(data.val.images, labels, params.batch.batch_size), verbose=0)
    temperature = fit_temperature(logits, labels)
    answers = probabilities(logits, temperature)
    predicted, confidence = answers.argmax(axis=1), answers.max(axis=1)
    threshold = unsure_threshold(confidence, predicted == labels, params.train.target_precision)
    with replacing(MODEL) as beside:
        beside.mkdir()
        bare = keras.Model(
            model.inputs, model.outputs, name=CLASSIFIER
        )  # without the optimiser: half the size, no class of ours
        bare.save(beside / KERAS)
        export_openvino(bare, beside / OPENVINO)
        contract = Contract(
            class_names=data.dataset.class_names,
            images=data.dataset.images,
            backbone=params.model.backbone,
            temperature=temperature,
            unsure_below=threshold,
            dataset_sha256=data.dataset.sha256,
            weights_sha256=weights_sha256(beside),
            code_commit=git_commit(),
        )
        write_contract(beside, contract)
    write_json(
        TRAINING_METRICS,
        {
            "val_accuracy": accuracy(labels, answers),
            "val_balanced_accuracy": balanced_accuracy(labels, answers),
            "val_log_loss": mean_log_loss(labels, answers),
            "gap": gap(trained.chosen),
            "temperature": temperature,
            "unsure_below": threshold,
            "val_unsure_share": float((confidence < threshold).mean()),
            "epochs": sum(map(len, trained.phases.values())),
        },
    )
    write_curves(table_of(trained.phases), CURVES, CURVES_FIGURE)
    with replacing(AUGMENTED_FIGURE) as beside:
        draw_augmented(data.train.images, params.augment, params.seed).savefig(beside)
    return contract.hash


if __name__ == "__main__":
    sys.exit(run(main))
