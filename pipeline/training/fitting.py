"""Gradient descent over epochs: steps, validation, early stopping, resuming. Knows no files and no backbone.

The draws of an epoch depend on (seed, epoch) and on states that the snapshot contains, so a fit that resumes after its
last whole epoch ends with the same bits as one that was never interrupted.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from numpy.typing import NDArray
from tqdm import tqdm

from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.evaluation.metrics import accuracy, balanced_accuracy, mean_log_loss
from pipeline.model.engine import probabilities
from pipeline.params.model import Fit, Monitor, Train
from pipeline.training.batches import Examples, Task, batches
from pipeline.training.checkpoints import Checkpoints, Snapshot

Epoch = dict[str, float]  # the measurements of one epoch, by column of the curves
OnEpoch = Callable[[str, Epoch], None]  # phase, epoch; may raise to end the training


GAP_SAMPLE = 256  # training images to measure after each epoch, like the validation images: precise to half a point


class Diverged(NightshiftError):  # noqa: N818 - what happened
    """The loss is NaN or infinite."""


def loss_of_each(train: Train) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """The loss of each row, from targets and logits.

    Focal loss: Lin et al., Focal Loss for Dense Object Detection, 2017, without its class weights; those are
    `class_weights` here.
    """
    common: dict[str, Any] = {"from_logits": True, "label_smoothing": train.label_smoothing, "reduction": None}
    if train.loss == "focal":
        return keras.losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=train.focal_gamma, **common)  # type: ignore[no-any-return]
    return keras.losses.CategoricalCrossentropy(**common)  # type: ignore[no-any-return]


def make_steps(
    model: keras.Model, optimiser: keras.optimizers.Optimizer, loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
) -> Callable[[Any, int], tf.Tensor]:
    """A function that trains on a given number of batches of an iterator, and returns the sum of their losses.

    A loss is the mean over the batch, on any number of replicas. We do not call `model.fit`, which fails on several
    machines (it takes the mean over a batch of a value that is already one number).
    """
    strategy = model.distribute_strategy

    def of_replica(rows: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        replica = tf.distribute.get_replica_context()
        count = replica.all_reduce(tf.distribute.ReduceOp.SUM, tf.shape(rows)[0])
        with tf.GradientTape() as tape:
            found = tf.reduce_sum(loss(labels, model(rows, training=True)) * weights) / tf.cast(count, tf.float32)
            found += sum(model.losses) / strategy.num_replicas_in_sync
            scaled = optimiser.scale_loss(found)
        optimiser.apply(tape.gradient(scaled, model.trainable_variables), model.trainable_variables)
        return found

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def steps(iterator: Any, count: int) -> tf.Tensor:
        total = tf.constant(0.0)
        for _ in tf.range(count):
            parts = strategy.run(of_replica, args=next(iterator))
            total += strategy.reduce(tf.distribute.ReduceOp.SUM, parts, axis=None)
        return total

    return steps  # type: ignore[no-any-return]


def make_judge(model: keras.Model, at_once: int) -> Callable[[Examples], NDArray[np.float32]]:
    """A function that returns the model's logits (n, classes) for examples, without any random change."""

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def forward(rows: tf.Tensor) -> tf.Tensor:
        return model(rows, training=False)

    def judge(examples: Examples) -> NDArray[np.float32]:
        count = len(examples.labels)
        parts = [np.arange(start, min(start + at_once, count)) for start in range(0, count, at_once)]
        found = [np.asarray(forward(tf.constant(examples.rows[part].astype(np.float32)))) for part in parts]
        return np.concatenate(found)

    return judge


def measure(logits: NDArray[np.float32], labels: NDArray[np.int64], split: str) -> Epoch:
    """Plain cross-entropy, accuracy and balanced accuracy: the same for every loss, so that epochs compare."""
    found = probabilities(logits, 1.0)
    return {
        f"{split}_loss": mean_log_loss(labels, found),
        f"{split}_accuracy": accuracy(labels, found),
        f"{split}_balanced_accuracy": balanced_accuracy(labels, found),
    }


