"""Rejected images in data/rejected/<label>/, each with its row of the side table: they leave data/raw, and come back.

Nothing deletes them there, and data/rejected/metadata.csv keeps what was known of them. Decides of none.
"""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.paths import METADATA, RAW, REJECTED
from pipeline.data import labels
from pipeline.data.side_table import as_named, merged, read_metadata, write_metadata
from pipeline.sources.layout import Item
from pipeline.sources.staging import renamed
from pipeline.storage.files import make_folder, replacing, sha256_of_file
from pipeline.storage.listing import in_dvc_cache, list_images

IGNORE_ALL = "*\n"  # the .gitignore of data/rejected: images are no matter of git's
Known = Mapping[str, tuple[tuple[str, str], ...]]  # path below data/rejected -> columns of the side table


@dataclass(frozen=True, slots=True)
class Taken:
    """An image that leaves data/raw."""

    path: str  # below data/raw
    to: str  # below data/rejected
    sha256: str

    @property
    def label(self) -> str:
        """The label that it had."""
        return labels.of_folder(self.path.split("/", 1)[0])


def take_out(taken: Iterable[Taken], project: Path, room: Path) -> list[Taken]:
    """Move rejected images to data/rejected: those that are still there with the bytes that were judged.

    Their rows go first, so that a move which is killed leaves none behind.
    """
    still = [one for one in taken if _is(project / RAW / one.path, one.sha256)]
    if not still:
        return []
    ignored = project / REJECTED / ".gitignore"
    if not ignored.is_file():
        make_folder(ignored.parent)
        ignored.write_text(IGNORE_ALL)
    _take_rows(still, project, room)
    for one in still:
        file, to = project / RAW / one.path, project / REJECTED / one.to
        if not to.is_file():
            with replacing(to) as beside:  # a copy: the file may be a link into DVC's cache, which `dvc gc` empties
                shutil.copyfile(file, beside)
                shutil.copystat(file, beside)
        file.unlink()
    return still


def known_of_rejected(project: Path) -> Known:
    """What the side table had of each rejected image."""
    rows = read_metadata(project / REJECTED / METADATA.name).to_dict("records")
    return {
        str(row["path"]): tuple(
            (str(column), str(value)) for column, value in row.items() if column != "path" and value
        )
        for row in rows
    }


def place_below(place: str, project: Path) -> str:
    """The path below data/rejected of the file at `place`; empty where it lies elsewhere."""
    file, root = Path(place), project / REJECTED
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else ""


def clear_returned(items: Sequence[Item], project: Path) -> None:
    """Take away what data/rejected has of images that an import has copied from there into data/raw, and their rows."""
    paths = {path for item in items if (path := place_below(item.file.place, project))}
    for path in paths:
        (project / REJECTED / path).unlink(missing_ok=True)
    file = project / REJECTED / METADATA.name
    if paths and file.is_file():
        table = read_metadata(file)
        with replacing(file) as beside:
            write_metadata(beside, table[~table["path"].isin(paths)])


def _take_rows(taken: Sequence[Taken], project: Path, room: Path) -> None:
    file, kept = project / METADATA, project / REJECTED / METADATA.name
    table = read_metadata(file)
    if table.empty:
        return
    table = as_named(table, [listed.path for listed in list_images(project / RAW, in_dvc_cache)])
    to = {one.path: one.to for one in taken}
    leaves = table["path"].isin(to)
    rows = {
        to[str(row["path"])]: {str(key): str(value) for key, value in row.items() if key != "path"}
        for row in table[leaves].to_dict("records")
    }
    if rows:
        with replacing(kept) as beside:
            write_metadata(beside, merged(read_metadata(kept), rows))
        with renamed(file, room) as beside:
            write_metadata(beside, table[~leaves])


def _is(file: Path, sha: str) -> bool:
    return file.is_file() and sha256_of_file(file) == sha
