"""One night after another: the last one whose answers still hold, the unfinished one, and when this one has to stop."""

import datetime
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.core.paths import PREDICTIONS
from pipeline.night import ledger
from pipeline.night.ledger import Plan
from pipeline.night.repeats import Answer, write_known
from pipeline.night.rows import COLUMNS, answer_of, csv_path, read_rows
from pipeline.storage.files import read_json
from pipeline.storage.stores import Place

STOPPED = 75  # exit status EX_TEMPFAIL of sysexits.h: nothing is wrong, and there is more to do


class OutOfTime(NightshiftError):  # noqa: N818 - what happened
    """The hour has come at which the night was to stop. What is done is kept."""

    status = STOPPED


def time_of_day(text: str) -> datetime.time:
    """`06:00` as a time. Raises NightshiftError for other texts."""
    found = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", text.strip())
    if not found:
        raise NightshiftError(f"{text!r} is no time of day; it must be hours and minutes, such as 06:00.")
    return datetime.time(int(found[1]), int(found[2]))


def next_time(until: str, now: datetime.datetime) -> datetime.datetime:
    """When the clock next shows `until` after `now`, in the time zone of `now`."""
    today = datetime.datetime.combine(now.date(), time_of_day(until), now.tzinfo)
    return today if today > now else today + datetime.timedelta(days=1)


def deadline_at(until: str | None) -> datetime.datetime | None:
    """When a run that begins now has to stop, in local time; None: never."""
    return next_time(until, datetime.datetime.now().astimezone()) if until else None


def stop_if_late(deadline: datetime.datetime | None, output: Place, plan: Plan) -> None:
    """Raises OutOfTime once `deadline` has passed."""
    if deadline and datetime.datetime.now(datetime.UTC) >= deadline:
        raise OutOfTime(
            f"It is {deadline:%H:%M}: stopped with {ledger.done(output, plan)} of {plan.files} files done. The same "
            "command goes on from there."
        )


def remember_last(source: Place, output: Path, contract_hash: str) -> None:
    """Keep the answers of the last finished run over `source` for this one, if the same model gave them.

    That run is in `output` or beside it.
    """
    last = last_finished(source, {*output.absolute().parent.glob("*"), output.absolute()})
    if not last:
        log.info("No finished run over %s is in %s or beside it: all files are classified.", source, output)
        return
    if read_json(last / "summary.json")["contract_hash"] != contract_hash:
        log.info("The model is another one than in %s: all files are classified.", last)
        return
    count = write_known(output / ledger.WORK / ledger.KNOWN, _answers(last / "predictions.csv"))
    log.info("%d answers of %s are at hand for files with the same content.", count, last)


def last_finished(source: Place, folders: Iterable[Path]) -> Path | None:
    """Which of `folders` has the run over `source` that was finished last; None when none has one."""
    candidates = [
        (summary["finished_at"], folder)
        for folder in folders
        if (folder / "summary.json").is_file()
        and (summary := read_json(folder / "summary.json")).get("input") == csv_path(str(source.absolute()))
    ]
    return max(candidates)[1] if candidates else None


def _answers(csv: Path) -> Iterator[tuple[str, Answer]]:
    for row in read_rows(csv):
        if set(row) != set(COLUMNS):  # written by another version
            return
        if row["label"]:  # whatever made a file unreadable may have passed
            yield row["sha256"], answer_of(row)


def folder_for(source: Place, suffix: str = "") -> Path:
    """Where a run over `source` without a named output goes: to the one that is unfinished, else to today's folder.

    suffix: what the folder's name has after the date.
    """
    unfinished = [
        folder.parent
        for folder in PREDICTIONS.glob(f"*/{ledger.WORK}")
        if (plan := ledger.read_plan(folder.parent)) and plan.input == str(source.absolute())
    ]
    today = datetime.datetime.now().astimezone().date().isoformat()
    return max(unfinished, default=PREDICTIONS / f"{today}{suffix}")
