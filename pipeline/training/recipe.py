"""The phases of a training: the head on frozen features, then the whole network; or the whole network from scratch.

Knows arrays and networks; its only files are checkpoints.
"""

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
from pipeline.params.file import Params
from pipeline.params.model import FineTune, Monitor, Train
from pipeline.training.augment import random_change
from pipeline.training.batches import Examples, Task
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.fitting import OnEpoch, as_table, best_epoch, fit, is_better
from pipeline.training.inputs import Data, targets_of
from pipeline.training.optimiser import build_optimiser, freeze, warm_up_and_cosine

LOGITS = "logits"  # the last layer's name
CLASSIFIER = "classifier"  # a fixed name: Keras numbers networks, and the export contains the name


@dataclass(frozen=True, slots=True)
class Trained:
    """A fitted network, images in and logits out, and the curves of its training."""

    model: keras.Model
    curves: pd.DataFrame  # one row per epoch of every phase
    kept: dict[str, float]  # the row of the epoch whose weights `model` has
    is_frozen: bool  # the backbone did not change, so the features computed with it are also this network's


def train(
    params: Params, data: Data, strategy: tf.distribute.Strategy,
    checkpoints: Checkpoints | None = None, on_epoch: OnEpoch | None = None,
) -> Trained:  # fmt: skip
    """Fit the network, phase by phase; the only files are `checkpoints`."""
    how, monitor = params.train, params.train.monitor
    with strategy.scope():
        backbone = build_backbone(params.model, params.images)
        if not is_pretrained(params.model):
            model = assemble(backbone, head(len(data.dataset.class_names)), how.scratch.dropout, params.seed)
        else:
            layer, of_head = fit_head(data, how, params.seed, checkpoints, on_epoch)
            model = assemble(backbone, layer, how.fine_tune.dropout, params.seed)
    if not is_pretrained(params.model):
        curves = fit_images(model, data, params, "scratch", checkpoints, on_epoch)
        return _trained(model, [curves], monitor, is_frozen=False)
    if not how.fine_tune.epochs:
        return _trained(model, [of_head], monitor)
    freeze(backbone, how.fine_tune)
    before = model.get_weights()
    tuned = fit_images(model, data, params, "fine_tune", checkpoints, on_epoch)
    if is_better(best_row(tuned, monitor), best_row(of_head, monitor), monitor):
        return _trained(model, [of_head, tuned], monitor, kept=1, is_frozen=False)
    log.warning("Fine-tuning did not improve %s; the model with the frozen backbone is kept.", monitor)
    model.set_weights(before)
    return _trained(model, [of_head, tuned], monitor)


def fit_head(
    data: Data, how: Train, seed: int, checkpoints: Checkpoints | None = None, on_epoch: OnEpoch | None = None
) -> tuple[layers.Dense, pd.DataFrame]:
    """A linear layer on the frozen features, and one row per epoch; call it in the strategy's scope."""
    keras.utils.set_random_seed(seed)  # otherwise the result depends on what was built before
    assert data.train_features is not None  # noqa: S101 - the caller has checked this
    assert data.val_features is not None  # noqa: S101
    rows = data.train_features
    classes = len(data.dataset.class_names)
    inputs = keras.Input(rows.shape[1:])
    layer = head(classes)
    model = keras.Model(inputs, layer(layers.Dropout(how.head.dropout, seed=seed)(inputs)))
    optimiser = build_optimiser(model, how.head, how.head.learning_rate)
    task = Task(
        phase="head",
        train=Examples(rows, np.tile(data.train.labels, len(rows) // len(data.train.labels))),  # views too
        val=Examples(data.val_features, data.val.labels),
        targets=np.tile(targets_of(data, how), (len(rows) // len(data.train.labels), 1)),
        class_weights=class_weights(data.train.labels, classes, how.class_weights),
        seed=seed,
    )
    return layer, as_table(fit(model, optimiser, task, how.head, how, checkpoints, on_epoch), "head")


def fit_images(
    model: keras.Model, data: Data, params: Params, phase: Literal["fine_tune", "scratch"],
    checkpoints: Checkpoints | None = None, on_epoch: OnEpoch | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Fit the whole network on augmented images; one row per epoch."""
    how = params.train.fine_tune if phase == "fine_tune" else params.train.scratch
    layer_decay = how.layer_decay if isinstance(how, FineTune) else 1.0
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
    """The epoch whose weights the phase ends with."""
    rows = cast("list[dict[str, float]]", table.drop(columns="phase").to_dict("records"))
    return rows[best_epoch(rows, monitor)]


def _trained(
    model: keras.Model, phases: list[pd.DataFrame], monitor: Monitor, kept: int = 0, is_frozen: bool = True
) -> Trained:
    curves = pd.concat(phases, ignore_index=True)
    return Trained(model, curves.assign(step=np.arange(1, len(curves) + 1)), best_row(phases[kept], monitor), is_frozen)
