"""Gradient descent: steps, judgements on validation images, early stopping, resuming. Knows no files and no backbone.

The draws between two judgements depend on the seed, on how many there were, and on states that the snapshot contains,
so a fit that resumes after its last judgement ends with the same bits as one that was never interrupted.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from numpy.typing import NDArray

from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.evaluation.metrics import accuracy, balanced_accuracy, mean_log_loss
from pipeline.model.engine import probabilities
from pipeline.params.model import Descent, Monitor, Train
from pipeline.training.batches import Examples, Task, batches
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.pace import Pace
from pipeline.training.progress import Progress
from pipeline.training.state import State, restore
from pipeline.training.timing import Judge, Steps, mean_over_replicas, paced

Epoch = dict[str, float]  # the measurements of one judgement, by column of the curves; one an epoch, or more, or fewer
OnEpoch = Callable[[str, Epoch], None]  # phase, measurements; may raise to end the training

GAP_SAMPLE = 256  # training images to measure at each judgement, like the validation images: precise to half a point


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
) -> Steps:
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


def make_judge(model: keras.Model, at_once: int) -> Judge:
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


def judged(
    train_logits: NDArray[np.float32], train_labels: NDArray[np.int64],
    val_logits: NDArray[np.float32], val_labels: NDArray[np.int64],
) -> Epoch:  # fmt: skip
    """The measurements on some training images and on the validation images, and how far they are apart."""
    found = measure(train_logits, train_labels, "train") | measure(val_logits, val_labels, "val")
    gap_loss, gap_accuracy = found["val_loss"] - found["train_loss"], found["train_accuracy"] - found["val_accuracy"]
    return found | {"gap_loss": gap_loss, "gap_accuracy": gap_accuracy}


def gap_sample(val_labels: NDArray[np.int64]) -> int:
    """How many training images to measure beside so many validation images."""
    return min(GAP_SAMPLE, len(val_labels))


def best_epoch(history: list[Epoch], monitor: Monitor) -> int:
    """The judgement, counted from 0, with the best `monitor`; the first of equals."""
    values = [epoch[monitor] for epoch in history]
    return values.index(min(values) if monitor == "val_loss" else max(values))


def fit(
    model: keras.Model, optimiser: keras.optimizers.Optimizer, task: Task, how: Descent, train: Train,
    checkpoints: Checkpoints | None = None, on_epoch: OnEpoch | None = None,
) -> list[Epoch]:  # fmt: skip
    """Fit `model` until `train.monitor` stops improving, and leave it with its best weights; one row a judgement.

    No row where the time of the task does not allow any step. Resumes if `checkpoints` has a snapshot of this phase;
    `on_epoch` gets its rows too. Raises Diverged.
    """
    state = State(model, optimiser)
    steps, judge = make_steps(model, optimiser, loss_of_each(train)), make_judge(model, task.judged_at_once)
    sample = task.train.sample(gap_sample(task.val.labels), task.seed)
    together = model.distribute_strategy.num_replicas_in_sync > 1  # then every replica needs rows

    before = restore(checkpoints, task.phase, state)
    history, best, finished = (before.history, before.arrays["best"], before.finished) if before else ([], [], False)
    _agree_on(len(history) + finished, model.distribute_strategy)
    if before:
        pace = replace(task.pace, steps=before.pace[0], judgements=before.pace[1])
        log.info("%s resumes after step %d of %d.", task.doing.capitalize(), pace.until(len(history)), pace.steps)
    else:
        pace = paced(task, state, steps, judge, len(sample.labels))
        finished = not pace.steps
        if checkpoints and task.seconds is not None:  # another time of day would decide otherwise
            best = model.get_weights()
            checkpoints.save(task.phase, lambda: state.take([], best, finished, pace), always=True)
    if task.rate:
        task.rate.take(pace.steps)
    for epoch in history:
        if on_epoch:
            on_epoch(task.phase, epoch)
    iterator = None
    made, rows = pace.judgements if finished else len(history), len(task.val.labels) + len(sample.labels)
    with Progress(task, pace, made, checkpoints, rows) as progress:
        while not finished:
            started, number = time.monotonic(), len(history)
            count = pace.until(number + 1) - pace.until(number)
            if iterator is None or task.change:  # each judgement begins with other changes
                dataset = batches(task, pace, number, number + 1 if task.change else pace.judgements, together)
                iterator = iter(model.distribute_strategy.experimental_distribute_dataset(dataset))
            total = 0.0
            for _ in range(count if task.slow else 1):
                total += float(steps(iterator, 1 if task.slow else count))
                progress.steps(1 if task.slow else count)
            with averaged(model, optimiser, how):
                epoch = {
                    **_place(task, pace, number + 1),
                    "objective": total / count,
                    **judged(judge(sample), sample.labels, judge(task.val), task.val.labels),
                }
                _check(task.phase, epoch)
                history.append(epoch | {"seconds": time.monotonic() - started})
                if best_epoch(history, train.monitor) == number:
                    best = model.get_weights()
            finished, kept = is_finished(history, pace, how.patience, train.monitor), False
            if checkpoints:
                take = lambda: state.take(history, best, finished, pace)  # noqa: B023, E731
                kept = checkpoints.save(task.phase, take, always=finished)
            progress.judged(history[-1], kept=kept, finished=finished)
            if on_epoch:
                on_epoch(task.phase, history[-1])
    if history:
        model.set_weights(best)
    return history


def is_finished(history: list[Epoch], pace: Pace, patience: int, monitor: Monitor) -> bool:
    """Whether all steps are done, or `patience` judgements have passed since the best one."""
    return len(history) >= pace.judgements or len(history) - 1 - best_epoch(history, monitor) >= patience


def _place(task: Task, pace: Pace, judgement: int) -> Epoch:
    """Where a judgement is: its number, the steps before it, and the passes over the training rows."""
    passes = judgement if pace.pass_rows else round(pace.rows_until(judgement) / len(task.train.labels), 2)
    return {"judgement": judgement, "steps": pace.until(judgement), "epoch": passes}


@contextmanager
def averaged(model: keras.Model, optimiser: keras.optimizers.Optimizer, how: Descent) -> Iterator[None]:
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


def _agree_on(done: int, strategy: tf.distribute.Strategy) -> None:
    """Raise NightshiftError when machines that train together would start from different epochs."""
    if mean_over_replicas(done, strategy) != done:
        raise NightshiftError(
            "The machines that train together do not see the same checkpoints. Let them share the project's folder, "
            "or remove models/checkpoints on all of them; then start them again."
        )


def _check(phase: str, epoch: Epoch) -> None:
    if not all(map(math.isfinite, epoch.values())):
        raise Diverged(
            f"NaN loss after {epoch['steps']} steps of {phase}: the learning rate is too high. "
            f"Lower train.{phase}.learning_rate, or set train.{phase}.clip_norm, e.g. to 1.0."
        )


def as_table(history: list[Epoch], phase: str) -> pd.DataFrame:
    """The judgements of a phase as a table, without their durations, which differ from run to run."""
    return pd.DataFrame(history).drop(columns="seconds", errors="ignore").assign(phase=phase)
