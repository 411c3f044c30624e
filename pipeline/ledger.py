"""The plan of a run, its parts, its lock, and their merging: what is done and what is left. Knows no model.

In the run's folder `.nightshift/` holds, while the run is unfinished:
  plan.json            what was decided when the run began; written last, so a plan is whole or not there
  shards/00000.json    the files of a shard, in listing order
  parts/00000.csv      its rows, written whole, then renamed
  known.sqlite         answers of an earlier run that this one may repeat
  model/               the model of this run: a resumed run needs no registry, and never a second model
"""

import itertools
import json
import os
import shutil
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict

from pipeline.errors import NightshiftError
from pipeline.files import read_json, replacing
from pipeline.listing import Listed
from pipeline.predictions import COLUMNS, Stamp, write_rows

WORK = ".nightshift"
COPY_BYTES = 1 << 20


class LedgerError(NightshiftError):
    """The output folder is in use, or belongs to another run."""


class Plan(BaseModel):
    """What a run will do; a resumed run does the same."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: str
    model_name: str
    model_version: str
    contract_hash: str
    started_at: str  # ISO 8601, UTC
    files: int
    shards: int

    @property
    def stamp(self) -> Stamp:
        """What every row of this run carries."""
        return Stamp(self.model_name, self.model_version, self.started_at)


@contextmanager
def held(output: Path) -> Iterator[None]:
    """Keep other runs off `output`. The operating system lets go of it when the holder dies, however it dies.

    Raises LedgerError naming the holder when there is one.
    """
    output.mkdir(parents=True, exist_ok=True)
    lock, holder = FileLock(output / f"{WORK}.lock"), output / f"{WORK}.holder"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        who = holder.read_text(encoding="utf-8") if holder.exists() else "another process"
        raise LedgerError(f"{output} is in use by {who}. Wait until it has ended, or name another folder.") from None
    try:
        holder.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def work_folder(output: Path) -> Path:
    """Where a run keeps its books."""
    return output / WORK


def known_file(output: Path) -> Path:
    """Where answers of an earlier run are, if this one may repeat them."""
    return work_folder(output) / "known.sqlite"


def done(output: Path, plan: Plan) -> int:
    """How many files are in shards that have their part."""
    left = set(unfinished(output, plan))
    return sum(len(read_shard(output, number)) for number in range(plan.shards) if number not in left)


def read_plan(output: Path) -> Plan | None:
    """The plan of the unfinished run in `output`, if there is one."""
    file = work_folder(output) / "plan.json"
    return Plan.model_validate(read_json(file)) if file.is_file() else None


def write_shards(output: Path, listing: Iterable[Listed], shard_size: int) -> tuple[int, int]:
    """Write the listing as shards of at most `shard_size` files; returns how many files and how many shards.

    The listing is not held in memory, whatever its length.
    """
    files = shards = 0
    paths = (listed.path for listed in listing)
    with replacing(work_folder(output) / "shards") as beside:
        beside.mkdir()
        while shard := list(itertools.islice(paths, shard_size)):
            # ASCII: a name that is no UTF-8 is kept as escaped surrogates.
            _shard_file(beside, shards).write_text(json.dumps(shard), encoding="ascii")
            files, shards = files + len(shard), shards + 1
    return files, shards


def copy_shards(output: Path, other: Path) -> None:
    """Give the run in `other` the listing of the one in `output`."""
    with replacing(work_folder(other) / "shards") as beside:
        shutil.copytree(work_folder(output) / "shards", beside)


def write_plan(output: Path, plan: Plan) -> None:
    """The last act of planning."""
    with replacing(work_folder(output) / "plan.json") as beside:
        # ASCII, as the shards: the input's name may be no UTF-8.
        beside.write_text(json.dumps(plan.model_dump(), indent=2) + "\n", encoding="ascii")


def read_shard(output: Path, number: int) -> list[str]:
    """The paths of a shard, as listed."""
    paths: list[str] = read_json(_shard_file(work_folder(output) / "shards", number))
    return paths


def listed(output: Path, plan: Plan) -> Iterator[str]:
    """Every path of the plan, in order; one shard is held at a time."""
    for number in range(plan.shards):
        yield from read_shard(output, number)


def unfinished(output: Path, plan: Plan) -> list[int]:
    """The shards without a part."""
    return [number for number in range(plan.shards) if not _part_file(output, number).is_file()]


def write_part(output: Path, number: int, rows: Iterable[list[str]]) -> None:
    """The rows of a shard."""
    with replacing(_part_file(output, number)) as beside:
        write_rows(beside, rows, heading=False)


def merge(output: Path, plan: Plan) -> Path:
    """All parts, in order, as predictions.csv; returns its path. Raises LedgerError when a part is missing."""
    if left := unfinished(output, plan):
        raise LedgerError(f"{len(left)} of {plan.shards} shards of {output} are not done. Run the same command again.")
    result = output / "predictions.csv"
    with replacing(result) as beside:
        write_rows(beside, [list(COLUMNS)], heading=False)
        with beside.open("ab") as out:
            for number in range(plan.shards):
                with _part_file(output, number).open("rb") as part:
                    shutil.copyfileobj(part, out, COPY_BYTES)
    return result


def close(output: Path) -> None:
    """The run is over: its books are no longer needed. The plan goes first, so nobody resumes half of them."""
    (work_folder(output) / "plan.json").unlink(missing_ok=True)
    for leftover in (work_folder(output), *output.glob(".*.tmp")):  # a killed merge leaves its half beside
        shutil.rmtree(leftover, ignore_errors=True)


def _shard_file(shards: Path, number: int) -> Path:
    return shards / f"{number:05d}.json"


def _part_file(output: Path, number: int) -> Path:
    return work_folder(output) / "parts" / f"{number:05d}.csv"
