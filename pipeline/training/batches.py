"""The examples of a training phase, and its batches, epoch by epoch. Fits nothing.

The draws of an epoch depend only on (seed, epoch).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipeline.data.features import TrainingRows
from pipeline.training.augment import Change


@dataclass(frozen=True, slots=True)
class Examples:
    """Rows and their labels; row i of both is the same image."""

    rows: NDArray[np.generic] | TrainingRows  # (n, ...), indexed by an array of row numbers, preferably memory-mapped
    labels: NDArray[np.int64]  # (n,), index into the classes

    def sample(self, count: int, seed: int) -> "Examples":
        """`count` of them, or all, drawn without replacement."""
        chosen = np.sort(np.random.default_rng(seed).permutation(len(self.labels))[:count])
        return Examples(self.rows[chosen], self.labels[chosen])


@dataclass(frozen=True, slots=True)
class Task:
    """What a phase trains on, and what it is evaluated on."""

    phase: str
    train: Examples
    val: Examples
    targets: NDArray[np.float32]  # (n, classes), of `train`: one-hot labels, or softer ones; rows sum to 1
    class_weights: NDArray[np.float32]  # (classes,)
    seed: int
    change: Callable[[int], Change] | None = None  # the random changes of an epoch, given the epoch's seed
    judged_at_once: int = 1024  # rows
    bar: bool = False  # show every step: the phase takes minutes


def epoch_seed(seed: int, epoch: int) -> int:
    """The seed of one epoch, unrelated to those of neighbouring seeds and epochs."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])


def batches(task: Task, batch_size: int, epoch: int, whole: bool = False) -> tf.data.Dataset:
    """The batches of one epoch, shuffled for this epoch, read from disk as they are needed.

    Yields (rows as float32, targets, weights) of `batch_size`. The last batch has what is left; with `whole` an
    incomplete last batch is dropped. A row has the weight of its class; a soft target has the mean of its classes'
    weights by their shares.
    """
    rows, targets, weights = task.train.rows, task.targets, tf.constant(task.class_weights)
    shape, seed = (None, *rows.shape[1:]), epoch_seed(task.seed, epoch)

    def gather(index: NDArray[np.int64]) -> NDArray[np.float32]:
        return rows[index].astype(np.float32)

    def load(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        found = tf.numpy_function(gather, [index], tf.float32, stateful=False)
        return tf.ensure_shape(found, shape), tf.gather(targets, index)

    def weigh(found: tf.Tensor, shares: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        return found, shares, tf.linalg.matvec(shares, weights)

    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    order = tf.data.Dataset.range(len(targets)).shuffle(len(targets), seed=seed).batch(batch_size, drop_remainder=whole)
    read = order.map(load, num_parallel_calls=1)
    changed = read if task.change is None else read.map(task.change(seed))
    return changed.map(weigh).prefetch(2).with_options(options)
