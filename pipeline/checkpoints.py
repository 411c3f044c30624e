"""Where an interrupted training left off, on disk. Knows arrays and numbers; nothing of what they mean to a network.

A checkpoint lies outside DVC's outputs, which DVC deletes before a stage runs, and is written whole: a training that is
killed at any moment goes on from the last epoch it finished.
"""

import json
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from pipeline.errors import NightshiftError
from pipeline.files import replacing, sha256
from pipeline.stage import log

Arrays = list[NDArray[Any]]
GROUPS = ("weights", "optimizer", "best")


@dataclass
class State:
    """Everything that the next epoch depends on."""

    history: list[dict[str, float]] = field(default_factory=list)  # one row an epoch
    weights: Arrays = field(default_factory=list)
    optimizer: Arrays = field(default_factory=list)
    best: Arrays = field(default_factory=list)  # weights of the best epoch
    best_epoch: int = -1  # counted from 0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The place of one training's checkpoint, named by all that determines its result."""

    file: Path

    def save(self, state: State) -> None:
        """Write the state in the place of the one before."""
        arrays = {f"{group}{i}": array for group in GROUPS for i, array in enumerate(getattr(state, group))}
        words = json.dumps({"history": state.history, "best_epoch": state.best_epoch})
        with replacing(self.file) as beside, beside.open("wb") as out:
            np.savez(out, allow_pickle=False, state=np.array(words), **arrays)

    def load(self) -> State | None:
        """The state saved last; None when there is none, or what is there cannot be read."""
        try:
            with np.load(self.file, allow_pickle=False) as found:
                words = json.loads(str(found["state"]))
                groups = {
                    group: [found[f"{group}{i}"] for i in range(sum(name.startswith(group) for name in found.files))]
                    for group in GROUPS
                }
                return State(words["history"], best_epoch=words["best_epoch"], **groups)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            log.warning("%s cannot be read (%s); the training starts anew.", self.file, error)
            return None


@contextmanager
def checkpoint_of(folder: Path, determined_by: dict[str, Any]) -> Iterator[Checkpoint]:
    """The checkpoint of the training that `determined_by` names; no other process trains in `folder` meanwhile.

    After success the whole folder's checkpoints are gone. Raises NightshiftError when another process is at it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock", blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise NightshiftError(
            f"Another training runs in this project (it holds {lock.lock_file}). Wait for it, or stop it."
        ) from None
    with lock:
        key = sha256(json.dumps(determined_by, sort_keys=True).encode())[:16]
        yield Checkpoint(folder / f"{key}.npz")
        for old in folder.iterdir():
            if old.is_dir():  # of a process that was killed while it wrote
                shutil.rmtree(old, ignore_errors=True)
            elif old.suffix == ".npz":
                old.unlink()
    lock.release()
