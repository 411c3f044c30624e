"""Which images a finished night has classified, by their content: these may be deleted. Deletes nothing."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipeline.core.paths import PREDICTIONS
from pipeline.night import at_work
from pipeline.night.rows import PREDICTIONS_CSV, of_files, rows_if_any
from pipeline.night.summary import summary_if_any
from pipeline.storage.folders import Folder, folder_at

GIVEN_UP = timedelta(days=7)  # after which nobody resumes a night that stopped


def classified(photos: Path, digests: Collection[str], since: datetime) -> set[str] | None:
    """Those of these SHA-256 values to which a finished night in predictions/ gave an answer.

    None while a night over `photos`, or a folder above or below it, is unfinished: it has listed these files, and reads
    them when it goes on. since: a night that ended before cannot have them.
    """
    source = folder_at(photos)
    if any(_is_over(source, night) for night in at_work.unfinished()):
        return None
    nights = ((summary.finished_at, file.parent) for file in PREDICTIONS.glob(f"*/{PREDICTIONS_CSV}")
              if (summary := summary_if_any(folder_at(file.parent))))  # fmt: skip
    left, found = set(digests) - {""}, set[str]()
    for finished_at, folder in sorted(nights):  # a picture is usually in the first night after it
        if not left or datetime.fromisoformat(finished_at) < since:
            continue
        rows = of_files(rows_if_any(folder / PREDICTIONS_CSV))
        here = {row["sha256"] for row in rows if row["label"] and row["sha256"] in left}
        found |= here
        left -= here
    return found


def _is_over(photos: Folder, night: at_work.Unfinished) -> bool:
    began = night.run.plan.started_at if night.run else night.begun.began if night.begun else ""
    is_old = bool(began) and datetime.now(UTC) - datetime.fromisoformat(began) > GIVEN_UP
    if not night.source or (is_old and not night.is_at_work):
        return False
    other = folder_at(night.source)
    return other.contains(photos) or photos.contains(other)
