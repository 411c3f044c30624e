"""Read a review.csv with labels filled in by a person, as labelled images of the night's folder. Copies nothing.

Rows without a label are skipped. A label belongs to the bytes that the person looked at, so a file that has
changed since is refused.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from pipeline.core.text import named, shown
from pipeline.night.rows import CORRECTION, WHY, listed_path
from pipeline.sources.layout import Found, Item, SourceError
from pipeline.storage.addresses import is_address, open_remote
from pipeline.storage.files import read_json

PIECE = 1 << 20  # bytes read at once
NEEDED = ("path", "status", "sha256", WHY, CORRECTION)  # a table with these columns is a review


def is_review(columns: Sequence[str]) -> bool:
    """Whether a table with these columns is a night's review."""
    return set(NEEDED) <= set(columns)


def corrections(columns: Sequence[str], cells: Sequence[Sequence[str]], file: Path) -> tuple[list[Item], int]:
    """The labelled images of the review in `file`, and the number of rows without a label.

    Raises SourceError when no row has a label, the night's folder is unknown or missing, a path has two labels, or
    files are missing or have changed.
    """
    rows = [dict(zip(columns, row, strict=True)) for row in cells if any(row)]
    filled = [row for row in rows if row[CORRECTION].strip()]
    if not filled:
        raise SourceError(
            f"{shown(str(file))} has no labels in the column {CORRECTION}. Write the right label there for the images "
            "to learn from; rows without one are skipped."
        )
    labels: dict[str, str] = {}
    for row in filled:
        if labels.setdefault(row["path"], row[CORRECTION].strip()) != row[CORRECTION].strip():
            raise SourceError(f"{shown(str(file))} has two labels for {shown(row['path'])}. Keep one of the rows.")
    folder = _folder(file)
    items, missing, changed = [], [], []
    for row in {row["path"]: row for row in filled}.values():
        path = listed_path(row["path"])
        place = f"{folder.rstrip('/')}/{path}"
        digest, size = _digest(place)
        if not digest:
            missing.append(row["path"])
        elif digest != row["sha256"]:
            changed.append(row["path"])
        items.append(Item(labels[row["path"]], _named(path), Found(path, place, size)))
    if missing:
        raise SourceError(
            f"{shown(str(file))} names {len(missing):,} files that cannot be read in {shown(folder)}: "
            f"{named(missing)}. Restore them, or empty their {CORRECTION}; nothing was copied."
        )
    if changed:
        raise SourceError(
            f"{len(changed):,} files of {shown(folder)} have changed since that night: {named(changed)}. "
            f"Their labels in {shown(str(file))} may be wrong. Classify the folder again, or empty their {CORRECTION}; "
            "nothing was copied."
        )
    return items, len(rows) - len(filled)


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
