"""The plan of a run, its parts, and their merging: what is done and what is left. Knows no model.

In the run's folder `.nightshift/` holds, while the run is unfinished:
  plan.json            what was decided when the run began; written last, so a plan is whole or not there
  shards/00000.json    the files of a shard, in listing order
  parts/00000.csv      its rows, written whole, then renamed
  known.sqlite         answers of an earlier run that this one may repeat
  model/               the model of this run: a resumed run needs no registry, and never a second model
"""

import itertools
import json
import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.core.log import log
from pipeline.core.parallel import ordered_map
from pipeline.night.rows import COLUMNS, Stamp, holds_rows_of, write_rows
from pipeline.storage import lease, store_lease, stores
from pipeline.storage.files import read_json, replacing, sync
from pipeline.storage.lease import LedgerError as LedgerError
from pipeline.storage.listing import Listed
from pipeline.storage.stores import Place

WORK, KNOWN = ".nightshift", "known.sqlite"


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
def held(output: Place) -> Iterator[str | None]:
    """Keep other runs off `output`. Gives the name of the run before, if it was killed (in a store that is not seen).

    Raises LedgerError, in a store LeaseError, naming the holder when there is one.
    """
    with lease.held(output) if isinstance(output, Path) else store_lease.held(output, lease.LOCK) as killed:
        yield killed


def work_folder(output: Place) -> Place:
    """Where a run keeps its books."""
    return output / WORK


def known_file(output: Place) -> Place:
    """Where answers of an earlier run are, if this one may repeat them."""
    return work_folder(output) / KNOWN


def done(output: Place, plan: Plan) -> int:
    """How many files are in shards that have their part."""
    return plan.files - count_files(output, plan, unfinished(output, plan))


def read_plan(output: Place) -> Plan | None:
    """The plan of the unfinished run in `output`, if there is one that can be followed."""
    file = work_folder(output) / "plan.json"
    try:
        return Plan.model_validate_json(stores.read_bytes(file))
    except FileNotFoundError:
        return None
    except ValidationError as error:  # a disk that lost it in a power cut, or another version of Nightshift
        cause = error.errors()[0]["msg"]
        log.warning("%s is no plan that can be followed (%s): the run begins anew.", file, cause)
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


def copy_shards(output: Place, other: Place) -> None:
    """Give the run in `other` the listing of the one in `output`."""
    ours, theirs = (work_folder(place) / "shards" for place in (output, other))
    if isinstance(ours, Path) and isinstance(theirs, Path):
        with replacing(theirs) as beside:
            shutil.copytree(ours, beside)
        return
    for name in stores.names(ours):
        with replacing(theirs / name) as beside:
            beside.write_bytes(stores.read_bytes(ours / name))


def _shards_of(listing: Iterable[Listed], shard_size: int) -> Iterator[tuple[int, list[str]]]:
    paths, numbers = (listed.path for listed in listing), itertools.count()
    while shard := list(itertools.islice(paths, shard_size)):
        yield next(numbers), shard


def _as_json(shard: list[str]) -> bytes:
    return json.dumps(shard).encode("ascii")  # a name that is no UTF-8 is kept as escaped surrogates


def write_plan(output: Place, plan: Plan) -> None:
    """The last act of planning."""
    lease.require(output)
    with replacing(work_folder(output) / "plan.json") as beside:
        # ASCII, as the shards: the input's name may be no UTF-8.
        beside.write_text(json.dumps(plan.model_dump(), indent=2) + "\n", encoding="ascii")


def read_shard(output: Place, number: int) -> list[str]:
    """The paths of a shard, as listed. Raises LedgerError when the disk has lost them."""
    file = work_folder(output) / "shards" / _shard_name(number)
    try:
        paths: list[str] = read_json(file)
    except (FileNotFoundError, ValueError) as error:
        raise LedgerError(
            f"{file}, where the unfinished run of {output} has its list of files, is missing or damaged. Delete "
            f"{work_folder(output)} and run the same command again: it begins anew."
        ) from error
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
    """The shards without a part that holds this run's rows of their files, all of them, and no others."""
    there = set(stores.names(work_folder(output) / "parts"))
    return [
        number
        for number in range(plan.shards)
        if _part_file(output, number).name not in there or not _is_whole(output, number, plan)
    ]


def _is_whole(output: Place, number: int, plan: Plan) -> bool:
    part = _part_file(output, number)
    if not isinstance(part, Path):  # a store has an object whole, or not at all
        return True
    if holds_rows_of(part, read_shard(output, number), plan.stamp):
        return True
    log.warning("%s does not hold the rows that it should: its files are classified again.", part)
    return False


def _readers(output: Place) -> int:
    """How many files to read at once: a disk is as fast with one reader, a store is not."""
    return 1 if isinstance(output, Path) else stores.THREADS


def write_part(output: Place, number: int, rows: Iterable[list[str]]) -> None:
    """The rows of a shard."""
    with replacing(_part_file(output, number)) as beside:
        write_rows(beside, rows, heading=False)
        lease.require(output)


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
        lease.require(output)
    return result


def sweep(output: Place) -> None:
    """Remove what killed runs were just writing: it takes space, and nobody else does."""
    if not isinstance(output, Path):  # nothing lies beside in a store
        return
    for leftover in itertools.chain(output.glob(".*.tmp"), (output / WORK).glob("**/.*.tmp")):
        shutil.rmtree(leftover, ignore_errors=True)


def close(output: Place) -> None:
    """The run is over: its books are no longer needed. The plan goes first, so nobody resumes half of them."""
    books = work_folder(output)
    stores.delete(books / "plan.json")
    if isinstance(books, Path) and books.is_dir():
        sync(books)  # a power cut must not bring back the plan without its parts
    stores.delete_tree(books)
    sweep(output)


def _shard_name(number: int) -> str:
    return f"{number:05d}.json"


def _part_file(output: Place, number: int) -> Place:
    return work_folder(output) / "parts" / f"{number:05d}.csv"
