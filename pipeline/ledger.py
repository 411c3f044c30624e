"""The plan of a run, its parts, its lock, and their merging: what is done and what is left. Knows no model.

In the run's folder `.nightshift/` holds, while the run is unfinished:
  plan.json            what was decided when the run began; written last, so a plan is whole or not there
  shards/00000.json    the files of a shard, in listing order
  parts/00000.csv      its rows, written whole, then renamed
  model/               the model of this run: a resumed run needs no registry, and never a second model
"""

import itertools
import json
import os
import socket
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict

from pipeline import lease, stores
from pipeline.errors import NightshiftError
from pipeline.files import read_json, replacing, write_json
from pipeline.listing import Listed
from pipeline.parallel import ordered_map
from pipeline.predictions import COLUMNS, Stamp, write_rows
from pipeline.stores import Place

WORK = ".nightshift"


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
def held(output: Place) -> Iterator[None]:
    """Keep other runs off `output`. The operating system lets go of it when the holder dies, however it dies.

    Raises LedgerError, in a store LeaseError, naming the holder when there is one.
    """
    if not isinstance(output, Path):
        with lease.held(output, f"{WORK}.lock"):
            yield
        return
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


def work_folder(output: Place) -> Place:
    """Where a run keeps its books."""
    return output / WORK


def read_plan(output: Place) -> Plan | None:
    """The plan of the unfinished run in `output`, if there is one."""
    try:
        return Plan.model_validate(read_json(work_folder(output) / "plan.json"))
    except FileNotFoundError:
        return None


def write_shards(output: Place, listing: Iterable[Listed], shard_size: int) -> tuple[int, int]:
    """Write the listing as shards of at most `shard_size` files; returns how many files and how many shards.

    The listing is not held in memory, whatever its length.
    """
    files = shards = 0
    coming, folder = _shards_of(listing, shard_size), work_folder(output) / "shards"
    if not isinstance(folder, Path):  # one by one, many at once; they count only when the plan is written

        def write(shard: tuple[int, list[str]]) -> int:
            stores.write_bytes(folder / _shard_name(shard[0]), _as_json(shard[1]))
            return len(shard[1])

        for count in ordered_map(write, coming, stores.THREADS):
            files, shards = files + count, shards + 1
        return files, shards
    with replacing(folder) as beside:
        beside.mkdir()
        for number, shard in coming:
            (beside / _shard_name(number)).write_bytes(_as_json(shard))
            files, shards = files + len(shard), shards + 1
    return files, shards


def _shards_of(listing: Iterable[Listed], shard_size: int) -> Iterator[tuple[int, list[str]]]:
    paths, numbers = (listed.path for listed in listing), itertools.count()
    while shard := list(itertools.islice(paths, shard_size)):
        yield next(numbers), shard


def _as_json(shard: list[str]) -> bytes:
    return json.dumps(shard).encode("ascii")  # a name that is no UTF-8 is kept as escaped surrogates


def write_plan(output: Place, plan: Plan) -> None:
    """The last act of planning."""
    write_json(work_folder(output) / "plan.json", plan.model_dump())


def read_shard(output: Place, number: int) -> list[str]:
    """The paths of a shard, as listed."""
    paths: list[str] = read_json(work_folder(output) / "shards" / _shard_name(number))
    return paths


def listed(output: Place, plan: Plan) -> Iterator[str]:
    """Every path of the plan, in order; a few shards are held at a time."""
    for paths in ordered_map(partial(read_shard, output), range(plan.shards), _readers(output)):
        yield from paths


def count_files(output: Place, plan: Plan, numbers: Collection[int]) -> int:
    """How many files these shards have; all but the last have as many as the first."""
    last, each = plan.shards - 1, len(read_shard(output, 0))
    return len(numbers) * each - (last in numbers) * (plan.shards * each - plan.files)


def unfinished(output: Place, plan: Plan) -> list[int]:
    """The shards without a part."""
    there = set(stores.names(work_folder(output) / "parts"))
    return [number for number in range(plan.shards) if _part_file(output, number).name not in there]


def _readers(output: Place) -> int:
    """How many files to read at once: a disk is as fast with one reader, a store is not."""
    return 1 if isinstance(output, Path) else stores.THREADS


def write_part(output: Place, number: int, rows: Iterable[list[str]]) -> None:
    """The rows of a shard."""
    with replacing(_part_file(output, number)) as beside:
        write_rows(beside, rows, heading=False)


def merge(output: Place, plan: Plan) -> Place:
    """All parts, in order, as predictions.csv; returns its path. Raises LedgerError when a part is missing."""
    if left := unfinished(output, plan):
        raise LedgerError(f"{len(left)} of {plan.shards} shards of {output} are not done. Run the same command again.")
    result = output / "predictions.csv"
    with replacing(result) as beside:
        write_rows(beside, [list(COLUMNS)], heading=False)
        with beside.open("ab") as out:
            parts = (_part_file(output, number) for number in range(plan.shards))
            out.writelines(ordered_map(stores.read_bytes, parts, _readers(output)))
    return result


def close(output: Place) -> None:
    """The run is over: its books are no longer needed. The plan goes first, so nobody resumes half of them."""
    stores.delete(work_folder(output) / "plan.json")
    stores.delete_tree(work_folder(output))
    for leftover in output.glob(".*.tmp") if isinstance(output, Path) else ():  # a killed merge leaves its half beside
        stores.delete_tree(leftover)


def _shard_name(number: int) -> str:
    return f"{number:05d}.json"


def _part_file(output: Place, number: int) -> Place:
    return work_folder(output) / "parts" / f"{number:05d}.csv"
