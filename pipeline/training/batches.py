"""The examples of a training phase, and its batches. Fits nothing.

The draws depend only on the seed and on how many judgements there were before.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipeline.data.features import TrainingRows
from pipeline.training.augment import Change
from pipeline.training.optimiser import WarmUpAndCosine
from pipeline.training.pace import Pace


@dataclass(frozen=True, slots=True)
class Examples:
    """Rows and their labels; row i of both is the same image."""

    rows: NDArray[np.generic] | TrainingRows  # (n, ...), indexed by an array of row numbers, preferably memory-mapped
    labels: NDArray[np.int64]  # (n,), index into the classes

    def sample(self, count: int, seed: int) -> "Examples":
        """`count` of them, or all, drawn without replacement."""
        chosen = np.sort(np.random.default_rng(seed).permutation(len(self.labels))[:count])
        return Examples(self.rows[chosen], self.labels[chosen])


DOING = {"head": "fitting the head", "fine_tune": "fine-tuning", "scratch": "training from scratch"}  # phases, in words


@dataclass(frozen=True, slots=True)
class Task:
    """What a phase trains on, at which pace, and what it is evaluated on."""

    phase: str
    train: Examples
    val: Examples
    targets: NDArray[np.float32]  # (n, classes), of `train`: one-hot labels, or softer ones; rows sum to 1
    class_weights: NDArray[np.float32]  # (classes,)
    seed: int
    pace: Pace
    change: Callable[[int], Change] | None = None  # the random changes until the next judgement, given a seed for them
    judged_at_once: int = 1024  # rows
    slow: bool = False  # it takes minutes: say beforehand how many, and show every step
    seconds: float | None = None  # that it may take; None: any
    rate: WarmUpAndCosine | None = None  # the optimiser's, to end with the last step

    @property
    def doing(self) -> str:
        """The phase in words."""
        return DOING[self.phase]


def epoch_seed(seed: int, epoch: int) -> int:
    """The seed of one epoch, unrelated to those of neighbouring seeds and epochs."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])


def stream(rows: int, seed: int, start: int, stop: int) -> NDArray[np.int64]:
    """Places `start` to `stop` of an endless stream of row numbers, below `rows`; each pass has each row once."""
    passes = range(start // rows, -(-stop // rows))
    found = [np.random.default_rng([seed, number]).permutation(rows) for number in passes]
    first = start - passes.start * rows
    return np.concatenate([*found, np.empty(0, np.int64)])[first : first + stop - start]


def batches(task: Task, pace: Pace, judged: int, until: int, together: bool = False) -> tf.data.Dataset:
    """The batches between the judgements `judged` and `until`, counted from 0, read from disk as they are needed.

    Yields (rows as float32, targets, weights) of the pace's batch size. The last batch before a judgement has what is
    left; `together`: every batch is full, as each replica needs rows. A row has the weight of its class; a soft target
    has the mean of its classes' weights by their shares. A random change has one seed for all of them.
    """
    rows, targets, weights = task.train.rows, task.targets, tf.constant(task.class_weights)
    shape, seed = (None, *rows.shape[1:]), epoch_seed(task.seed, judged)

    def order(judgement: int) -> NDArray[np.int64]:
        return stream(len(targets), task.seed, pace.rows_until(judgement), pace.rows_until(judgement + 1))

    def choose(judgement: tf.Tensor) -> tf.data.Dataset:
        found = tf.ensure_shape(tf.numpy_function(order, [judgement], tf.int64, stateful=False), (None,))
        return tf.data.Dataset.from_tensor_slices(found).batch(pace.batch_size, drop_remainder=together)

    def gather(index: NDArray[np.int64]) -> NDArray[np.generic]:
        return rows[index]

    def load(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        found = tf.numpy_function(gather, [index], rows.dtype, stateful=False)
        return tf.ensure_shape(found, shape), tf.gather(targets, index)

    def convert(found: tf.Tensor, shares: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.cast(found, tf.float32), shares

    def weigh(found: tf.Tensor, shares: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        return found, shares, tf.linalg.matvec(shares, weights)

    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    read = tf.data.Dataset.range(judged, until).flat_map(choose).map(load, num_parallel_calls=1)
    changed = read.map(convert if task.change is None else task.change(seed))
    return changed.map(weigh).prefetch(2).with_options(options)