def best_epoch(history: list[Epoch], monitor: Monitor) -> int:
    """The epoch, counted from 0, with the best `monitor`; the first of equals."""
    values = [epoch[monitor] for epoch in history]
    return values.index(min(values) if monitor == "val_loss" else max(values))


def is_better(new: Epoch, old: Epoch, monitor: Monitor) -> bool:
    """Whether `new` is strictly better."""
    return best_epoch([old, new], monitor) == 1


def fit(
    model: keras.Model, optimiser: keras.optimizers.Optimizer, task: Task, how: Fit, train: Train,
    checkpoints: Checkpoints | None = None, on_epoch: OnEpoch | None = None,
) -> list[Epoch]:  # fmt: skip
    """Fit `model` until `train.monitor` stops improving, and leave it with its best weights; one row per epoch.

    Resumes if `checkpoints` has a snapshot of this phase; `on_epoch` gets its epochs too. Raises Diverged.
    """
    state = _State(model, optimiser)
    steps, judge = make_steps(model, optimiser, loss_of_each(train)), make_judge(model, task.judged_at_once)
    sample = task.train.sample(min(GAP_SAMPLE, len(task.val.labels)), task.seed)
    together = model.distribute_strategy.num_replicas_in_sync > 1  # then every replica needs rows
    batch_size = min(how.batch_size, len(task.train.labels)) if together else how.batch_size
    count = len(task.train.labels) // batch_size if together else -(-len(task.train.labels) // batch_size)

    history, best, finished = _restore(checkpoints, task.phase, state)
    _agree_on(len(history) + finished, model.distribute_strategy)
    for epoch in history:
        if on_epoch:
            on_epoch(task.phase, epoch)
    bar = tqdm(
        desc=task.phase, total=how.epochs * count, initial=len(history) * count, unit="step",
        disable=not task.bar or finished,
    )  # fmt: skip
    with bar:
        while not finished:
            started, number = time.monotonic(), len(history)
            dataset = batches(task, batch_size, number, whole=together)
            iterator = iter(model.distribute_strategy.experimental_distribute_dataset(dataset))
            total = 0.0
            for _ in range(count if task.bar else 1):
                total += float(steps(iterator, 1 if task.bar else count))
                bar.update(1 if task.bar else count)
            with averaged(model, optimiser, how):
                epoch = {
                    "epoch": number + 1,
                    "objective": total / count,
                    **measure(judge(sample), sample.labels, "train"),
                    **measure(judge(task.val), task.val.labels, "val"),
                }
                epoch["gap_loss"] = epoch["val_loss"] - epoch["train_loss"]
                epoch["gap_accuracy"] = epoch["train_accuracy"] - epoch["val_accuracy"]
                _check(task.phase, epoch)
                history.append(epoch | {"seconds": time.monotonic() - started})
                if best_epoch(history, train.monitor) == number:
                    best = model.get_weights()
            finished = is_finished(history, how, train.monitor)
            if checkpoints:
                checkpoints.save(task.phase, lambda: state.take(history, best, finished), always=finished)  # noqa: B023
            _say(task, how, history[-1])
            if on_epoch:
                on_epoch(task.phase, history[-1])
    model.set_weights(best)
    return history


def is_finished(history: list[Epoch], how: Fit, monitor: Monitor) -> bool:
    """Whether all epochs are done, or `patience` epochs have passed since the best one."""
    return len(history) >= how.epochs or len(history) - 1 - best_epoch(history, monitor) >= how.patience


