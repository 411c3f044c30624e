"""The ledger of a run: its plan, its parts, and their merging; what is done and what is left. Knows no model.

In the run's folder `.nightshift/` holds, while the run is unfinished:
  plan.json            what was decided when the run began; written last, so a plan is whole or not there
  shards/00000.json    the files of a shard, in listing order
  parts/00000.csv      its rows, written whole, then renamed
  known.sqlite         answers of an earlier run that this one may repeat
  model/               the model of this run: a resumed run needs no registry, and never uses a second model
"""

import contextlib
import json
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.core.log import log
from pipeline.core.parallel import ordered_map
from pipeline.night import shard_lists
from pipeline.night.moments import Moment
from pipeline.night.rows import PREDICTIONS_CSV, Stamp, columns_of, holds_rows_of, write_rows
from pipeline.storage import output_lock
from pipeline.storage.folders import Folder
from pipeline.storage.left_aside import LeftAside
from pipeline.storage.listing import Listed
from pipeline.storage.output_lock import LedgerError as LedgerError
from pipeline.storage.stores import Place

WORK, PLAN, PARTS, MODEL = ".nightshift", "plan.json", "parts", "model"


class RunPlan(BaseModel):
    """What a run will do; a resumed run does the same."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    input: str
    model_name: str
    model_version: str
    contract_hash: str
    started_at: Moment  # UTC
    files: int
    shards: int
    columns: int | None = None  # of the run's rows; None: begun by a version that did not write it
    left_aside: LeftAside | None = None  # by the listing; None: nothing
    location: bool = False  # whether its rows say where pictures were taken
    refused: str | None = None  # that the gate refused the model, and why; None: it did not

    @property
    def stamp(self) -> Stamp:
        """What every row of this run carries."""
        return Stamp(self.model_name, self.model_version, self.started_at)

    @property
    def heading(self) -> tuple[str, ...]:
        """The columns of this run's rows."""
        return columns_of(location=self.location)


Done = Generator[tuple[int, int], None, None]  # number and count of files of each shard whose part is on disk
Settle = Callable[[int, int], RunPlan]  # count of files, count of shards -> the plan; fetches the run's model


def books_of(output: Folder) -> Folder:
    """The folder with the ledger of a run into `output`."""
    return output / WORK


def model_of(output: Folder) -> Folder:
    """The folder with the model of a run into `output`."""
    return books_of(output) / MODEL


def known_of(output: Folder) -> Path | None:
    """The file with an earlier run's answers that a run into `output` may repeat; a store has none."""
    return (books_of(output) / "known.sqlite").local


