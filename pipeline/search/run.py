"""Searches better parameters: trials of other values, judged on validation images. Never reads the test split.

What trial n tries follows from the seed and the trials before it, so a search that was interrupted tries what an
undisturbed one would have tried.
"""

import gc
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from pipeline.core.log import quiet
from pipeline.core.terminal import progress_bar
from pipeline.search.log import search_log
from pipeline.search.space import Values, rounded, value_of, with_values
from pipeline.search.study import (
    DIVERGED,
    HEAD_STRIDE,
    HISTORY,
    VALUES,
    Search,
    alone,
    bury_the_dead,
    finished,
    is_known,
    is_whole,
    open_study,
)
from pipeline.search.written import Changed, write_values

if TYPE_CHECKING:
    import optuna

    from pipeline.training.inputs import Data

RANDOM_TRIALS = 8  # the present parameters among them; from then on TPE (Bergstra et al., 2011) draws
History = list[tuple[str, dict[str, float]]]  # phase and numbers of each epoch


@dataclass(frozen=True, slots=True)
class Attempt:
    """One finished trial."""

    number: int
    values: Values
    score: float | None  # of the metric; None where it was stopped early
    epochs: int


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a search."""

    search: Search
    attempts: tuple[Attempt, ...]  # in their order
    present: Attempt  # the one with the present parameters

    @property
    def ranked(self) -> list[Attempt]:
        """The attempts that have a score, the best first; of equals the earlier one."""
        sign = 1 if self.search.params.tune.metric == "val_loss" else -1
        scored = [(sign * attempt.score, attempt.number) for attempt in self.attempts if attempt.score is not None]
        return [self.attempts[number] for _, number in sorted(scored)]

    @property
    def winner(self) -> Attempt | None:
        """The best attempt, where it is better than the present parameters."""
        first = next(iter(self.ranked), None)
        return None if first is None or first.score == self.present.score else first


@dataclass(frozen=True, slots=True)
class Ready:
    """What all trials use: images, labels and features, and where they are computed."""

    data: "Data"
    strategy: Any


def run_search(search: Search, trials: int) -> Found:
    """Try until the study has `trials` finished trials, or the time is up; safe to interrupt and to call again.

    Raises NightshiftError when another search runs in this project.
    """
    tune, present = search.params.tune, {name: value_of(search.params, name) for name in search.space}
    ends = time.monotonic() + 60 * tune.timeout if tune.timeout else math.inf
    with alone(), open_study(search) as study, search_log(study, search.params, search.mode, search.images) as shown:
        bury_the_dead(study)
        done = finished(study)
        ready: Callable[[], Ready] = cache(lambda: _prepare(search))
        with progress_bar(desc="tune", total=max(trials, len(done)), initial=len(done), unit="trial") as bar:
            # The present parameters must be among the trials: all others are compared with them.
            while not (known := is_known(done, present)) or (len(done) < trials and time.monotonic() < ends):
                _try(study, search, ready(), len(done), None if known else present)
                done = finished(study)
                shown.update(done)
                bar.set_postfix_str(_best_so_far(done, tune.metric))
                bar.update()
        shown.close(done)
        return _found(search, done, present)


def write_winner(found: Found) -> Changed:
    """Change params.yaml to the best trial's values; returns what was changed, from what to what.

    Raises NightshiftError when the file has changed since the search began: it could undo somebody's work.
    """
    return {} if found.winner is None else write_values(found.search.params, found.winner.values)


def _prepare(search: Search) -> Ready:
    from pipeline.model.device import prepare_device
    from pipeline.training.inputs import read_data

    strategy = prepare_device(search.params.compute, search.params.seed)
    return Ready(read_data(search.params), strategy)


def _try(study: "optuna.Study", search: Search, ready: Ready, number: int, fixed: Values | None) -> None:
    """Trial `number`, counted without those that were killed; with values drawn, or the `fixed` ones."""
    import optuna

    from pipeline.training.batches import epoch_seed

    # A sampler of its own for each trial: what it draws does not depend on how often the search was interrupted.
    study.sampler = optuna.samplers.TPESampler(
        n_startup_trials=RANDOM_TRIALS, seed=epoch_seed(search.params.seed, number)
    )
    if fixed:
        study.enqueue_trial(fixed)
    trial = study.ask(search.space)
    ranges = search.params.tune.ranges
    values = fixed or {name: rounded(trial.params[name], ranges[name]) for name in search.space}
    trial.set_user_attr(VALUES, values)
    history: History = []
    try:
        with quiet():
            score = _score(trial, search, ready, values, history, prune=fixed is None)
    except BaseException:
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        raise
    trial.set_user_attr(HISTORY, history)
    if score is not None and math.isnan(score):
        trial.set_user_attr(DIVERGED, True)
        score = None
    pruned = optuna.trial.TrialState.PRUNED
    study.tell(trial, score, state=pruned if score is None else optuna.trial.TrialState.COMPLETE)


def _score(
    trial: "optuna.Trial", search: Search, ready: Ready, values: Values, history: History, prune: bool
) -> float | None:
    """The metric of the epoch that training would choose; None when the trial was pruned. Fills `history`."""
    from optuna import TrialPruned

    from pipeline.training import recipe
    from pipeline.training.fitting import Diverged

    params, metric = with_values(search.params, values), search.params.tune.metric

    def on_epoch(phase: str, row: dict[str, float]) -> None:
        history.append((phase, row))
        if phase == search.mode and (phase != "head" or row["judgement"] % HEAD_STRIDE == 0):
            trial.report(row[metric], int(row["judgement"]))
            if prune and trial.should_prune():
                raise TrialPruned

    gc.collect()  # the last trial's network
    try:
        if search.mode == "head":
            with ready.strategy.scope():
                found = recipe.fit_head(ready.data, params.train, params.seed, on_epoch=on_epoch)
            return float(found.kept[metric])
        return float(recipe.train(params, ready.data, ready.strategy, on_epoch=on_epoch).kept[metric])
    except TrialPruned:
        return None
    except Diverged:
        return math.nan


def _best_so_far(done: "list[optuna.trial.FrozenTrial]", metric: str) -> str:
    scores = [trial.value for trial in done if trial.state.name == "COMPLETE" and trial.value is not None]
    if not scores:
        return ""
    return f"best {min(scores) if metric == 'val_loss' else max(scores):.4g}"


def _found(search: Search, done: "list[optuna.trial.FrozenTrial]", present: Values) -> Found:
    attempts = tuple(
        Attempt(
            number=number,
            values=trial.user_attrs[VALUES],
            score=trial.value if trial.state.name == "COMPLETE" else None,
            epochs=len(trial.user_attrs[HISTORY]),
        )
        for number, trial in enumerate(done)
    )
    whole = [attempt for attempt, trial in zip(attempts, done, strict=True) if is_whole(trial)]
    now = next(attempt for attempt in whole if attempt.values == present)
    return Found(search, attempts, now)