@contextmanager
def averaged(model: keras.Model, optimiser: keras.optimizers.Optimizer, how: Fit) -> Iterator[None]:
    """Swap in the weights averaged over the steps, if training keeps them; swap the model's own back at the end."""
    if not how.ema:
        yield
        return
    own = [variable.numpy() for variable in model.trainable_variables]
    optimiser.finalize_variable_values(model.trainable_variables)
    try:
        yield
    finally:
        for variable, value in zip(model.trainable_variables, own, strict=True):
            variable.assign(value)


@dataclass(frozen=True, slots=True)
class _State:
    """Everything that the next epoch depends on: weights, states of random layers, the optimiser."""

    model: keras.Model
    optimiser: keras.optimizers.Optimizer

    def take(self, history: list[Epoch], best: list[NDArray[np.generic]], finished: bool) -> Snapshot:
        arrays = {"best": best}
        if not finished:
            arrays |= {
                "model": [variable.numpy() for variable in self.model.variables],
                "optimiser": [variable.numpy() for variable in self.optimiser.variables],
            }
        return Snapshot(list(history), finished, arrays)

    def fits(self, snapshot: Snapshot) -> bool:
        expected = {"best": self.model.weights, "model": self.model.variables, "optimiser": self.optimiser.variables}
        return all(
            [array.shape for array in arrays] == [tuple(variable.shape) for variable in expected[name]]
            for name, arrays in snapshot.arrays.items()
        )

    def put_back(self, snapshot: Snapshot) -> None:
        for name, variables in (("model", self.model.variables), ("optimiser", self.optimiser.variables)):
            for variable, array in zip(variables, snapshot.arrays.get(name, ()), strict=not snapshot.finished):
                variable.assign(array)


def _restore(
    checkpoints: Checkpoints | None, phase: str, state: _State
) -> tuple[list[Epoch], list[NDArray[np.generic]], bool]:
    """Epochs, best weights and whether the phase is finished, from the snapshot; without one, those of the start."""
    snapshot = checkpoints.load(phase) if checkpoints else None
    if snapshot is None:
        return [], [], False
    if not state.fits(snapshot):
        log.warning("The checkpoint of %s belongs to another network and is ignored; the phase starts again.", phase)
        return [], [], False
    state.put_back(snapshot)
    log.info("%s resumes after epoch %d", phase, len(snapshot.history))
    return list(snapshot.history), snapshot.arrays["best"], snapshot.finished


def _agree_on(done: int, strategy: tf.distribute.Strategy) -> None:
    """Raise NightshiftError when machines that train together would start from different epochs."""
    if strategy.num_replicas_in_sync == 1:
        return

    @tf.function  # type: ignore[untyped-decorator]
    def total() -> tf.Tensor:
        return strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(lambda: tf.constant(done)), axis=None)

    if int(total()) != done * strategy.num_replicas_in_sync:
        raise NightshiftError(
            "The machines that train together do not see the same checkpoints. Let them share the project's folder, "
            "or remove models/checkpoints on all of them; then start them again."
        )


def _check(phase: str, epoch: Epoch) -> None:
    if not all(map(math.isfinite, epoch.values())):
        raise Diverged(
            f"NaN loss in epoch {epoch['epoch']:.0f} of {phase}: the learning rate is too high. "
            f"Lower train.{phase}.learning_rate, or set train.{phase}.clip_norm, e.g. to 1.0."
        )


def _say(task: Task, how: Fit, epoch: Epoch) -> None:
    every = 1 if task.bar else max(1, how.epochs // 10)
    if epoch["epoch"] % every == 0:
        log.info(
            "%s, epoch %d of %d: loss %.3f, validation loss %.3f, validation accuracy %.3f",
            task.phase, epoch["epoch"], how.epochs, epoch["objective"], epoch["val_loss"], epoch["val_accuracy"],
        )  # fmt: skip


def as_table(history: list[Epoch], phase: str) -> pd.DataFrame:
    """The epochs of a phase as a table, without their durations, which differ from run to run."""
    return pd.DataFrame(history).drop(columns="seconds").assign(phase=phase)
