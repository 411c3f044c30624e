"""The training of this project on a terminal: how far it is, or where it was interrupted. Changes none."""

import datetime

from flows.show_nights import clock
from pipeline.core.text import about
from pipeline.registry import current
from pipeline.storage import images_lock
from pipeline.storage.training_record import TrainingRecord, last_training, phases_kept

TRAIN = "nightshift train"


def training_lines() -> list[str]:
    """The training that runs, or else another command at work on the images; and one that was interrupted.

    DVC removes the last model when the stage begins: where one is, another training or `dvc checkout` made it since.
    """
    working, record = images_lock.at_work(), last_training()
    if record and record.process.is_alive:
        return [f"A training is at work since {_clock(record.began)}: {_far(record)} ({record.process.name})"]
    lines = []
    if working:
        what = "A training" if working.command == TRAIN else f"`{working.command}`"
        doing = f": {working.doing}" if working.doing else ""
        lines.append(f"{what} is at work since {_clock(working.process.seen)}{doing} ({working.process.name})")
    if record and not current.is_here() and not (working and working.command == TRAIN):
        lines.append(_interrupted(record))
    return lines


def _far(record: TrainingRecord) -> str:
    """Such as `fine-tuning, step 120 of 300, about 4 min left`."""
    if not record.steps:
        return record.doing
    left = record.seconds_left
    said = f", {about(left)} left" if left is not None and record.step < record.steps else ""
    return f"{record.doing}, step {record.step:,} of {record.steps:,}{said}"


def _interrupted(record: TrainingRecord) -> str:
    """Where it was, and where the next training goes on, if from somewhere."""
    at = f", at step {record.step:,} of {record.steps:,}" if record.steps else ""
    said = f"The last training was interrupted while {record.doing}{at}."
    if not any(phases_kept(record)):
        return f"{said} `{TRAIN}` starts it again."
    of_steps = f"step {record.kept:,}" if record.kept else "the first step of that"
    place = of_steps if record.steps else "there"
    return f"{said} `{TRAIN}` goes on from {place}, if images, parameters and Nightshift are as they were."


def _clock(when: float) -> str:
    return clock(datetime.datetime.fromtimestamp(when).astimezone(), datetime.datetime.now().astimezone())
