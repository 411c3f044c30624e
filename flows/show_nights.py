"""The unfinished nights on a terminal: how far each has come, and when it goes on. Changes none."""

import datetime
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pipeline.core.text import about, shown
from pipeline.night.at_work import Unfinished, unfinished
from pipeline.night.ledger import PARTS, WORK
from pipeline.night.outputs import command_over, is_in_predictions, relative
from pipeline.storage.folders import folder_at


@dataclass(frozen=True, slots=True)
class Input:
    """A folder that a run of a deployment classifies."""

    source: str
    output: str = ""  # empty: the run finds or begins one in predictions/
    model_name: str = ""  # empty: the one in params.yaml


@dataclass(frozen=True, slots=True)
class Coming:
    """A run of a deployment that is planned: when, and what of."""

    at: datetime.datetime
    deployment: str
    inputs: list[Input]


def unfinished_lines(plans: Callable[[], Iterable[Coming]]) -> list[str]:
    """Each unfinished night. plans: gives the runs that are planned, soonest first; called if a night waits for one."""
    if not (nights := unfinished()):
        return []
    waiting = any(not night.is_at_work for night in nights)
    coming = list(plans()) if waiting else []
    now = datetime.datetime.now().astimezone()
    return ["Unfinished nights:", *(f"  {line_of(night, coming, now)}" for night in nights)]


def line_of(night: Unfinished, coming: Iterable[Coming], now: datetime.datetime) -> str:
    """One of them, such as `predictions/2026-01-02: 3,072 of 5,000, version 2, since 02:00, about 12 min left`."""
    return f"{_short(night)}: {', '.join(_parts_of(night, coming, now))}"


def _parts_of(night: Unfinished, coming: Iterable[Coming], now: datetime.datetime) -> Iterable[str]:
    done = night.run.counted() if night.run else 0
    if night.run:
        yield f"{done:,} of {night.run.plan.files:,}"
        yield f"version {night.run.plan.model_version}"
    if night.is_at_work:
        if night.begun:
            yield f"since {clock(datetime.datetime.fromisoformat(night.begun.began), now)}"
        if not night.run:
            yield "lists the files"
        elif seconds := _left(night, done, now):
            yield f"{about(seconds)} left"
        elif done == night.run.plan.files:
            yield "writes the results"
        return
    yield f"killed ({night.killed.name})" if night.killed else "stopped"
    if when := next((one for one in coming if _is_over(one, night)), None):
        yield f"goes on {clock(when.at, now)} (`{when.deployment}`)"
    else:
        yield f"goes on with `{command_over(night.source, night.output)}`"


def _left(night: Unfinished, done: int, now: datetime.datetime) -> float | None:
    """Seconds until the last file has its row, at this run's rate; None while nobody can say."""
    parts = [] if night.output.local is None else list((night.output.local / WORK / PARTS).glob("*.csv"))
    if not (night.run and night.begun and parts):
        return None
    newest = max(part.stat().st_mtime for part in parts)
    took = newest - datetime.datetime.fromisoformat(night.begun.began).timestamp()
    classified, files = done - night.begun.done, night.run.plan.files
    if classified <= 0 or took <= 0 or done >= files:
        return None
    return max(1.0, (files - done) * took / classified - (now.timestamp() - newest))


def _is_over(one: Coming, night: Unfinished) -> bool:
    """Whether a planned run goes on with this night: by the rule of `folder_for`."""
    for wanted in one.inputs:
        if wanted.output:
            is_there = folder_at(wanted.output).is_at(str(night.output))
        else:
            is_there = is_in_predictions(night.output)
        is_its_model = not wanted.model_name or not night.run or wanted.model_name == night.run.plan.model_name
        if is_there and is_its_model and folder_at(wanted.source).is_at(night.source):
            return True
    return False


def _short(night: Unfinished) -> str:
    return shown(relative(str(night.output)))


def clock(when: datetime.datetime, now: datetime.datetime) -> str:
    """By the clock on the wall; with its date if that is not today."""
    local = when.astimezone()
    return f"{local:%H:%M}" if local.date() == now.astimezone().date() else f"{local:%Y-%m-%d %H:%M}"
