"""The phases of a training: the head on frozen features, then the whole network; or the whole network from scratch.

Knows arrays and networks; its only files are checkpoints.
"""

import time
from dataclasses import dataclass
from typing import Literal, cast

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from keras import layers
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_class_weight

from pipeline.backbones.build import build_backbone
from pipeline.backbones.weights import is_pretrained
from pipeline.core.log import log
from pipeline.core.text import named
from pipeline.data.split_units import unit_numbers
from pipeline.params.file import Params
from pipeline.params.model import Descent, HeadMethod, Monitor, Train
from pipeline.training.augment import random_change
from pipeline.training.batches import Examples, Task
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.choice import difference, scores
from pipeline.training.fitting import (
    Epoch,
    OnEpoch,
    as_table,
    best_epoch,
    fit,
    gap_sample,
    judged,
    make_judge,
)
from pipeline.training.heads import FEW, closed_form
from pipeline.training.inputs import Data, targets_of
from pipeline.training.optimiser import WarmUpAndCosine, build_optimiser, freeze
from pipeline.training.pace import fine_tuning, whole_passes

LOGITS = "logits"  # the last layer's name
CLASSIFIER = "classifier"  # a fixed name: Keras numbers networks, and the export contains the name
COMPARED = {  # what the choice between fine-tuned and frozen looks at, by `train.monitor`
    "val_loss": "the mean log probability of the right class (temperatures fitted)",
    "val_accuracy": "accuracy",
    "val_balanced_accuracy": "balanced accuracy",
}


@dataclass(frozen=True, slots=True)
class Trained:
    """A fitted network, images in and logits out, and the curves of its training."""

    model: keras.Model
    curves: pd.DataFrame  # one row per judgement of every phase
    kept: dict[str, float]  # the row of the judgement whose weights `model` has
    is_frozen: bool  # the backbone did not change, so the features computed with it are also this network's


@dataclass(frozen=True, slots=True)
class FittedHead:
    """A last layer, fitted to frozen features."""

    layer: layers.Dense
    method: HeadMethod
    curves: pd.DataFrame  # one row per judgement
    kept: dict[str, float]  # the row of the judgement whose weights `layer` has
    val_logits: NDArray[np.float32]
    seconds: float  # that fitting took


def train(
    params: Params, data: Data, strategy: tf.distribute.Strategy,
    checkpoints: Checkpoints | None = None, on_epoch: OnEpoch | None = None,
) -> Trained:  # fmt: skip
    """Fit one network, phase by phase; the only files are `checkpoints`."""
    how, monitor = params.train, params.train.monitor
    seconds = 60 * how.budget_minutes if how.budget_minutes else None
    with strategy.scope():
        backbone = build_backbone(params.model, params.images)
        if not is_pretrained(params.model):
            model = assemble(backbone, head(len(data.dataset.class_names)), how.scratch.dropout, params.seed)
        else:
            fitted = fit_head(data, how, params.seed, checkpoints, on_epoch)
            model = assemble(backbone, fitted.layer, how.fine_tune.dropout, params.seed)
    if not is_pretrained(params.model):
        curves = fit_images(model, data, params, "scratch", seconds, checkpoints, on_epoch)
        return _trained(model, [curves], best_row(curves, monitor), is_frozen=False)
    frozen = _trained(model, [fitted.curves], fitted.kept)
    if how.fine_tune.steps == 0:
        return frozen
    freeze(backbone, how.fine_tune)
    before, left = model.get_weights(), seconds and max(seconds - fitted.seconds, 0.0)
    tuned = fit_images(model, data, params, "fine_tune", left, checkpoints, on_epoch)
    if tuned.empty:  # there was no time
        return frozen
    logits = make_judge(model, how.fine_tune.batch_size)(Examples(data.val.images, data.val.labels))
    found = difference(logits, fitted.val_logits, data.val.labels, unit_numbers(data.val.table), monitor)
    phases = [fitted.curves, tuned]
    log.debug(
        "Fine-tuning changed %s by %+.3f, with a standard error of %.3f on %d validation images (more is better).",
        COMPARED[monitor], found.mean, found.error, len(data.val.labels),
    )  # fmt: skip
    if not found.is_clearly_worse:
        return _trained(model, phases, best_row(tuned, monitor), is_frozen=False)
    log.warning("The fine-tuned network is clearly worse, so the model with the frozen backbone is kept.")
    model.set_weights(before)
    return _trained(model, phases, fitted.kept)


