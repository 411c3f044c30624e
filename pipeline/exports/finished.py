"""A finished night, for those who take something out of it: its rows, and its photographs. Writes nothing."""

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.cells import listed_path
from pipeline.core.errors import NightshiftError
from pipeline.core.paths import PREDICTIONS
from pipeline.core.text import named, shown
from pipeline.night.ledger import Run
from pipeline.night.outputs import LIVE, command_over, latest_night
from pipeline.night.rows import PREDICTIONS_CSV, Row, of_files
from pipeline.night.sound_rows import require_as_written, rows_as_written
from pipeline.night.summary import NightSummary, read_summary
from pipeline.params.file import load_params
from pipeline.storage.addresses import is_address
from pipeline.storage.files import sha256_of_file
from pipeline.storage.folders import Folder, folder_at

LATEST = "latest"
SOON = 2.0  # seconds: the clocks of file systems are coarse


class NightError(NightshiftError):
    """There is no such finished night; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Photograph:
    """A row of a night, and its file."""

    row: Row
    path: str  # as listed
    file: Path


@dataclass(frozen=True, slots=True)
class Finished:
    """A night whose rows are all written."""

    output: Folder
    summary: NightSummary

    @property
    def model(self) -> str:
        """The model that answered."""
        return f"{self.summary.model_name} version {self.summary.model_version}"

    def rows(self) -> Iterator[Row]:
        """The rows of files in predictions.csv, in their order; a frame has no file of its own."""
        return of_files(rows_as_written(self.output, self.summary))

    @property
    def source(self) -> Path:
        """The folder of the photographs. Raises NightError where it is not on this machine."""
        found = folder_at(listed_path(self.summary.input)).local
        if found is None:
            raise NightError(
                f"The photographs of {self.output} are at {self.summary.input}, not on this machine. Copy them here, "
                "classify that folder, and name its night."
            )
        if not found.is_dir():
            raise NightError(
                f"{shown(str(found))}, the folder of the photographs of {self.output}, is not there. Mount it, or put "
                "it back at its place."
            )
        return found

    def photographs(self) -> Iterator[Photograph]:
        """The rows, with their files. Raises NightError where these are not on this machine."""
        source = self.source
        for row in self.rows():
            path = listed_path(row["path"])
            yield Photograph(row, path, source / path)

    def is_unchanged(self, one: Photograph) -> bool:
        """Whether a file still has the bytes that the night has read. Reads it only where it may have changed since."""
        try:
            changed, began = one.file.stat().st_ctime, datetime.datetime.fromisoformat(self.summary.started_at)
            return changed + SOON < began.timestamp() or sha256_of_file(one.file) == one.row["sha256"]
        except OSError:
            return False

    def require_any_as_read(self, changed: Sequence[str], found: int) -> None:
        """Raise NightError where every photograph has changed since the night: rows or folder are of others then.

        changed: the paths of those that have, or are gone; found: how many are the same.
        """
        if changed and not found:
            raise NightError(
                f"Every photograph in {shown(str(self.source))} has changed or gone since the night of {self.output} "
                f"({named(changed)}), or {PREDICTIONS_CSV} is of others. Put them back, or "
                "classify the folder again."
            )


def finished_night(name: str) -> Finished:
    """The night of a folder, of an address, of a name in predictions/, or `latest`.

    Raises NightError, RowsError where its rows are not as it wrote them, StoreError.
    """
    output = _folder(name)
    if run := Run.unfinished_in(output):
        raise NightError(
            f"The night in {output} is not finished: {run.counted():,} of {run.plan.files:,} files have rows. "
            f"`{command_over(run.plan.input, output)}` goes on with it; then run this again."
        )
    if (summary := read_summary(output)) is None:
        if output.name.startswith(LIVE) and output.exists(PREDICTIONS_CSV):
            raise NightError(
                f"{output} holds the pictures of a day as they came, which is not a night. Run `nightshift classify "
                f"{load_params().collect.photos}` first, and name its night."
            )
        raise NightError(
            f"{output} is not the folder of a finished night: it has no summary.json. Name one in {PREDICTIONS}/, or "
            f"`{LATEST}` for the newest."
        )
    if not summary.reconciled:
        raise NightError(
            f"{output} does not have one row for each of its {summary.listed:,} listed files. Classify the folder "
            "again."
        )
    require_as_written(output, summary)
    return Finished(output, summary)


def _folder(name: str) -> Folder:
    if name == LATEST and not Path(LATEST).exists():
        if (newest := latest_night()) is None:
            raise NightError(
                f"{PREDICTIONS}/ has no finished night. Name the folder of one, or run `nightshift classify INPUT`."
            )
        return folder_at(newest)
    in_predictions = PREDICTIONS / name
    if not is_address(name) and not Path(name).exists() and in_predictions.is_dir():
        return folder_at(in_predictions)
    return folder_at(name)
