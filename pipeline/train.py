"""Fit the head, then the whole network; then, on validation, temperature and threshold. Never reads the test split."""

import sys
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from keras import layers
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from sklearn.utils.class_weight import compute_class_weight

from pipeline.augment import augmentation
from pipeline.backbones import build_backbone
from pipeline.contract import KERAS, OPENVINO, Contract, weights_sha256, write_contract
from pipeline.device import prepare_device
from pipeline.engine import probabilities
from pipeline.export import export_openvino
from pipeline.files import replacing, write_json
from pipeline.metrics import accuracy, balanced_accuracy, mean_log_loss
from pipeline.params import Params, load_params
from pipeline.params_model import Fit, Head
from pipeline.paths import CURVES, CURVES_FIGURE, FEATURES, MODEL, PREPARED, TRAINING_METRICS
from pipeline.prepared import Dataset, Split, read_dataset, read_split
from pipeline.stage import log, run
from pipeline.versions import git_commit

WARM_UP = 0.1  # share of the fine-tuning steps in which the learning rate rises
LOGITS = "logits"  # the last layer's name


@dataclass(frozen=True, slots=True)
class Data:
    """Training and validation images of one dataset, and how much each class counts."""

    dataset: Dataset
    train: Split
    val: Split
    class_weights: dict[int, float]


def batches(
    arrays: NDArray[np.generic], labels: NDArray[np.int64], batch_size: int, shuffle_seed: int | None = None
) -> tf.data.Dataset:
    """Batches of (rows of `arrays` as float32, labels), read from disk as they are needed; shuffled anew each epoch."""
    shape = (None, *arrays.shape[1:])

    def gather(index: NDArray[np.int64]) -> NDArray[np.float32]:
        return arrays[index].astype(np.float32)

    def load(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        rows = tf.numpy_function(gather, [index], tf.float32, stateful=False)
        return tf.ensure_shape(rows, shape), tf.gather(labels, index)

    order = tf.data.Dataset.range(len(labels))
    if shuffle_seed is not None:
        order = order.shuffle(len(labels), seed=shuffle_seed)
    return order.batch(batch_size).map(load, num_parallel_calls=1).prefetch(2)


def fit(
    model: keras.Model, train: tf.data.Dataset, val: tf.data.Dataset, how: Fit, phase: str, data: Data
) -> pd.DataFrame:
    """Fit `model` until the validation loss no longer falls, and leave it with its best weights; one row an epoch."""
    stop = keras.callbacks.EarlyStopping("val_loss", patience=how.patience, restore_best_weights=True)
    progress = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: _log_epoch(phase, epoch, how, logs))
    history = model.fit(
        train,
        validation_data=val,
        epochs=how.epochs,
        class_weight=data.class_weights,
        callbacks=[stop, progress],
        shuffle=False,  # the batches come shuffled
        verbose=0,
    ).history
    table = pd.DataFrame(history).rename(columns={"loss": "train_loss", "accuracy": "train_accuracy"})
    return table.assign(phase=phase, epoch=np.arange(1, len(table) + 1))


