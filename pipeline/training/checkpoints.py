"""Checkpoints on disk, from which a killed training resumes. Knows arrays and numbers, not what they mean.

The files are `models/checkpoints/<key>/<phase>.npz`, outside the outs of DVC, which empties those before a stage runs;
of the second network of an ensemble `network_2_<phase>.npz`, and so on.
The key is a hash of everything that the result depends on, so no training resumes from the state of another. Each
checkpoint is written whole, then renamed; a zip archive has a checksum of each array, so damage on disk is detected.
"""

import io
import json
import os
import shutil
import socket
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.storage.files import replacing
from pipeline.storage.training_record import Recorder

COST = 0.1  # checkpoints take at most this share of the time
KEPT_SECONDS = 7 * 24 * 3600  # checkpoints of an unfinished training that nobody resumed are deleted after this time
FAULTS = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)  # raised by a damaged checkpoint

Arrays = dict[str, list[NDArray[np.generic]]]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of a phase at a judgement, or before its first step."""

    history: list[dict[str, float]]  # one row a judgement
    finished: bool
    arrays: Arrays  # by name: weights, optimiser, ...
    pace: tuple[int, int]  # the steps and judgements that were decided on


@dataclass(slots=True)
class Checkpoints:
    """The checkpoints of one training."""

    folder: Path
    writes: bool = True  # of several machines that train together only one writes
    network: int = 1  # of an ensemble, counted from 1
    recorder: Recorder | None = None  # of what `nightshift status` shows; None: this training is none of the stage's
    _free_from: float = field(default=0.0, init=False)  # the time from which the next checkpoint may be written

    def load(self, phase: str) -> Snapshot | None:
        """The last snapshot of `phase`. None if there is none; None with a warning if it is damaged."""
        file = self._file(phase)
        if not file.is_file():
            return None
        try:
            return _decode(file.read_bytes())
        except FAULTS as error:
            log.warning("%s is damaged and is ignored (%s); %s starts again from its first step.", file, error, phase)
            return None

    def save(self, phase: str, take: Callable[[], Snapshot], always: bool = False) -> bool:
        """Write the snapshot that `take` returns, if `always` or if COST allows another one now; whether it did."""
        started = time.monotonic()
        if not self.writes or (started < self._free_from and not always):
            return False
        snapshot = take()
        with replacing(self._file(phase)) as beside:
            _encode(beside, snapshot)
        ended = time.monotonic()
        self._free_from = ended + (ended - started) / COST
        return True

    def of(self, network: int) -> "Checkpoints":
        """Those of one network of an ensemble, counted from 1."""
        return replace(self, network=network)

    def _file(self, phase: str) -> Path:
        return self.folder / (f"{phase}.npz" if self.network == 1 else f"network_{self.network}_{phase}.npz")


def _encode(file: Path, snapshot: Snapshot) -> None:
    arrays = {
        f"{name}.{number}": array for name, group in snapshot.arrays.items() for number, array in enumerate(group)
    }
    counts = {name: len(group) for name, group in snapshot.arrays.items()}
    words = {"history": snapshot.history, "finished": snapshot.finished, "pace": snapshot.pace, "counts": counts}
    np.savez(file, words=np.array(json.dumps(words)), allow_pickle=False, **arrays)


def _decode(content: bytes) -> Snapshot:
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        words = json.loads(str(stored["words"]))
        arrays = {
            name: [stored[f"{name}.{number}"] for number in range(count)] for name, count in words["counts"].items()
        }
    steps, judgements = words["pace"]
    return Snapshot(words["history"], words["finished"], arrays, (steps, judgements))


@contextmanager
def training(root: Path, key: str, writes: bool = True) -> Iterator[Checkpoints]:
    """The checkpoints of the training `key` below `root`, for one process; removed when the block succeeds.

    Raises NightshiftError when another training is running below `root`.
    """
    if not writes:
        yield Checkpoints(root / key, writes)
        return
    root.mkdir(parents=True, exist_ok=True)
    holder = root / "holder"
    try:
        with FileLock(root / "lock", timeout=0):  # the operating system releases a dead process's lock
            holder.write_text(f"process {os.getpid()} on {socket.gethostname()}\n", encoding="utf-8")
            recorder = Recorder(root, key)
            recorder.note("reading the images")
            found = Checkpoints(root / key, recorder=recorder)
            if found.folder.is_dir():
                log.info("Resuming an interrupted training.")
            found.folder.mkdir(exist_ok=True)
            yield found
            recorder.forget()
            shutil.rmtree(found.folder)
            _forget_old(root)
    except Timeout:
        who = holder.read_text(encoding="utf-8").strip() if holder.is_file() else "another process"
        raise NightshiftError(
            f"A training is already running in {root.parent.absolute()} ({who}). Wait until it has ended, or stop it; "
            "then run the same command again."
        ) from None


def _forget_old(root: Path) -> None:
    for folder in root.iterdir():
        if folder.is_dir() and time.time() - folder.stat().st_mtime > KEPT_SECONDS:
            shutil.rmtree(folder)
