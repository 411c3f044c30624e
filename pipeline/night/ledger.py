"""The books of a run: its plan, its parts, and their merging; what is done and what is left. Knows no model.

In the run's folder `.nightshift/` holds, while the run is unfinished:
  plan.json            what was decided when the run began; written last, so a plan is whole or not there
  shards/00000.json    the files of a shard, in listing order
  parts/00000.csv      its rows, written whole, then renamed
  known.sqlite         answers of an earlier run that this one may repeat
  model/               the model of this run: a resumed run needs no registry, and never a second model
"""

import datetime
import itertools
import json
import shutil
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.core.log import log
from pipeline.core.parallel import ordered_map
from pipeline.core.paths import PREDICTIONS
from pipeline.night import shard_lists
from pipeline.night.rows import COLUMNS, PREDICTIONS_CSV, Stamp, holds_rows_of, write_rows
from pipeline.storage import lease, stores
from pipeline.storage.files import replacing, sync
from pipeline.storage.folders import folder_at
from pipeline.storage.lease import LedgerError as LedgerError
from pipeline.storage.listing import Listed
from pipeline.storage.stores import Place

WORK = ".nightshift"


class RunPlan(BaseModel):
    """What a run will do; a resumed run does the same."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

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


Done = Generator[tuple[int, int], None, None]  # number and count of files of each shard whose part is written
Settle = Callable[[int, int], RunPlan]  # count of files, count of shards -> the plan; fetches the run's model


@contextmanager
def held(output: Place) -> Iterator[str | None]:
    """Keep other runs off `output`. Gives the name of the run before, if it was killed (a store does not tell).

    Raises LedgerError naming the holder when there is one.
    """
    with folder_at(output).hold() as killed:
        yield killed


def books_of(output: Place) -> Place:
    """The folder in which a run into `output` keeps its books."""
    return output / WORK


def model_of(output: Place) -> Place:
    """The folder in which a run into `output` keeps its model."""
    return books_of(output) / "model"


def known_of(output: Place) -> Place:
    """The file with the answers of an earlier run that one into `output` may repeat."""
    return books_of(output) / "known.sqlite"


@dataclass(frozen=True, slots=True)
class Run:
    """A run with its books open. A process that helps another one gets its Run, and with it the claim to write."""

    output: Place
    plan: RunPlan
    token: str  # the claim on `output`; empty without one

    @classmethod
    def unfinished_in(cls, output: Place) -> "Run | None":
        """The run that is not finished in `output`, if there is one whose plan can be followed."""
        file = books_of(output) / "plan.json"
        try:
            return cls(output, RunPlan.model_validate_json(stores.read_bytes(file)), lease.token(output))
        except FileNotFoundError:
            return None
        except ValidationError as error:  # a disk that lost it in a power cut, or another version of Nightshift
            cause = error.errors()[0]["msg"]
            log.warning("%s is not a plan that can be followed (%s): the run begins again.", file, cause)
            return None

    @classmethod
    def begin(cls, output: Place, listing: Iterable[Listed], shard_size: int, settle: Settle) -> "Run":
        """A new run over the listed files, in shards of at most `shard_size`. Its plan is written last."""
        stores.delete_tree(books_of(output))  # of a plan that was never finished
        return cls._planned(output, settle(*shard_lists.write(books_of(output), listing, shard_size)))

    def begin_beside(self, output: Place, settle: Callable[[], RunPlan]) -> "Run":
        """A new run over the very files of this one, into another folder."""
        clear(output)
        shard_lists.copy(books_of(self.output), books_of(output))
        return self._planned(output, settle())

    @classmethod
    def _planned(cls, output: Place, plan: RunPlan) -> "Run":
        lease.require(output)
        with replacing(books_of(output) / "plan.json") as beside:
            # ASCII, as the shards: the input's name may be no UTF-8.
            beside.write_text(json.dumps(plan.model_dump(), indent=2) + "\n", encoding="ascii")
        return cls(output, plan, lease.token(output))

    def join(self) -> None:
        """Write from this process too, under the claim of the one that holds the output."""
        lease.join(self.output, self.token)

    def shard(self, number: int) -> list[str]:
        """The paths of a shard, as listed. Raises LedgerError when the disk has lost them."""
        return shard_lists.read(books_of(self.output), number)

    def listed(self) -> Iterator[str]:
        """Every path of the plan, in order; a few shards are held at a time."""
        for paths in ordered_map(self.shard, range(self.plan.shards), self._readers):
            yield from paths

    def count_files(self, numbers: Collection[int]) -> int:
        """How many files these shards have; all but the last have as many as the first."""
        last, each = self.plan.shards - 1, len(self.shard(0))
        return len(numbers) * each - (last in numbers) * (self.plan.shards * each - self.plan.files)

    def done(self) -> int:
        """How many files are in shards that have their part."""
        return self.plan.files - self.count_files(self.unfinished())

    def unfinished(self) -> list[int]:
        """The shards without a part that holds this run's rows of their files, all of them, and no others."""
        there = set(stores.names(books_of(self.output) / "parts"))
        return [
            number
            for number in range(self.plan.shards)
            if self._part(number).name not in there or not self._is_whole(number)
        ]

    def _is_whole(self, number: int) -> bool:
        part = self._part(number)
        if not isinstance(part, Path):  # a store has an object whole, or not at all
            return True
        if holds_rows_of(part, self.shard(number), self.plan.stamp):
            return True
        log.warning("%s does not hold the rows that it should: its files are classified again.", part)
        return False

    def write_part(self, number: int, rows: Iterable[list[str]]) -> None:
        """Write the rows of a shard, whole or not at all."""
        with replacing(self._part(number)) as beside:
            write_rows(beside, rows, heading=False)
            lease.require(self.output)

    def merge(self) -> Place:
        """Write all parts, in order, as predictions.csv; returns its path. Raises LedgerError when one is missing."""
        if left := self.unfinished():
            raise LedgerError(
                f"{len(left)} of {self.plan.shards} shards of {self.output} are not done. Run the same command again."
            )
        result = self.output / PREDICTIONS_CSV
        with replacing(result) as beside:
            write_rows(beside, [list(COLUMNS)], heading=False)
            with beside.open("ab") as out:
                parts = (self._part(number) for number in range(self.plan.shards))
                out.writelines(ordered_map(stores.read_bytes, parts, self._readers))
            lease.require(self.output)
        return result

    def close(self) -> None:
        """The run is over: its books are deleted."""
        clear(self.output)

    @property
    def _readers(self) -> int:
        """How many files to read at once: a disk is as fast with one reader, a store is not."""
        return 1 if isinstance(self.output, Path) else stores.THREADS

    def _part(self, number: int) -> Place:
        return books_of(self.output) / "parts" / f"{number:05d}.csv"


def sweep(output: Place) -> None:
    """Remove what killed runs were just writing: it takes space, and nobody else removes it."""
    if not isinstance(output, Path):  # nothing lies beside in a store
        return
    for leftover in itertools.chain(output.glob(".*.tmp"), (output / WORK).glob("**/.*.tmp")):
        shutil.rmtree(leftover, ignore_errors=True)


def clear(output: Place) -> None:
    """Delete the books in `output`. The plan goes first, so that nobody resumes half of them."""
    books = books_of(output)
    stores.delete(books / "plan.json")
    if isinstance(books, Path) and books.is_dir():
        sync(books)  # a power cut must not bring back the plan without its parts
    stores.delete_tree(books)
    sweep(output)


def folder_for(source: Place, suffix: str = "") -> Path:
    """Where a run over `source` without a named output goes: to the one that is unfinished, else to today's folder.

    suffix: what the folder's name has after the date.
    """
    unfinished = [
        folder.parent
        for folder in PREDICTIONS.glob(f"*/{WORK}")
        if (run := Run.unfinished_in(folder.parent)) and run.plan.input == str(source.absolute())
    ]
    today = datetime.datetime.now().astimezone().date().isoformat()
    return max(unfinished, default=PREDICTIONS / f"{today}{suffix}")