def fit_head(
    data: Data, how: Train, seed: int, checkpoints: Checkpoints | None = None, on_epoch: OnEpoch | None = None
) -> FittedHead:
    """The last layer on the frozen features, by the method of `train.head`; call it in the strategy's scope.

    Of several methods the one whose log loss on validation images, with a fitted temperature, is the smallest.
    """
    assert data.train_features is not None  # noqa: S101 - the caller has checked this
    assert data.val_features is not None  # noqa: S101
    rows, views = data.train_features, len(data.train_features) // len(data.train.labels)
    classes = len(data.dataset.class_names)
    together = tf.distribute.get_strategy().num_replicas_in_sync > 1
    task = Task(
        phase="head",
        train=Examples(rows, np.tile(data.train.labels, views)),
        val=Examples(data.val_features, data.val.labels),
        targets=np.tile(targets_of(data, how), (views, 1)),
        class_weights=class_weights(data.train.labels, classes, how.class_weights),
        seed=seed,
        pace=whole_passes(how.head.epochs, len(rows), how.head.batch_size, together),
    )
    methods = methods_for(how.head.method, len(data.train.labels) / classes)
    history: list[Epoch] = []
    fitted: dict[HeadMethod, tuple[layers.Dense, Epoch]] = {}
    for method in methods:
        if method == "linear":
            layer, found = linear_head(task, how, checkpoints, on_epoch)
            kept = found[best_epoch(found, how.monitor)]
        else:
            layer, kept = formula_head(method, task, len(history) + 1)
            found = [kept]
            if on_epoch:
                on_epoch(task.phase, kept)
        history += found
        fitted[method] = layer, kept
    logits = {method: logits_of(layer, data.val_features) for method, (layer, _) in fitted.items()}
    losses = {method: -float(scores(of, data.val.labels, "val_loss").mean()) for method, of in logits.items()}
    best = min(losses, key=lambda method: losses[method])
    if len(methods) > 1:
        log.info(
            "With so few images a class the head is the best of three on validation images (log loss, temperature "
            "fitted): %s. It is %s.", named([f"{method} {loss:.3f}" for method, loss in losses.items()]), best,
        )  # fmt: skip
    layer, kept = fitted[best]
    seconds = sum(row["seconds"] for row in history)
    return FittedHead(layer, best, as_table(history, "head"), kept, logits[best], seconds)


def methods_for(method: Literal["auto", "linear", "ridge", "nearest_mean"], images: float) -> tuple[HeadMethod, ...]:
    """The methods to try for so many training images a class."""
    if method != "auto":
        return (method,)
    return ("linear", "ridge", "nearest_mean") if images < FEW else ("linear",)


def linear_head(
    task: Task, how: Train, checkpoints: Checkpoints | None, on_epoch: OnEpoch | None
) -> tuple[layers.Dense, list[Epoch]]:
    """A linear layer by gradient descent, and one row an epoch."""
    keras.utils.set_random_seed(task.seed)  # otherwise the result depends on what was built before
    inputs = keras.Input(task.train.rows.shape[1:])
    layer = head(task.targets.shape[1])
    model = keras.Model(inputs, layer(layers.Dropout(how.head.dropout, seed=task.seed)(inputs)))
    optimiser = build_optimiser(model, how.head, how.head.learning_rate)
    return layer, fit(model, optimiser, task, how.head, how, checkpoints, on_epoch)