def _log_epoch(phase: str, epoch: int, how: Fit, logs: dict[str, float]) -> None:
    every = max(1, how.epochs // 10) if phase == "head" else 1
    if (epoch + 1) % every == 0:
        log.info(
            "%s, epoch %d of %d: loss %.3f, validation loss %.3f, validation accuracy %.3f",
            phase, epoch + 1, how.epochs, logs["loss"], logs["val_loss"], logs["val_accuracy"],
        )  # fmt: skip


def compile_model(
    model: keras.Model, learning_rate: float | keras.optimizers.schedules.LearningRateSchedule, how: Fit
) -> None:
    """The loss, the optimiser and the metrics of every phase."""
    model.compile(
        optimizer=keras.optimizers.AdamW(learning_rate, weight_decay=how.weight_decay),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )


def head(classes: int) -> layers.Dense:
    """The last layer: logits, kept in float32 under mixed precision."""
    return layers.Dense(classes, dtype="float32", name=LOGITS)


def fit_head(
    data: Data, features: dict[str, NDArray[np.float32]], how: Head, seed: int
) -> tuple[layers.Dense, pd.DataFrame]:
    """A linear layer on the frozen features."""
    inputs = keras.Input(features["train"].shape[1:])
    layer = head(len(data.dataset.class_names))
    model = keras.Model(inputs, layer(layers.Dropout(how.dropout, seed=seed)(inputs)))
    compile_model(model, how.learning_rate, how)
    train = batches(features["train"], data.train.labels, how.batch_size, seed)
    return layer, fit(model, train, batches(features["val"], data.val.labels, how.batch_size), how, "head", data)


def assemble(backbone: keras.Model, layer: layers.Dense, dropout: float, seed: int) -> keras.Model:
    """Images in, logits out."""
    features = layers.Dropout(dropout, seed=seed)(backbone.output)
    return keras.Model(backbone.input, layer(features))


def fit_images(model: keras.Model, data: Data, how: Fit, params: Params, phase: str) -> pd.DataFrame:
    """Fit the whole network on augmented images; the learning rate rises, then falls along a cosine to nothing."""
    steps = how.epochs * -(-len(data.train.labels) // how.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(
        how.learning_rate / 100, steps, warmup_target=how.learning_rate, warmup_steps=int(steps * WARM_UP)
    )
    changes = augmentation(params.augment, params.seed)
    inputs = keras.Input(model.input_shape[1:])
    trained = keras.Model(inputs, model(changes(inputs)))
    compile_model(trained, rate, how)
    train = batches(data.train.images, data.train.labels, how.batch_size, params.seed)
    return fit(trained, train, batches(data.val.images, data.val.labels, how.batch_size), how, phase, data)


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The temperature with the smallest log loss, between 0.05 and 20 (Guo et al., 2017)."""

    def loss(log_temperature: float) -> float:
        return mean_log_loss(labels, probabilities(logits, np.exp(log_temperature)))

    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded")
    return float(np.exp(found.x))


def unsure_threshold(confidence: NDArray[np.float32], correct: NDArray[np.bool_], target_precision: float) -> float:
    """The smallest confidence such that the answers at or above it are right at `target_precision`.

    Where none is, the one with the best precision; 0 when every answer may be given.
    """
    order = np.argsort(-confidence, kind="stable")
    precision = np.cumsum(correct[order]) / np.arange(1, len(order) + 1)
    # Equal confidences stand or fall together: only the last of each run is a threshold.
    last = np.append(np.diff(confidence[order]) != 0, True)
    enough = np.flatnonzero(last & (precision >= target_precision))
    if len(enough) == 0:
        return float(confidence[order][np.argmax(np.where(last, precision, -1))])
    return 0.0 if enough[-1] == len(order) - 1 else float(confidence[order][enough[-1]])


def train(params: Params, data: Data) -> tuple[keras.Model, pd.DataFrame]:
    """The fitted network, and one row an epoch of how it came about."""
    with prepare_device(params.compute, params.seed).scope():
        backbone = build_backbone(params.model, params.images)
        if not params.model.is_pretrained:
            model = assemble(backbone, head(len(data.dataset.class_names)), 0.0, params.seed)
            return model, fit_images(model, data, params.train.scratch, params, "scratch")
        features = {name: np.load(FEATURES / f"{name}.npy", mmap_mode="r") for name in ("train", "val")}
        layer, curves = fit_head(data, features, params.train.head, params.seed)
        model = assemble(backbone, layer, params.train.head.dropout, params.seed)
        if params.train.fine_tune.epochs:
            before = model.get_weights()
            tuned = fit_images(model, data, params.train.fine_tune, params, "fine_tune")
            if tuned["val_loss"].min() >= curves["val_loss"].min():
                log.warning(
                    "Fine-tuning did not lower the validation loss; the model with the frozen backbone is kept."
                )
                model.set_weights(before)
            curves = pd.concat([curves, tuned], ignore_index=True)
    return model, curves.assign(step=np.arange(1, len(curves) + 1))


def draw_curves(curves: pd.DataFrame) -> Figure:
    """Loss and accuracy of every epoch, training and validation; a line where a phase begins."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    steps = np.arange(1, len(curves) + 1)
    for axes, metric in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for split in ("train", "val"):
            axes.plot(steps, curves[f"{split}_{metric}"], label={"train": "training", "val": "validation"}[split])
        for start in np.flatnonzero(curves["phase"].ne(curves["phase"].shift())):
            axes.axvline(start + 1, color="grey", linewidth=0.8)
            side = "left" if start < len(steps) / 2 else "right"
            axes.text(
                start + 1, axes.get_ylim()[1], f" {curves['phase'].iloc[start]} ", va="top", ha=side, color="grey"
            )
        axes.set(xlabel="epoch", title=metric)
        axes.legend()
    return figure


def main() -> None:
    """The stage."""
    params = load_params()
    dataset, splits = read_dataset(PREPARED), {name: read_split(PREPARED, name) for name in ("train", "val")}
    classes = np.arange(len(dataset.class_names))
    weights = compute_class_weight(
        "balanced" if params.train.class_weights == "balanced" else None, classes=classes, y=splits["train"].labels
    )
    data = Data(dataset, splits["train"], splits["val"], dict(enumerate(weights.tolist())))
    model, curves = train(params, data)

    labels = data.val.labels
    logits = model.predict(batches(data.val.images, labels, params.batch.batch_size), verbose=0)
    temperature = fit_temperature(logits, labels)
    answers = probabilities(logits, temperature)
    predicted, confidence = answers.argmax(axis=1), answers.max(axis=1)
    threshold = unsure_threshold(confidence, predicted == labels, params.train.target_precision)
    with replacing(MODEL) as beside:
        beside.mkdir()
        model.save(beside / KERAS)
        export_openvino(model, beside / OPENVINO)
        contract = Contract(
            class_names=dataset.class_names,
            images=dataset.images,
            backbone=params.model.backbone,
            temperature=temperature,
            unsure_below=threshold,
            dataset_sha256=dataset.sha256,
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
            "temperature": temperature,
            "unsure_below": threshold,
            "val_unsure_share": float((confidence < threshold).mean()),
            "epochs": len(curves),
        },
    )
    write_table_and_figure(curves, CURVES, CURVES_FIGURE)


def write_table_and_figure(curves: pd.DataFrame, table: Path, figure: Path) -> None:
    """The curves as numbers and as a picture."""
    with replacing(table) as beside:
        curves.to_csv(beside, index=False)
    with replacing(figure) as beside:
        draw_curves(curves).savefig(beside)


if __name__ == "__main__":
    sys.exit(run(main))
