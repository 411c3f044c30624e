"""Read a review.csv with labels filled in by a person, as labelled images of the night's folder. Copies nothing.

Rows without a label are skipped. A label belongs to the bytes that the person looked at, so a file that has
changed since is refused.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.cells import listed_path
from pipeline.core.text import named, shown
from pipeline.night.review_file import read_review
from pipeline.night.rows import COLUMNS, CORRECTION, PREDICTIONS_CSV, WHY, read_rows
from pipeline.sources.layout import Found, Item, SourceError
from pipeline.storage.addresses import is_address, open_remote
from pipeline.storage.files import read_json

PIECE = 1 << 20  # bytes read at once
REVIEW_COLUMNS = (*COLUMNS, WHY, CORRECTION)
NEEDED = ("path", "status", "sha256", WHY, CORRECTION)  # a table with these columns is a review


@dataclass(frozen=True, slots=True)
class Corrections:
    """What a person has filled into a review."""

    items: list[Item]
    without_label: int  # rows


def is_review(columns: Sequence[str]) -> bool:
    """Whether a table with these columns is a night's review."""
    return set(NEEDED) <= set(columns)


def corrections(file: Path) -> Corrections:
    """The labelled images of the review in `file`.

    Raises SourceError when no row has a label, the night's folder is unknown or missing, a path has two labels, or
    files are missing or have changed.
    """
    name = shown(str(file))
    rows = read_review(file.read_bytes(), name)
    filled = [row for row in rows if row[CORRECTION]]
    if not filled:
        raise SourceError(
            f"{name} has no labels in the column {CORRECTION}. Write the right label there for the images "
            "to learn from; rows without one are skipped."
        )
    labels: dict[str, str] = {}
    for row in filled:
        if labels.setdefault(row["path"], row[CORRECTION]) != row[CORRECTION]:
            raise SourceError(f"{name} has two labels for {shown(row['path'])}. Keep one of the rows.")
    folder = _folder(file)
    looked = [_looked_at(row, folder) for row in {row["path"]: row for row in filled}.values()]
    if any(one.lost for one in looked):  # a spreadsheet may have lost letters of the paths: the hash knows the file
        paths = {row["sha256"]: row["path"] for row in _rows_of_night(file)}
        looked = [
            _looked_at(one.row | {"path": paths.get(one.row["sha256"], one.row["path"])}, folder) if one.lost else one
            for one in looked
        ]
    if missing := [one.row["path"] for one in looked if one.lost]:
        raise SourceError(
            f"{name} names {len(missing):,} files that cannot be read in {shown(folder)}: "
            f"{named(missing)}. Restore them, or empty their {CORRECTION}; nothing was copied."
        )
    if changed := [one.row["path"] for one in looked if one.digest != one.row["sha256"]]:
        raise SourceError(
            f"{len(changed):,} files of {shown(folder)} have changed since that night: {named(changed)}. "
            f"Their labels in {name} may be wrong. Classify the folder again, or empty their {CORRECTION}; "
            "nothing was copied."
        )
    items = [Item(one.row[CORRECTION], _named(one.found.path), one.found) for one in looked]
    return Corrections(items, len(rows) - len(filled))


@dataclass(frozen=True, slots=True)
class _Looked:
    """A row of the review with its file as it is now."""

    row: dict[str, str]
    found: Found
    digest: str  # of the file; empty when it cannot be read

    @property
    def lost(self) -> bool:
        return not self.digest


def _looked_at(row: dict[str, str], folder: str) -> _Looked:
    path = listed_path(row["path"])
    place = f"{folder.rstrip('/')}/{path}"
    digest, size = _digest(place)
    return _Looked(row, Found(path, place, size), digest)


def _rows_of_night(file: Path) -> Iterable[dict[str, str]]:
    predictions = file.with_name(PREDICTIONS_CSV)
    return read_rows(predictions) if predictions.is_file() else ()


def _folder(file: Path) -> str:
    """The folder or address of the images, from the summary.json beside the review."""
    summary = file.with_name("summary.json")
    try:
        folder = listed_path(str(read_json(summary)["input"]))
    except (OSError, ValueError, KeyError, TypeError):
        raise SourceError(
            f"{shown(str(summary))} does not say which folder {shown(file.name)} is a review of. Keep both files in "
            "the folder that the night wrote."
        ) from None
    if not is_address(folder) and not Path(folder).is_dir():
        raise SourceError(
            f"{shown(folder)}, the folder of the images in {shown(str(file))}, does not exist. Restore it (perhaps "
            "a disk is not mounted)."
        )
    return folder


def _digest(place: str) -> tuple[str, int]:
    """SHA-256 and size of a file; an empty hash and 0 if it cannot be read."""
    try:
        with open_remote(place) if is_address(place) else Path(place).open("rb") as stream:
            found, size = hashlib.sha256(), 0
            while piece := stream.read(PIECE):
                found.update(piece)
                size += len(piece)
            return found.hexdigest(), size
    except OSError:
        return "", 0


def _named(path: str) -> str:
    """The image's path below its label's folder, with bytes that are not UTF-8 escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
