"""The trials of one automatic training: runs each, keeps it in the study, watches the time. Chooses none of them."""

import gc
import json
import math
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pipeline.core.log import log, quiet
from pipeline.core.terminal import progress_bar
from pipeline.params.file import Params
from pipeline.search.auto_result import AutoResult, Tried, tried_of
from pipeline.search.candidates import Base, base_of_values
from pipeline.search.embedded import Gallery, Measured
from pipeline.search.judging import Judged, judge
from pipeline.search.space import Values, with_values
from pipeline.search.study import DIVERGED, HISTORY, MEASURED, VALUES, finished
from pipeline.storage.files import replacing, sha256

if TYPE_CHECKING:
    import optuna

ANSWERS = "answers"  # a folder beside the features: logits of every whole training for the validation images
TRAINING = "training"  # a folder beside the features: the checkpoints of the one that runs
History = list[tuple[str, dict[str, float]]]  # phase and numbers of each judgement
# Logits (views, n, classes) for the validation images: as they are, and mirrored where they may be.
ViewLogits = NDArray[np.float32]


class OutOfTime(Exception):  # noqa: N818 - what happened
    """The time was over in the middle of a head."""


class Trials:
    """What was tried so far, by this call and earlier ones, and how to try more."""

    def __init__(self, params: Params, study: "optuna.Study", gallery: Gallery, seconds: float) -> None:
        """seconds: for all of this call, from now on."""
        self.params, self.study, self.gallery, self.seconds = params, study, gallery, seconds
        self.began = time.monotonic()
        self.measured: dict[Base, Measured] = {}
        self.notes: list[str] = []
        self.tried = tried_of(finished(study))
        self._bar: tqdm[Any] | None = None

    @cached_property
    def strategy(self) -> Any:
        """Where networks are trained."""
        from pipeline.model.device import prepare_device

        return prepare_device(self.params.compute.alone, self.params.seed)

    @property
    def left(self) -> float:
        """Seconds."""
        return self.began + self.seconds - time.monotonic()

    @property
    def used(self) -> float:
        """The share of the time that is over."""
        return 1 - self.left / self.seconds

    @property
    def has_result(self) -> bool:
        """Whether a trial has a score."""
        return any(one.score is not None for one in self.tried)

    def note(self, words: str) -> None:
        """Say what was left out, now and on the page."""
        self.notes.append(words)
        log.info("%s", words)

    @contextmanager
    def bar(self, what: str, total: int) -> Iterator[None]:
        """A progress bar that each trial advances."""
        with progress_bar(desc=what, total=total, unit="trial", disable=not total) as self._bar:
            try:
                yield
            finally:
                self._bar = None

    def known(self, values: Values) -> Tried | None:
        """The finished trial of these values."""
        return next((one for one in self.tried if one.values == values), None)

    def best_heads(self) -> list[Tried]:
        """The best head of each network whose features are here, the best network first."""
        ranked = [
            one for one in self.result(0).ranked
            if not one.is_tuned and not one.is_averaged and one.base in self.measured
        ]  # fmt: skip
        best: dict[Base, Tried] = {}
        for one in ranked:
            best.setdefault(one.base, one)
        return list(best.values())

    def head(self, base: Base, head: Values) -> None:
        """Fit a head on a network's features, unless that was done; it is given up when the time is over.

        Until there is a result none is given up.
        """

        def fit(history: History) -> Judged:
            from pipeline.training.recipe import fit_head

            def on_epoch(phase: str, row: dict[str, float]) -> None:
                history.append((phase, row))
                if self.left < 0 and self.has_result:
                    raise OutOfTime

            params, data = with_values(base.of(self.params), head), self.gallery.data(base)
            with self.strategy.scope():
                fitted = fit_head(data, params.train, params.seed, on_epoch=on_epoch)
            return judge(fitted.val_logits, data.val, params.evaluate.interval_level)

        try:
            self.attempt(base, base.values | head, fit)
        except OutOfTime:
            self.note(f"{base}: no time for a head, {head['train.head.method']}.")

    def training(self, values: Values) -> Tried:
        """Train a whole network, unless that was done; a training that was interrupted resumes."""

        def fit(history: History) -> Judged:
            found = self.trained(values, 1, history)
            with replacing(self._answers_file(values)) as beside, beside.open("wb") as file:
                np.save(file, found, allow_pickle=False)
            return judge(found[0], self.gallery.splits["val"], self.params.evaluate.interval_level)

        done = self.attempt(base_of_values(values), values, fit)
        self.forget_training()
        return done

    def trained(self, values: Values, number: int, history: History) -> ViewLogits:
        """The answers of a network after its whole training, the first or another one of an ensemble's.

        `history` gets its judgements. A training that was interrupted resumes.
        """
        from pipeline.training.batches import Examples
        from pipeline.training.checkpoints import Checkpoints
        from pipeline.training.ensemble import train_member
        from pipeline.training.fitting import make_judge

        base = base_of_values(values)
        params, data = with_values(base.of(self.params), values), self.gallery.data(base, pixels=True)
        checkpoints = Checkpoints(self.gallery.folder / TRAINING / _name(values))
        found = train_member(number, params, data, self.strategy, checkpoints, lambda *row: history.append(row))
        answer = make_judge(found.model, params.train.fine_tune.batch_size)
        views = [data.val.images, *([data.val.images[:, :, ::-1]] if params.augment.horizontal_flip else [])]
        return np.stack([answer(Examples(images, data.val.labels)) for images in views])

    def forget_training(self) -> None:
        """Remove the checkpoints of the training that was the last; call it once its trial is kept."""
        shutil.rmtree(self.gallery.folder / TRAINING, ignore_errors=True)

    def has_answers(self, values: Values) -> bool:
        """Whether the answers of a whole training are still on disk."""
        return self._answers_file(values).is_file()

    def answers(self, values: Values) -> ViewLogits:
        """The answers of a whole training that was done."""
        return np.asarray(np.load(self._answers_file(values), allow_pickle=False), np.float32)

    def _answers_file(self, values: Values) -> Path:
        return self.gallery.folder / ANSWERS / f"{_name(values)}.npy"

    def result(self, images: int) -> AutoResult:
        """Everything so far; images: of validation."""
        seconds = time.monotonic() - self.began
        return AutoResult(self.params, self.tried, dict(self.measured), tuple(self.notes), images, seconds)

    def attempt(self, base: Base, values: Values, fit: Callable[[History], Judged]) -> Tried:
        """The trial of these values, done by `fit` unless it was done before; it fills the history that it is given."""
        if (known := self.known(values)) is None:
            self._run(base, values, fit)
            self.tried = tried_of(finished(self.study))
            known = self.tried[-1]
        if self._bar is not None:
            self._bar.update()
        return known

    def _run(self, base: Base, values: Values, fit: Callable[[History], Judged]) -> None:
        import optuna

        from pipeline.training.fitting import Diverged

        gc.collect()  # the last trial's network
        trial, began = self.study.ask(), time.monotonic()
        history: History = []
        cost = self.measured[base]
        measured = {"images_per_second": cost.images_per_second, "megabytes": cost.megabytes}
        score = math.nan
        try:
            with quiet():
                found = fit(history)
            measured |= found.metrics
            score = found.score(self.params.tune.metric)
        except Diverged:
            trial.set_user_attr(DIVERGED, True)
        except BaseException:
            self.study.tell(trial, state=optuna.trial.TrialState.FAIL)
            raise
        measured |= _costs(history, time.monotonic() - began)
        for name, value in ((VALUES, values), (HISTORY, history), (MEASURED, measured)):
            trial.set_user_attr(name, value)
        state = optuna.trial.TrialState.PRUNED if math.isnan(score) else optuna.trial.TrialState.COMPLETE
        self.study.tell(trial, None if math.isnan(score) else score, state=state)


def _name(values: Values) -> str:
    return sha256(json.dumps(values, sort_keys=True).encode())[:16]


def _costs(history: History, seconds: float) -> dict[str, float]:
    """Seconds of a trial, before an interruption too; steps and judgements of fine-tuning."""
    before = sum(row.get("seconds", 0.0) for _, row in history)
    steps = [row["steps"] for phase, row in history if phase == "fine_tune"]
    found = {"seconds": max(seconds, before)}
    return found | ({"steps": steps[-1], "judgements": float(len(steps))} if steps else {})
