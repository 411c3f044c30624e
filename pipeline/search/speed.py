"""How long trainings of one network take on this machine: measured in a few steps before any of them begins."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.params.file import Params
from pipeline.training.inputs import Data, targets_of
from pipeline.training.pace import Pace, fine_tuning

TIMED = 3  # steps
Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Speed:
    """Seconds of the parts of a fine-tuning."""

    start: float  # building the network and its graph, the first steps
    step: float
    judging: float  # one judgement on the validation images and on as many training images

    def seconds(self, pace: Pace) -> float:
        """About how long a whole fine-tuning takes."""
        return self.start + pace.seconds(self.step, self.judging)


def pace_of(params: Params, train: Labels, val: Labels) -> Pace:
    """The steps and judgements of fine-tuning with these parameters, on images with these labels."""
    from pipeline.training.fitting import gap_sample

    return fine_tuning(params.train.fine_tune, len(train), len(val) + gap_sample(val))


def measure_speed(params: Params, data: Data, strategy: Any) -> Speed:
    """Take some steps with the network of `params`, judge some images, and forget what it learnt."""
    from pipeline.backbones.build import build_backbone
    from pipeline.training.augment import random_change
    from pipeline.training.batches import Examples, Task, batches
    from pipeline.training.fitting import gap_sample, loss_of_each, make_judge, make_steps
    from pipeline.training.optimiser import build_optimiser, freeze
    from pipeline.training.recipe import assemble, class_weights, head

    began, how, classes = time.monotonic(), params.train.fine_tune, len(data.dataset.class_names)
    with strategy.scope():
        backbone = build_backbone(params.model, params.images)
        model = assemble(backbone, head(classes), how.dropout, params.seed)
        freeze(backbone, how)
        optimiser = build_optimiser(model, how, how.learning_rate, how.layer_decay)
    steps, judge = make_steps(model, optimiser, loss_of_each(params.train)), make_judge(model, how.batch_size)
    task = Task(
        phase="fine_tune",
        train=Examples(data.train.images, data.train.labels),
        val=Examples(data.val.images, data.val.labels),
        targets=targets_of(data, params.train),
        class_weights=class_weights(data.train.labels, classes, params.train.class_weights),
        seed=params.seed,
        pace=Pace(1 + TIMED, 1, how.batch_size),
        change=lambda seed: random_change(params.augment, seed),
    )
    iterator = iter(strategy.experimental_distribute_dataset(batches(task, task.pace, 0, 1, together=True)))
    some = task.val.sample(how.batch_size, params.seed)
    steps(iterator, 1)
    judge(some)  # both have made their graphs
    start, began = time.monotonic() - began, time.monotonic()
    for _ in range(TIMED):
        float(steps(iterator, 1))
    step, began = (time.monotonic() - began) / TIMED, time.monotonic()
    judge(some)
    of_image = (time.monotonic() - began) / len(some.labels)
    judged = len(data.val.labels) + gap_sample(data.val.labels)
    # A training within a budget also rehearses some steps, to know what the budget allows.
    return Speed(start + (1 + TIMED) * step, step, of_image * judged)
