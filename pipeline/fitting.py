"""Gradient descent, watched: an epoch at a time, judged on validation, resumable. Knows no file of a project.

An epoch follows from (the weights before it, data, parameters, seed, its number) and nothing else: order of the images,
augmentation and dropout are drawn anew from seed and number. So a training that went on from a checkpoint gives the
same weights, bit for bit, as one that never stopped, on one kind of CPU; on a GPU too while TensorFlow has a
deterministic kernel for every operation, which `prepare_device` asks for, but not from one GPU to another.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from numpy.typing import NDArray
from tqdm import tqdm

from pipeline.augment import augmentation, mixing
from pipeline.checkpoints import Arrays, Checkpoint, State
from pipeline.engine import probabilities
from pipeline.features import Features, TrainingRows
from pipeline.metrics import accuracy, balanced_accuracy, mean_log_loss
from pipeline.optimizer import freeze, plain_optimizer, scheduled_optimizer, use_average
from pipeline.params_model import Augment, FineTune, Monitor, Train, Whole
from pipeline.prepared import Dataset, Split

LOGITS = "logits"  # the last layer's name
CLASSIFIER = "classifier"  # the network's; Keras' own names count what was built before, and stand in the exported file
Rows = NDArray[np.generic] | TrainingRows  # indexed by an array of row numbers
Row = dict[str, float]  # what is known of an epoch
OnEpoch = Callable[[str, Row], None]  # phase, row; may raise to stop it all


@dataclass(frozen=True, slots=True)
class Data:
    """Training and validation images of one dataset, and how much each class counts."""

    dataset: Dataset
    train: Split
    val: Split
    targets: NDArray[np.float32]  # (n, classes), of the training images: one-hot, or softer; rows sum to 1
    class_weights: NDArray[np.float32]  # (classes,)


def number_of(seed: int, *parts: int) -> int:
    """A seed for one purpose out of many."""
    return int(np.random.SeedSequence([seed, *parts]).generate_state(1)[0])


def batches(
    rows: Rows, labels: NDArray[np.generic], batch_size: int, shuffle_seed: int | None = None
) -> tf.data.Dataset:
    """Batches of (rows as float32, their labels), read from disk as they are needed; in order, or shuffled."""
    order = np.arange(len(labels))
    if shuffle_seed is not None:
        order = np.random.default_rng(shuffle_seed).permutation(order)
    shape = (None, *rows.shape[1:])

    def gather(index: NDArray[np.int64]) -> NDArray[np.float32]:
        return rows[index].astype(np.float32)

    def load(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        found = tf.numpy_function(gather, [index], tf.float32, stateful=False)
        return tf.ensure_shape(found, shape), tf.gather(labels, index)

    return tf.data.Dataset.from_tensor_slices(order).batch(batch_size).map(load, num_parallel_calls=1).prefetch(2)


def augmented_batches(data: Data, batch_size: int, augment: Augment, seed: int) -> tf.data.Dataset:
    """One epoch of augmented images, their targets, and how much each image counts; all chance comes from `seed`."""
    change, mix = augmentation(augment, number_of(seed, 1)), mixing(augment, number_of(seed, 2))

    def vary(images: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        images = change(images, training=True)
        if mix:
            images, targets = mix(images, targets)
        return images, targets, tf.linalg.matvec(targets, data.class_weights)

    of_epoch = batches(data.train.images, data.targets, batch_size, number_of(seed, 0))
    return of_epoch.map(vary, num_parallel_calls=1).prefetch(2)


def loss_of(train: Train) -> keras.Loss:
    """What is made small; on one-hot labels and logits."""
    options: dict[str, Any] = {"from_logits": True, "label_smoothing": train.label_smoothing}
    if train.loss == "focal":  # Lin et al., Focal Loss for Dense Object Detection, 2017; classes weigh in elsewhere
        return keras.losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=train.focal_gamma, **options)
    return keras.losses.CategoricalCrossentropy(**options)


def scores(prefix: str, logits: NDArray[np.float32], labels: NDArray[np.int64]) -> Row:
    """Loss (cross-entropy, whatever is made small), accuracy and balanced accuracy."""
    answers = probabilities(logits, 1.0)
    return {
        f"{prefix}_loss": mean_log_loss(labels, answers),
        f"{prefix}_accuracy": accuracy(labels, answers),
        f"{prefix}_balanced_accuracy": balanced_accuracy(labels, answers),
    }


def is_better(row: Row, best: Row | None, monitor: Monitor) -> bool:
    """Whether an epoch is the best so far."""
    if best is None:
        return True
    return row[monitor] < best[monitor] if monitor == "val_loss" else row[monitor] > best[monitor]


def watch(state: State, row: Row, weights: Callable[[], Arrays], monitor: Monitor, patience: int) -> bool:
    """Note an epoch in `state`, and its weights when it is the best so far; whether `patience` is at its end."""
    best = state.history[state.best_epoch] if state.history else None
    state.history.append(row)
    if is_better(row, best, monitor):
        state.best, state.best_epoch = weights(), len(state.history) - 1
    return len(state.history) - 1 - state.best_epoch >= patience


def head(classes: int) -> layers.Dense:
    """The last layer: logits, kept in float32 under mixed precision."""
    return layers.Dense(classes, dtype="float32", name=LOGITS)


def fit_head(
    data: Data, rows: TrainingRows, val: Features, train: Train, seed: int, on_epoch: OnEpoch | None = None
) -> tuple[layers.Dense, list[Row]]:
    """A linear layer on the frozen features, those of augmented views included; and one row an epoch."""
    keras.utils.set_random_seed(seed)  # else the result would depend on what was built before
    how, width = train.head, rows.shape[1]
    targets = np.tile(data.targets, (1 + len(rows.views), 1))
    layer, state = head(len(data.dataset.class_names)), State()
    inputs = keras.Input((width,))
    model = keras.Model(inputs, layer(layers.Dropout(how.dropout, seed=seed)(inputs)))
    model.compile(plain_optimizer(how), loss_of(train))
    plain, val = np.asarray(rows.images), np.asarray(val)

    def end_of_epoch(epoch: int, logs: Row) -> None:
        kernel, bias = layer.get_weights()  # linear: NumPy is as exact, and a hundred times as fast as predict
        row = {
            "epoch": epoch + 1,
            "objective": logs["loss"],
            **scores("train", plain @ kernel + bias, data.train.labels),
            **scores("val", val @ kernel + bias, data.val.labels),
        }
        model.stop_training = watch(state, row, layer.get_weights, train.monitor, how.patience)
        if on_epoch:
            on_epoch("head", row)

    model.fit(
        rows[np.arange(len(rows))], targets, sample_weight=targets @ data.class_weights, batch_size=how.batch_size,
        epochs=how.epochs, callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=end_of_epoch)], verbose=0,
    )  # fmt: skip
    layer.set_weights(state.best)
    return layer, state.history


def assemble(backbone: keras.Model, layer: layers.Dense, dropout: float, seed: int) -> keras.Model:
    """Images in, logits out."""
    features = layers.Dropout(dropout, seed=seed)(backbone.output)
    return keras.Model(backbone.input, layer(features), name=CLASSIFIER)


def fit_images(
    model: keras.Model, backbone: keras.Model, data: Data, how: Whole, train: Train, augment: Augment, seed: int,
    phase: str, checkpoint: Checkpoint | None = None, on_epoch: OnEpoch | None = None,
) -> list[Row]:  # fmt: skip
    """Fit the whole network on augmented images and leave it with its best weights; returns one row an epoch.

    With a checkpoint it goes on where that was left.
    """
    if isinstance(how, FineTune):
        freeze(backbone, how)
    steps = -(-len(data.train.labels) // how.batch_size)
    optimizer = scheduled_optimizer(how, steps * how.epochs, backbone)
    optimizer.build(model.trainable_variables)
    model.compile(optimizer, loss_of(train))
    state = _restored(model, optimizer, checkpoint)
    sample = _sample(data, seed)
    with tqdm(desc=phase, total=steps * how.epochs, initial=steps * len(state.history), unit="step") as bar:
        step = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: bar.update())
        for epoch in range(len(state.history), how.epochs):
            if state.history and len(state.history) - 1 - state.best_epoch >= how.patience:
                break
            _draw_anew(model, number_of(seed, epoch, 3))
            of_epoch = augmented_batches(data, how.batch_size, augment, number_of(seed, epoch))
            objective = model.fit(of_epoch, epochs=1, shuffle=False, verbose=0, callbacks=[step]).history["loss"][0]
            current = model.get_weights()
            use_average(optimizer, model)
            row = {
                "epoch": epoch + 1,
                "objective": objective,
                **scores("train", _logits(model, sample, how.batch_size), sample.labels),
                **scores("val", _logits(model, data.val, how.batch_size), data.val.labels),
            }
            watch(state, row, model.get_weights, train.monitor, how.patience)
            model.set_weights(current)
            if checkpoint:
                state.weights = current
                state.optimizer = [np.asarray(variable) for variable in optimizer.variables]
                checkpoint.save(state)
            if on_epoch:
                on_epoch(phase, row)
    model.set_weights(state.best)
    return state.history


def _restored(model: keras.Model, optimizer: keras.Optimizer, checkpoint: Checkpoint | None) -> State:
    """What the checkpoint holds, put into place; a new state where there is none."""
    state = checkpoint.load() if checkpoint else None
    if state is None:
        return State()
    model.set_weights(state.weights)
    for variable, value in zip(optimizer.variables, state.optimizer, strict=True):
        variable.assign(value)
    return state


def _sample(data: Data, seed: int) -> Split:
    """As many training images as there are for validation, or all: what the network knows of what it has seen."""
    count = min(len(data.train.labels), len(data.val.labels))
    rows = np.sort(np.random.default_rng(number_of(seed, 4)).choice(len(data.train.labels), count, replace=False))
    return Split(data.train.table.iloc[rows], data.train.images[rows], data.train.labels[rows])


def _draw_anew(model: keras.Model, seed: int) -> None:
    """Set what dropout draws from: in the middle of a training it would depend on what was drawn before."""
    for number, layer in enumerate(model._flatten_layers()):
        for generator in vars(layer).values():
            if isinstance(generator, keras.random.SeedGenerator):
                generator.state.assign([number_of(seed, number), 0])


def _logits(model: keras.Model, split: Split, batch_size: int) -> NDArray[np.float32]:
    return np.asarray(model.predict(batches(split.images, split.labels, batch_size), verbose=0), np.float32)
