"""The nights of this project that have begun and not finished, wherever their outputs are. Starts and ends none.

Each has a small file in `.nightshift/nights/` from its begin to its finish, so that `status` can show it, and others
can notice that it was killed. A night whose output is in a store has none.
"""

import datetime
import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pipeline.core.errors import NightshiftError
from pipeline.core.paths import PARAMS, PREDICTIONS
from pipeline.night.ledger import WORK, Run
from pipeline.night.moments import Moment
from pipeline.night.options import NightOptions
from pipeline.storage import output_lock
from pipeline.storage.files import read_json, write_json
from pipeline.storage.folders import Folder, folder_at
from pipeline.storage.output_lock import Holder

NIGHTS = Path(".nightshift/nights")


class Begun(BaseModel):
    """What a run says of itself when it begins or goes on with a night."""

    model_config = ConfigDict(frozen=True)

    output: str  # absolute
    source: str  # absolute
    began: Moment  # UTC; of this run, not of the night
    done: int = 0  # of the night's files, at that moment
    told: bool = False  # whether somebody got a message that this run was killed


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A night that is not finished: at work, stopped, failed or killed."""

    output: Folder
    begun: Begun | None  # None: by another version, or in another copy of the project
    run: Run | None  # None: it has not listed its files yet
    holder: Holder | None  # who works on it, or was killed while it did

    @property
    def is_at_work(self) -> bool:
        """Whether somebody works on it now."""
        return self.holder is not None and self.holder.is_alive

    @property
    def killed(self) -> Holder | None:
        """Who was killed while it worked on it, if that is how it stopped."""
        return None if self.holder is None or self.holder.is_alive else self.holder

    @property
    def source(self) -> str:
        """The input."""
        return self.run.plan.input if self.run else self.begun.source if self.begun else ""


def note(options: NightOptions, done: int = 0) -> None:
    """Say that this process works on a night from now on, with so many files done."""
    if options.output.local and PARAMS.is_file():
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        output, source = (str(folder.absolute()) for folder in (options.output, options.source))
        _write(options.output, Begun(output=output, source=source, began=now, done=done))


def forget(output: Folder) -> None:
    """A night is finished."""
    with suppress(OSError):
        _file(output).unlink()


def forget_unplanned(output: Folder) -> None:
    """A run was refused: forget it unless its output holds an unfinished night. Never raises."""
    with suppress(NightshiftError, OSError):
        if not Run.unfinished_in(output):
            forget(output)


def was_told(output: Folder) -> bool:
    """Whether somebody has got a message that the last run into `output` was killed."""
    begun = _begun_in(_file(output))
    return begun is not None and begun.told


def mark_told(output: Folder) -> None:
    """Say that somebody has got one."""
    if begun := _begun_in(_file(output)):
        _write(output, begun.model_copy(update={"told": True}))


def unfinished() -> list[Unfinished]:
    """All unfinished nights: those with a note, and those in predictions/ without one. By output."""
    notes = {begun.output: begun for file in NIGHTS.glob("*.json") if (begun := _begun_in(file))}
    places = {str(books.parent.absolute()) for books in PREDICTIONS.glob(f"*/{WORK}")}
    found = (_look(folder_at(output), notes.get(output)) for output in sorted({*notes, *places}))
    return [one for one in found if one]


def _look(output: Folder, begun: Begun | None) -> Unfinished | None:
    try:
        run, holder = Run.unfinished_in(output), _holder(output)
    except OSError:  # its disk is not there now
        return None
    if not run and not holder and output.exists():  # finished, though it failed on a limit
        forget(output)
        return None
    return Unfinished(output, begun, run, holder) if run or holder else None


def _holder(output: Folder) -> Holder | None:
    return output_lock.holder(output.local) if output.local else None


def _file(output: Folder) -> Path:
    name = hashlib.sha256(str(output.absolute()).encode(errors="surrogateescape")).hexdigest()[:16]
    return NIGHTS / f"{name}.json"


def _write(output: Folder, begun: Begun) -> None:
    with suppress(OSError):  # a night needs no note
        NIGHTS.mkdir(parents=True, exist_ok=True)
        write_json(_file(output), begun.model_dump())


def _begun_in(file: Path) -> Begun | None:
    try:
        return Begun.model_validate(read_json(file))
    except (OSError, ValueError):
        return None


def listing_over(source: Folder) -> Iterator[Path]:
    """The outputs in predictions/ of nights that still list the files of `source`, which may take minutes."""
    here = PREDICTIONS.absolute()
    for night in unfinished():
        is_listing = night.is_at_work and not night.run and source.is_at(night.source)
        if is_listing and night.output.local and night.output.local.parent == here:
            yield PREDICTIONS / night.output.local.name
