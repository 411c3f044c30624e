"""What the training of a project says of itself while it runs, in a small file beside its checkpoints.

`nightshift status` reads it. It is gone when the training has ended well; one that was interrupted leaves it.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pipeline.core.paths import CHECKPOINTS
from pipeline.core.text import about
from pipeline.storage.files import read_json, write_json
from pipeline.storage.process import Process, process_of, this_process

FILE = "progress.json"
APART = 5.0  # seconds between two writes, at least


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """How far a training is, or was when it was interrupted."""

    process: Process
    key: str  # the folder of its checkpoints
    began: float  # seconds since 1970
    doing: str  # such as `fine-tuning`
    step: int = 0
    steps: int = 0  # of what it is doing; 0: not counted
    kept: int = 0  # the step of its last checkpoint
    left: float | None = None  # seconds until the last step, by this run's rate; None: not known yet

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the last step, as of now."""
        return None if self.left is None else max(0.0, self.left - (time.time() - self.process.seen))

    @property
    def far(self) -> str:
        """Such as `fine-tuning, step 120 of 300, about 4 min left`."""
        if not self.steps:
            return self.doing
        left = self.seconds_left
        said = f", {about(left)} left" if left is not None and self.step < self.steps else ""
        return f"{self.doing}, step {self.step:,} of {self.steps:,}{said}"


@dataclass(slots=True)
class Recorder:
    """Writes the record of the training that runs in this process."""

    root: Path  # of all checkpoints
    key: str
    began: float = field(default_factory=time.time)
    _free_from: float = field(default=0.0, init=False)  # the time from which it may be written again

    def note(
        self, doing: str, step: int = 0, steps: int = 0, kept: int = 0, left: float | None = None, *, now: bool = True
    ) -> None:
        """Write how far the training is; without `now` only if the last time is long enough ago."""
        if not now and time.monotonic() < self._free_from:
            return
        record = TrainingRecord(this_process(), self.key, self.began, doing, step, steps, kept, left)
        with suppress(OSError):  # no result depends on it
            write_json(self.root / FILE, asdict(record))
        self._free_from = time.monotonic() + APART

    def forget(self) -> None:
        """The training has ended well: nothing is left, nor of a run that was killed while it wrote."""
        with suppress(OSError):
            (self.root / FILE).unlink(missing_ok=True)
        for leftover in self.root.glob(f".{FILE}.*.tmp"):
            shutil.rmtree(leftover, ignore_errors=True)


def last_training(root: Path = CHECKPOINTS) -> TrainingRecord | None:
    """The record of the training that runs, or of the last one if that was interrupted."""
    try:
        found = read_json(root / FILE)
        left = found["left"]
        return TrainingRecord(
            process_of(found["process"]), str(found["key"]), float(found["began"]), str(found["doing"]),
            int(found["step"]), int(found["steps"]), int(found["kept"]), None if left is None else float(left),
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError):
        return None


def phases_kept(record: TrainingRecord, root: Path = CHECKPOINTS) -> Iterator[Path]:
    """The checkpoints of an interrupted training."""
    return (root / record.key).glob("*.npz")


def interrupted(record: TrainingRecord, again: str) -> str:
    """Where a training was, and where the next one goes on, if from somewhere. again: what starts that."""
    at = f", at step {record.step:,} of {record.steps:,}" if record.steps else ""
    said = f"The last training was interrupted while {record.doing}{at}."
    if not any(phases_kept(record)):
        return f"{said} {again} starts it again."
    of_steps = f"step {record.kept:,}" if record.kept else "the first step of that"
    place = of_steps if record.steps else "there"
    return f"{said} {again} goes on from {place}, if images, parameters and Nightshift are as they were."
