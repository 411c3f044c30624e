"""What a collector says of a source for others: when it was last at work, its last picture, its trouble.

It is in the source's folder, in a hidden file. Whether the collector still runs, the folder's lock says.
"""

import csv
import os
from datetime import datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from pipeline.collect.gaps import GAPS_CSV, Gap, Rules, read_gaps
from pipeline.core.log import log
from pipeline.storage import output_lock
from pipeline.storage.files import replacing

STATE = ".collect.json"
COLLECTED_CSV = "collected.csv"
COLLECTED_COLUMNS = ("path", "source_time", "arrived_at", "sha256", "kept", "clip")
TAIL = 4096  # bytes at its end, which hold its last line


class State(BaseModel):
    """A source, as its collector last saw it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    alive: AwareDatetime  # when the collector was last at work
    picture: AwareDatetime | None = None  # the last new picture; None: there was none yet
    fine: AwareDatetime | None = None  # when there last was a picture, or a folder without a new clip, which is no gap
    kept: int = 0  # pictures since the collector started
    trouble: str = ""  # why there is none now, in words
    again: AwareDatetime | None = None  # when the source is asked again; None: it is being asked


def read_state(folder: Path) -> State | None:
    """What the collector of photos/<camera> last said; None where none ever ran, or its file was lost."""
    try:
        state = State.model_validate_json((folder / STATE).read_bytes())
        picture = max(filter(None, (state.picture, _last_kept(folder))), default=None)
        fine = max(filter(None, (state.fine, picture)), default=None)
        return state.model_copy(update={"picture": picture, "fine": fine})
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValidationError) as error:
        log.warning("%s cannot be read: %s", folder / STATE, str(error).partition("\n")[0])
        return None


def _last_kept(folder: Path) -> datetime | None:
    """When the last picture in collected.csv arrived: a collector that was killed had no time to say it."""
    try:
        with (folder / COLLECTED_CSV).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            *_, last = csv.reader(file.read().decode("utf-8", "replace").splitlines())
        found = datetime.fromisoformat(last[COLLECTED_COLUMNS.index("arrived_at")])
    except (OSError, ValueError, IndexError):  # none yet, or half a line
        return None
    return found if found.tzinfo else None


def write_state(folder: Path, state: State) -> None:
    """Say it. A disk that cannot take it does not stop the collector."""
    try:
        with replacing(folder / STATE) as beside:
            beside.write_text(state.model_dump_json(), encoding="utf-8")
    except OSError as error:
        log.debug("%s could not be written: %s", folder / STATE, error)


def is_collected(folder: Path) -> bool:
    """Whether a collector is at work on the source now."""
    holder = output_lock.holder(folder)
    return holder is not None and holder.is_alive


def gaps_between(folder: Path, rules: Rules, start: datetime, end: datetime, now: datetime) -> list[Gap]:
    """The gaps of a source between two times, the time since its collector ended included, if none runs `now`."""
    found = read_gaps(folder / GAPS_CSV)
    state = read_state(folder)
    if state and not is_collected(folder):
        since = state.fine or state.alive
        if found and found[-1].end is None:  # nobody was there to end it
            since = max(state.alive, found[-1].start)
            found[-1] = Gap(found[-1].start, since, found[-1].reason)
        since = max([since, *(one.end for one in found[-1:] if one.end)])
        found += [
            Gap(one.start, None if one.end == now else one.end, one.reason)
            for one in rules.without_collector(since, now)
        ]
    return [part for one in found if (part := one.within(start, end))]
