"""How far a phase is, as people see it: a bar in a terminal, elsewhere a line now and then, and `nightshift status`."""

import logging
import time
from types import TracebackType
from typing import Self

from pipeline.core.log import log
from pipeline.core.terminal import progress_bar, shows_bars
from pipeline.core.text import about
from pipeline.training.batches import Task
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.pace import FORWARD, Pace

SAID_EVERY = 60.0  # seconds between two lines, at least
TIMED = 3  # steps, after the first one, which also makes the graph


def say_how_long(task: Task, pace: Pace, seconds: float) -> None:
    """The line that says about how many seconds the phase takes."""
    shorter = f"; train.budget_minutes shortens it from {task.pace.steps} steps" if pace.steps < task.pace.steps else ""
    log.info(
        "%s takes %s on this machine, as busy as it is now: %d steps of %d images, judged %d times%s.",
        task.doing.capitalize(), about(seconds), pace.steps, pace.batch_size, pace.judgements, shorter,
    )  # fmt: skip


class Progress:
    """One phase's; a context in which its bar is shown."""

    def __init__(self, task: Task, pace: Pace, judgements: int, checkpoints: Checkpoints | None, rows: int) -> None:
        """judgements: those that an earlier process has made; rows: so many are looked at in each."""
        self._task, self._pace = task, pace
        self._recorder, network = (checkpoints.recorder, checkpoints.network) if checkpoints else (None, 1)
        self._doing = f"{task.doing} of network {network}" if network > 1 else task.doing
        self._first = self._step = self._kept = pace.until(judgements)
        self._began = self._said = self._timed = time.monotonic()
        self._rows = rows
        self._bar = progress_bar(
            desc=task.phase, total=pace.steps, initial=self._first, unit="step",
            disable=not task.slow or judgements >= pace.judgements,
        )  # fmt: skip

    def __enter__(self) -> Self:
        """Show the bar."""
        self._record(now=True)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        """Take it away."""
        self._bar.close()

    def steps(self, count: int) -> None:
        """So many more steps are done."""
        self._step += count
        self._bar.update(count)
        self._record(now=False)
        if self._task.slow and self._task.seconds is None and not self._first:
            self._time()

    def _time(self) -> None:
        """Say once how long the phase takes. With a time of its own it has been rehearsed, and this is known."""
        if self._step == 1:
            self._timed = time.monotonic()
        elif self._step == 1 + TIMED:
            step = (time.monotonic() - self._timed) / TIMED
            judging = step / self._pace.batch_size * FORWARD * self._rows
            say_how_long(self._task, self._pace, self._pace.seconds(step, judging))

    def judged(self, epoch: dict[str, float], *, kept: bool, finished: bool) -> None:
        """A judgement is made. kept: it has a checkpoint; finished: it is the phase's last."""
        self._kept = self._step if kept else self._kept
        self._record(now=True)
        number, pace, now = int(epoch["judgement"]), self._pace, time.monotonic()
        if number % (1 if self._task.slow else max(1, pace.judgements // 10)):
            return
        in_a_file = self._task.slow and not finished and not shows_bars() and now - self._said >= SAID_EVERY
        left = self._left
        log.log(
            logging.INFO if in_a_file else logging.DEBUG,
            "%s: %s, validation log loss %.3f, accuracy %.3f%s",
            self._doing.capitalize(),
            f"epoch {number} of {pace.judgements}" if pace.pass_rows else f"step {self._step} of {pace.steps}",
            epoch["val_loss"], epoch["val_accuracy"], "" if left is None or finished else f", {about(left)} left",
        )  # fmt: skip
        self._said = now if in_a_file else self._said

    @property
    def _left(self) -> float | None:
        """Seconds until the last step, at the rate since this process began with the phase, judgements included."""
        done, left = self._step - self._first, self._pace.steps - self._step
        return left * (time.monotonic() - self._began) / done if done else None

    def _record(self, *, now: bool) -> None:
        if self._recorder:
            self._recorder.note(self._doing, self._step, self._pace.steps, self._kept, self._left, now=now)