def formula_head(method: Literal["ridge", "nearest_mean"], task: Task, judgement: int) -> tuple[layers.Dense, Epoch]:
    """A linear layer by a formula, and its row."""
    started = time.monotonic()
    rows = task.train.rows[np.arange(len(task.train.labels))].astype(np.float32)
    features = task.val.rows[np.arange(len(task.val.labels))].astype(np.float32)
    weights = closed_form(method, rows, task.targets, task.class_weights, (features, task.val.labels))
    layer = head(task.targets.shape[1])
    layer.build((None, rows.shape[1]))
    layer.set_weights(weights)
    row = judged(logits_of(layer, rows), task.train.labels, logits_of(layer, features), task.val.labels)
    place = {"judgement": judgement, "steps": 0, "epoch": 0, "objective": row["train_loss"]}
    return layer, {**place, **row, "seconds": time.monotonic() - started}


def logits_of(layer: layers.Dense, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """The logits, (n, classes), of features (n, d)."""
    kernel, bias = layer.get_weights()
    return np.asarray(features @ kernel + bias, np.float32)


def fit_images(
    model: keras.Model, data: Data, params: Params, phase: Literal["fine_tune", "scratch"],
    seconds: float | None = None, checkpoints: Checkpoints | None = None, on_epoch: OnEpoch | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Fit the whole network on augmented images, in about `seconds`; one row per judgement, or none: no time."""
    images, strategy = len(data.train.labels), model.distribute_strategy
    how: Descent
    if phase == "fine_tune":
        how, layer_decay = params.train.fine_tune, params.train.fine_tune.layer_decay
        pace = fine_tuning(params.train.fine_tune, images, len(data.val.labels) + gap_sample(data.val.labels))
    else:
        how, layer_decay = params.train.scratch, 1.0
        together = strategy.num_replicas_in_sync > 1
        pace = whole_passes(params.train.scratch.epochs, images, how.batch_size, together)
    with strategy.scope():
        rate = WarmUpAndCosine(how, pace.steps)
        optimiser = build_optimiser(model, how, rate, layer_decay)
    classes = len(data.dataset.class_names)
    task = Task(
        phase=phase,
        train=Examples(data.train.images, data.train.labels),
        val=Examples(data.val.images, data.val.labels),
        targets=targets_of(data, params.train),
        class_weights=class_weights(data.train.labels, classes, params.train.class_weights),
        seed=params.seed,
        pace=pace,
        change=lambda seed: random_change(params.augment, seed),
        judged_at_once=how.batch_size,
        slow=True,
        seconds=seconds,
        rate=rate,
    )
    return as_table(fit(model, optimiser, task, how, params.train, checkpoints, on_epoch), phase)


def head(classes: int) -> layers.Dense:
    """The last layer: logits, kept in float32 under mixed precision."""
    return layers.Dense(classes, dtype="float32", name=LOGITS)


def assemble(backbone: keras.Model, layer: layers.Dense, dropout: float, seed: int) -> keras.Model:
    """Images in, logits out."""
    features = layers.Dropout(dropout, seed=seed)(backbone.output)
    return keras.Model(backbone.input, layer(features), name=CLASSIFIER)


def class_weights(labels: NDArray[np.int64], classes: int, how: str) -> NDArray[np.float32]:
    """The weight of each class, (classes,); `balanced`: n / (classes * n of the class), so rare classes weigh more."""
    found = compute_class_weight("balanced" if how == "balanced" else None, classes=np.arange(classes), y=labels)
    return np.asarray(found, np.float32)


def best_row(table: pd.DataFrame, monitor: Monitor) -> dict[str, float]:
    """The judgement whose weights the phase ends with."""
    rows = cast("list[dict[str, float]]", table.drop(columns="phase").to_dict("records"))
    return rows[best_epoch(rows, monitor)]


def _trained(model: keras.Model, phases: list[pd.DataFrame], kept: dict[str, float], is_frozen: bool = True) -> Trained:
    curves = pd.concat(phases, ignore_index=True)
    return Trained(model, curves.assign(step=np.arange(1, len(curves) + 1)), kept, is_frozen)
