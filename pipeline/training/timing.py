"""How long a phase will take on this machine, from its first steps; and how many steps its time allows."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipeline.core.log import log
from pipeline.training.batches import Examples, Task, batches
from pipeline.training.pace import Pace
from pipeline.training.progress import TIMED, say_how_long
from pipeline.training.state import State

Steps = Callable[[Any, int], tf.Tensor]  # train on so many batches of an iterator; the sum of their losses
Judge = Callable[[Examples], NDArray[np.float32]]  # logits (n, classes), without random changes


def paced(task: Task, state: State, steps: Steps, judge: Judge, sample: int) -> Pace:
    """The pace that the task's time allows, by the time that some steps and judgements take; a line about it.

    Where any time is allowed nothing is rehearsed: `Progress` says after the first steps how long it takes.
    """
    if task.seconds is None or not task.pace.steps:
        return task.pace
    started, strategy = time.monotonic(), state.model.distribute_strategy
    step, judging = _rehearse(task, state, steps, judge)
    judging *= len(task.val.labels) + sample
    step, judging = mean_over_replicas(step, strategy), mean_over_replicas(judging, strategy)
    allowed = task.pace.within(task.seconds - (time.monotonic() - started), step, judging)
    count, judgements = (int(mean_over_replicas(one, strategy)) for one in (allowed.steps, allowed.judgements))
    pace = replace(task.pace, steps=count, judgements=judgements)
    if not pace.steps:
        log.warning(
            "%s is left out: train.budget_minutes leaves %.1f minutes, and a step of %d images takes %.1f s. Raise it, "
            "or use smaller images.",
            task.doing.capitalize(), max(task.seconds or 0, 0) / 60, pace.batch_size, step,
        )  # fmt: skip
    else:
        say_how_long(task, pace, pace.seconds(step, judging))
    return pace


def _rehearse(task: Task, state: State, steps: Steps, judge: Judge) -> tuple[float, float]:
    """The seconds that a step takes, and judging one row; leaves no trace."""
    before = state.take([], [], False, task.pace)
    strategy = state.model.distribute_strategy
    trial = Pace(1 + TIMED, 1, task.pace.batch_size)
    together = strategy.num_replicas_in_sync > 1  # as when fitting: batches of another kind would need another graph
    iterator = iter(strategy.experimental_distribute_dataset(batches(task, trial, 0, 1, together)))
    steps(iterator, 1)  # makes the graph, too
    started = time.monotonic()
    for _ in range(TIMED):
        float(steps(iterator, 1))
    of_steps = (time.monotonic() - started) / TIMED
    some = task.val.sample(task.judged_at_once, task.seed)
    judge(some)
    started = time.monotonic()
    judge(some)
    state.put_back(before)
    return of_steps, (time.monotonic() - started) / len(some.labels)


def mean_over_replicas(value: float, strategy: tf.distribute.Strategy) -> float:
    """The mean over all replicas, the same on every machine."""
    if strategy.num_replicas_in_sync == 1:
        return value

    @tf.function  # type: ignore[untyped-decorator]
    def mean() -> tf.Tensor:
        own = strategy.run(lambda: tf.constant(value, tf.float32))
        return strategy.reduce(tf.distribute.ReduceOp.MEAN, own, axis=None)

    return float(mean())