@dataclass(frozen=True, slots=True)
class Run:
    """A run with its ledger open. A helping process gets the Run, and with it the claim to write."""

    output: Folder
    plan: RunPlan
    token: str  # the claim on `output`; empty without one
    came_since: int = 0  # files that came after it began, which a resumed run counts

    @classmethod
    def unfinished_in(cls, output: Folder) -> "Run | None":
        """The unfinished run in `output`, if there is one with a valid plan."""
        try:
            plan = RunPlan.model_validate_json(books_of(output).read(PLAN))
            return cls(output, plan, output_lock.token(output.path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValidationError as error:  # lost in a power cut, or written by another version of Nightshift
            cause = error.errors()[0]["msg"]
            file = books_of(output) / PLAN
            log.warning("%s is not a valid plan (%s): the run starts again from the beginning.", file, cause)
            return None

    @classmethod
    def begin(cls, output: Folder, listing: Iterable[Listed], shard_size: int, settle: Settle) -> "Run":
        """A new run over the listed files, in shards of at most `shard_size`. Its plan is written last.

        The ledger in `output` must be clear, but for what the run brings, such as its model.
        """
        return cls._planned(output, settle(*shard_lists.write(books_of(output), listing, shard_size)))

    def begin_beside(self, output: Folder, settle: Callable[[], RunPlan]) -> "Run":
        """A new run over the same files as this one, into another folder."""
        clear(output)
        shard_lists.copy(books_of(self.output), books_of(output))
        return self._planned(output, settle())

    @classmethod
    def _planned(cls, output: Folder, plan: RunPlan) -> "Run":
        output.require()
        # ASCII, as the shards: the input's name may not be valid UTF-8.
        books_of(output).write(PLAN, (json.dumps(plan.model_dump(), indent=2) + "\n").encode("ascii"))
        return cls(output, plan, output_lock.token(output.path))

    def join(self) -> None:
        """Write from this process too, under the claim of the one that holds the output."""
        output_lock.join(self.output.path, self.token)

    def shard(self, number: int) -> list[str]:
        """The paths of a shard, as listed. Raises LedgerError when the disk has lost them."""
        return shard_lists.read(books_of(self.output), number)

    def listed(self) -> Iterator[str]:
        """Every path of the plan, in order; only a few shards are in memory at a time."""
        return shard_lists.read_all(books_of(self.output), self.plan.shards)

    def count_files(self, numbers: Collection[int]) -> int:
        """How many files these shards have; all but the last have as many as the first."""
        last, each = self.plan.shards - 1, len(self.shard(0))
        return len(numbers) * each - (last in numbers) * (self.plan.shards * each - self.plan.files)

    def done(self) -> int:
        """How many files are in shards that have their part."""
        return self.plan.files - self.count_files(self.unfinished())

    def counted(self) -> int:
        """How many files are in shards that have a part, whole or not: at once, for people."""
        there = set(books_of(self.output).names(PARTS))
        return self.count_files([number for number in range(self.plan.shards) if _part(number) in there])

    def unfinished(self) -> list[int]:
        """The shards without a complete part: one with exactly this run's rows of the shard's files."""
        there = set(books_of(self.output).names(PARTS))
        return [
            number for number in range(self.plan.shards) if _part(number) not in there or not self._is_whole(number)
        ]

    def _is_whole(self, number: int) -> bool:
        # The version that began the run may have written rows with fewer columns.
        if self._parts.keeps_whole and self.plan.columns == len(self.plan.heading):
            return True
        with contextlib.suppress(OSError):
            if holds_rows_of(self._parts.read(_part(number)), self.shard(number), self.plan.stamp, self.plan.heading):
                return True
        part = self._parts / _part(number)
        log.warning("%s has missing or extra rows: its files will be classified again.", part)
        return False

    def write_part(self, number: int, rows: Iterable[list[str]]) -> None:
        """Write the rows of a shard atomically."""
        with self._parts.replacing(_part(number)) as beside:
            write_rows(beside, rows, heading=False)
            self.output.require()

    def merge(self) -> Place:
        """Write all parts, in order, as predictions.csv; returns its path. Raises LedgerError when one is missing."""
        if left := self.unfinished():
            raise LedgerError(
                f"{len(left)} of {self.plan.shards} shards of {self.output} are not done. Run the same command again."
            )
        with self.output.replacing(PREDICTIONS_CSV) as beside:
            write_rows(beside, [list(self.plan.heading)], heading=False)
            with beside.open("ab") as out:
                names = map(_part, range(self.plan.shards))
                out.writelines(ordered_map(self._parts.read, names, self.output.threads))
            self.output.require()
        return self.output.path / PREDICTIONS_CSV

    def close(self) -> None:
        """Delete the ledger: the run is over."""
        clear(self.output)

    @property
    def _parts(self) -> Folder:
        return books_of(self.output) / PARTS


def _part(number: int) -> str:
    return f"{number:05d}.csv"


def clear(output: Folder) -> None:
    """Delete the ledger in `output`. The plan goes first, so that nobody resumes half a ledger."""
    books = books_of(output)
    books.delete(PLAN)
    books.sync()  # a power cut must not bring back the plan without its parts
    books.delete_tree()
    output.sweep()
