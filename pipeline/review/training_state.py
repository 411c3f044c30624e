"""How far the project's training is, or how the last one ended, in words for a page. Starts none.

What is told follows from files: the record that `nightshift status` reads, who works with the images, what the last
training that a page started has said, and reports/registration.json. So every server says the same, also one that was
started meanwhile.
"""

import logging
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.core import terminal
from pipeline.core.errors import NightshiftError
from pipeline.core.pages import REPORTS, Link, links_from
from pipeline.core.paths import REGISTRATION
from pipeline.core.text import counted
from pipeline.evaluation.results import Interval, read_evaluation
from pipeline.registry.registration_page import registration_in
from pipeline.registry.registration_result import Registration
from pipeline.review.training_process import SAID, Started, last_started, said
from pipeline.storage import images_lock
from pipeline.storage.files import read_json
from pipeline.storage.process import Process
from pipeline.storage.training_record import interrupted, last_training
from pipeline.versions import dvc

TRAINING = "nightshift train"
REGISTER = "register"  # what comes after the stages of dvc.yaml
AT = {  # stage -> what a person sees it do
    "validate": "looking at every image",
    "preprocess": "decoding the images",
    "embed": "computing what the network sees in each image",
    "audit": "looking for labels that may be wrong",
    "train": "learning",
    "evaluate": "trying the model on the test images",
    REGISTER: "putting the model before the gate",
}
SHORT = "fitting the head"  # a part of the stage `train` that takes seconds, before the long one
AGAIN = "Train again goes on from there: finished stages are kept."

Kind = Literal["none", "running", "done", "refused", "failed", "killed"]  # refused: by the gate


@dataclass(frozen=True, slots=True)
class Training:
    """The training that runs, or the last one."""

    kind: Kind
    name: str = ""  # another one for another training, and for its end
    of_page: bool = False  # whether a page has started it
    headline: str = ""
    lines: tuple[str, ...] = ()
    share: float | None = None  # of all its stages, 0 to 1; None: it does not run, or nobody knows
    links: tuple[Link, ...] = ()  # to its reports


def training_now() -> Training:
    """The training of the project in the current folder."""
    started = last_started()
    running = started if started and started.is_at_work else None
    working, record = images_lock.at_work(), last_training()
    trains = working and working.command == TRAINING
    if running or trains or (record and record.process.is_alive):
        return _running(running, working.doing if working and trains else "")
    if started and _registered() < started.process.seen:
        return _failed(started)
    return _done(started)


def _running(started: Started | None, doing: str) -> Training:
    """doing: of the command that works with the images."""
    stages, record = [*_stages(), REGISTER], last_training()
    is_at_step = record is not None and record.process.is_alive
    stage = "train" if is_at_step else doing.removeprefix("the stage ")
    if not stage and started:
        stage = REGISTER if _finished(stages) >= {*stages[:-1]} else ""
    place = stages.index(stage) if stage in stages else None
    words, within = AT.get(stage, stage) or "it begins", 0.0
    if record and is_at_step:
        is_long = record.steps and not record.doing.startswith(SHORT)
        words, within = record.far, record.step / record.steps if is_long else 0.0
    of = f" (stage {place + 1} of {len(stages)})" if place is not None else ""
    name, by = _name_of(started) if started else "elsewhere", f" by {started.reader}" if started else ""
    since = started.process if started else _process_elsewhere()
    when = f" since {time.strftime('%H:%M', time.localtime(since.seen))}{by}" if since else by
    return Training(
        "running", name, bool(started), f"Training{when}: {words}{of}.",
        ("This page may be closed, and its server ended: the training goes on.",),
        0.0 if place is None else (place + within) / len(stages),
    )  # fmt: skip


def _process_elsewhere() -> Process | None:
    """Of a training that no page has started."""
    if working := images_lock.at_work():
        return working.process
    return None


def _stages() -> list[str]:
    try:
        return dvc.stages()
    except NightshiftError:  # the training itself says it
        return []


def _finished(stages: list[str]) -> set[str]:
    """The stages that the last started training has done, or found unchanged."""
    return {name for name in stages for one in said() if one.text[: terminal.COLUMN].rstrip() == name}


def _failed(started: Started) -> Training:
    """A training that ended, and registered nothing."""
    name, record = f"{_name_of(started)} ended", last_training()
    is_of_it = record is not None and record.process.seen >= started.process.seen
    left = [interrupted(record, "Train")] if record and is_of_it else [AGAIN]
    if errors := [line for one in said() if one.level >= logging.ERROR for line in one.text.splitlines()]:
        return Training("failed", name, True, f"The training failed: {errors[0]}", tuple(errors[1:]))
    if started.status is None or started.status < 0:
        by = f" ({signal.Signals(-started.status).name})" if started.status else ""
        why = "The system ran out of memory, the machine restarted, or a person stopped it."
        return Training("killed", name, True, f"The training was killed{by} and is not finished.", (why, *left))
    words = f"The training ended with status {started.status} and did not say why. What it said is in {SAID}."
    return Training("failed", name, True, words, tuple(left))


def _done(started: Started | None) -> Training:
    """The last training that registered a version."""
    try:
        found = registration_in(read_json(REGISTRATION))
    except (OSError, KeyError, TypeError, ValueError):
        return Training("none")
    model = found.model
    is_champion = found.champion == model.version
    links = links_from(Path(), [(one.words, one.file) for one in REPORTS])
    kind: Kind = "done" if found.decision.passed else "refused"
    return Training(
        kind, f"{model.name} {model.version} {_registered()}", started is not None,
        f"{model.name} version {model.version} is registered. {found.state}",
        tuple(filter(None, [_on_test_images(), *_of_gate(found), *(found.next_steps if not is_champion else [])])),
        links=tuple(links),
    )  # fmt: skip


def _on_test_images() -> str:
    """How good it is, with intervals."""
    try:
        found = read_evaluation()
        accuracy, balanced = (_in_words(found.of(name)) for name in ("accuracy", "balanced_accuracy"))
    except (NightshiftError, KeyError):  # a training that is not finished has removed it
        return ""
    images = counted(found.images, "test image")
    return f"On {images}, which it has not learnt from: accuracy {accuracy}, balanced accuracy {balanced}."


def _in_words(share: Interval) -> str:
    ends = (
        f" ({100 * share.low:.1f} to {100 * share.high:.1f})"
        if share.low is not None and share.high is not None
        else ""
    )
    return f"{100 * share.value:.1f} %{ends}"


def _of_gate(found: Registration) -> list[str]:
    """Why it was promoted, or not."""
    decision = found.decision
    lines = [found.sentence] if decision.compared else []
    lines += [f"Refused: {reason}." for reason in decision.reasons]
    lines += [f"A person has to promote it: {decision.needs_a_person}."] if decision.needs_a_person else []
    return [*lines, *decision.notes]


def _registered() -> float:
    """When the last version was registered; 0: none ever was."""
    with suppress(OSError):
        return REGISTRATION.stat().st_mtime
    return 0.0


def _name_of(started: Started) -> str:
    return f"{started.process.number} {started.process.seen}"
