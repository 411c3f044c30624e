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
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline import lease
from pipeline.files import read_json, replacing, sync
from pipeline.lease import LedgerError as LedgerError
from pipeline.lease import held as held
from pipeline.listing import Listed
from pipeline.predictions import COLUMNS, Stamp, holds_rows_of, write_rows
from pipeline.stage import log

WORK = ".nightshift"
COPY_BYTES = 1 << 20


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
    """The plan of the unfinished run in `output`, if there is one that can be followed."""
    file = work_folder(output) / "plan.json"
    try:
        return Plan.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:  # a disk that lost it in a power cut, or another version of Nightshift
        cause = error.errors()[0]["msg"]
        log.warning("%s is no plan that can be followed (%s): the run begins anew.", file, cause)
        return None


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
    lease.require(output)
    with replacing(work_folder(output) / "plan.json") as beside:
        # ASCII, as the shards: the input's name may be no UTF-8.
        beside.write_text(json.dumps(plan.model_dump(), indent=2) + "\n", encoding="ascii")


def read_shard(output: Path, number: int) -> list[str]:
    """The paths of a shard, as listed. Raises LedgerError when the disk has lost them."""
    file = _shard_file(work_folder(output) / "shards", number)
    try:
        paths: list[str] = read_json(file)
    except (FileNotFoundError, ValueError) as error:
        raise LedgerError(
            f"{file}, where the unfinished run of {output} has its list of files, is missing or damaged. Delete "
            f"{work_folder(output)} and run the same command again: it begins anew."
        ) from error
    return paths


def listed(output: Path, plan: Plan) -> Iterator[str]:
    """Every path of the plan, in order; one shard is held at a time."""
    for number in range(plan.shards):
        yield from read_shard(output, number)


def unfinished(output: Path, plan: Plan) -> list[int]:
    """The shards without a part that holds this run's rows of their files, all of them, and no others."""
    return [number for number in range(plan.shards) if not _is_done(output, number, plan)]


def _is_done(output: Path, number: int, plan: Plan) -> bool:
    part = _part_file(output, number)
    if not part.is_file():
        return False
    if holds_rows_of(part, read_shard(output, number), plan.stamp):
        return True
    log.warning("%s does not hold the rows that it should: its files are classified again.", part)
    return False


def write_part(output: Path, number: int, rows: Iterable[list[str]]) -> None:
    """The rows of a shard."""
    with replacing(_part_file(output, number)) as beside:
        write_rows(beside, rows, heading=False)
        lease.require(output)


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
        lease.require(output)
    return result


def sweep(output: Path) -> None:
    """Remove what killed runs were just writing: it takes space, and nobody else does."""
    for leftover in itertools.chain(output.glob(".*.tmp"), work_folder(output).glob("**/.*.tmp")):
        shutil.rmtree(leftover, ignore_errors=True)


def close(output: Path) -> None:
    """The run is over: its books are no longer needed. The plan goes first, so nobody resumes half of them."""
    if work_folder(output).is_dir():
        (work_folder(output) / "plan.json").unlink(missing_ok=True)
        sync(work_folder(output))  # a power cut must not bring back the plan without its parts
        shutil.rmtree(work_folder(output), ignore_errors=True)
    sweep(output)


def _shard_file(shards: Path, number: int) -> Path:
    return shards / f"{number:05d}.json"


def _part_file(output: Path, number: int) -> Path:
    return work_folder(output) / "parts" / f"{number:05d}.csv"
