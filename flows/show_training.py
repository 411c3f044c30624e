"""The training of this project on a terminal: how far it is, or where it was interrupted. Changes none."""

import datetime

from flows.show_nights import clock
from pipeline.registry import current
from pipeline.storage import images_lock
from pipeline.storage.training_record import interrupted, last_training

TRAIN = "nightshift train"


def training_lines() -> list[str]:
    """The training that runs, or else another command at work on the images; and one that was interrupted.

    DVC removes the last model when the stage begins: where one is, another training or `dvc checkout` made it since.
    """
    working, record = images_lock.at_work(), last_training()
    if record and record.process.is_alive:
        return [f"A training is at work since {_clock(record.began)}: {record.far} ({record.process.name})"]
    lines = []
    if working:
        what = "A training" if working.command == TRAIN else f"`{working.command}`"
        doing = f": {working.doing}" if working.doing else ""
        lines.append(f"{what} is at work since {_clock(working.process.seen)}{doing} ({working.process.name})")
    if record and not current.is_here() and not (working and working.command == TRAIN):
        lines.append(interrupted(record, f"`{TRAIN}`"))
    return lines


def _clock(when: float) -> str:
    return clock(datetime.datetime.fromtimestamp(when).astimezone(), datetime.datetime.now().astimezone())
