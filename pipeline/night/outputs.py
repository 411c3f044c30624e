"""The folder of a night whose OUTPUT nobody names: that of the unfinished run, else a free one of today."""

import datetime
from pathlib import Path

from pipeline.core.cells import listed_path
from pipeline.core.log import log
from pipeline.core.paths import PREDICTIONS
from pipeline.night.ledger import WORK, Run
from pipeline.night.summary import summary_if_any
from pipeline.storage.folders import Folder, folder_at


def folder_for(source: Folder, suffix: str = "") -> Path:
    """The output folder of a run over `source` without a named one: that of an unfinished run, else today's.

    suffix: what the folder's name has after the date. A folder with the night of another source is never taken: the
    next free name ends in -2, -3, ...
    """
    if unfinished := unfinished_over(source, PREDICTIONS):
        return max(unfinished)
    today = datetime.datetime.now().astimezone().date().isoformat()
    names = (f"{today}{suffix}", *(f"{today}{suffix}-{number}" for number in range(2, 100)))
    return next((PREDICTIONS / name for name in names if _is_free(PREDICTIONS / name, source)), PREDICTIONS / names[0])


def unfinished_over(source: Folder, parent: Path) -> list[Path]:
    """The folders in `parent` with an unfinished run over `source`."""
    return [folder for folder in _folders(parent) if (run := _run_in(folder)) and source.is_at(run.plan.input)]


def _folders(parent: Path) -> list[Path]:
    return [books.parent for books in parent.glob(f"*/{WORK}")]


def _run_in(folder: Path) -> Run | None:
    try:
        return Run.unfinished_in(folder_at(folder))
    except OSError as error:
        log.warning("Passed over: %s cannot be read: %s.", folder, error.strerror)
        return None


def _is_free(folder: Path, source: Folder) -> bool:
    if run := _run_in(folder):
        return source.is_at(run.plan.input)
    summary = summary_if_any(folder_at(folder))
    return summary is None or source.is_at(listed_path(summary.input))
