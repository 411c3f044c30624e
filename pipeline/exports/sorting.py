"""A night's photographs in folders by label: links, or copies. Changes no photograph, and replaces only its own work.

  FOLDER/<label>/<path>           answers that are `ok`; a label as the name of a folder, as in data/raw
  FOLDER/unsure/<label>/<path>    FOLDER/unreadable/<path>

The folder is written beside its place and renamed, so that it is there as a whole or as it was. In it
`.nightshift-sorted.json` lists what was written: where anything else is there, or was changed, nothing is replaced.
"""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from pipeline.core.errors import NightshiftError
from pipeline.core.paths import RAW
from pipeline.core.text import named, shown
from pipeline.data.label_folders import folder_of
from pipeline.exports.finished import Finished, Photograph
from pipeline.storage.files import read_json, replacing, write_json

RECORD = ".nightshift-sorted.json"
APART = ("unsure", "unreadable")  # folders that no label has


class How(StrEnum):
    """What stands for a photograph in its label's folder."""

    LINK = "link"  # symbolic, relative where both are on one disk's folder
    HARD = "hard"
    COPY = "copy"


class SortError(NightshiftError):
    """The folder cannot be written; the message says why, and what to do."""


@dataclass(slots=True)
class Sorted:
    """What was written."""

    folders: dict[str, int] = field(default_factory=dict)  # name -> photographs
    changed: list[str] = field(default_factory=list)  # photographs that are not as the night read them, or gone
    replaced: str = ""  # the other night whose photographs were sorted there before


def sort(night: Finished, folder: Path, how: How = How.LINK, advance: Callable[[], object] = lambda: None) -> Sorted:
    """Write the folders. advance: called after each photograph. Raises SortError, LabelError, NightError, OSError."""
    target = folder.absolute().parent.resolve() / folder.name
    source = night.source.resolve()
    if target.is_relative_to(source) or source.is_relative_to(target):
        raise SortError(
            f"{shown(str(folder))} and the folder of the photographs, {shown(str(source))}, lie in each other: the "
            "next night would classify the links too. Name a folder elsewhere."
        )
    if target.is_relative_to(RAW.resolve()):
        raise SortError(
            f"{shown(str(folder))} lies in {RAW}, and the next training would learn the model's own answers, which "
            "nobody has judged. Name a folder elsewhere; `nightshift review` is the way to learn from a night."
        )
    before = _require_ours(target)
    found, record = Sorted(replaced=before if before != night.output.name else ""), {}
    with replacing(target) as beside:
        beside.mkdir()
        for one in night.photographs():
            place = _place(one)
            if night.is_unchanged(one):
                record[place] = _put(one.file, beside / place, target / place, how)
                top = place.partition("/")[0]
                found.folders[top] = found.folders.get(top, 0) + 1
            else:
                found.changed.append(one.path)
            advance()
        night.require_any_as_read(found.changed, len(record))
        write_json(beside / RECORD, {"night": night.output.name, "how": how.value, "files": record})
    found.folders = dict(sorted(found.folders.items()))
    return found


def _place(one: Photograph) -> str:
    """Where a photograph stands below the folder."""
    status, label = one.row["status"], one.row["label"]
    if not label:
        return f"unreadable/{one.path}"
    name = folder_of(label)
    if status == "unsure":
        return f"unsure/{name}/{one.path}"
    if name.casefold() in APART:
        name = f"%{ord(name[0]):02X}{name[1:]}"
    return f"{name}/{one.path}"


def _put(photograph: Path, beside: Path, target: Path, how: How) -> str:
    """Make the link or the copy at `beside`, whose place will be `target`; returns by what it is known again."""
    beside.parent.mkdir(parents=True, exist_ok=True)
    original = photograph.parent.resolve() / photograph.name
    match how:
        case How.LINK:
            beside.symlink_to(os.path.relpath(original, target.parent))
        case How.HARD:
            try:
                beside.hardlink_to(original.resolve())
            except OSError as error:
                raise SortError(
                    f"{shown(str(photograph))} cannot have a hard link in {shown(str(target.parent))} "
                    f"({error.strerror}): hard links stay on one disk. Omit --hard, or use --copy."
                ) from None
        case How.COPY:
            shutil.copy2(original, beside)
    return _known_by(beside, how)


def _known_by(file: Path, how: str) -> str:
    """By what a file that was written is known again. A hard link's photograph may change; the link is still ours."""
    if file.is_symlink():
        return f"-> {file.readlink()}"
    about = file.stat()
    return f"inode {about.st_ino}" if how == How.HARD else f"{about.st_size} bytes of {about.st_mtime_ns}"


def _require_ours(target: Path) -> str:
    """The night that was sorted there before; empty for none. Raises SortError for what no sort wrote as it is."""
    if not os.path.lexists(target):
        return ""
    if target.is_symlink() or not target.is_dir():
        raise SortError(f"{shown(str(target))} is {'a link' if target.is_symlink() else 'a file'}. Name a new folder.")
    there = {
        str(file.relative_to(target)): file for file in target.rglob("*") if file.is_symlink() or not file.is_dir()
    }
    before, how, files = _recorded(there.pop(RECORD, None))
    if other := sorted(name for name, file in there.items() if files.get(name) != _known_by(file, how)):
        raise SortError(
            f"{shown(str(target))} has files that `nightshift sort` did not write, or that were changed since: "
            f"{named(other)}. Move them away, or name another folder; nothing was changed."
        )
    if how == How.HARD and (last := sorted(name for name, file in there.items() if file.stat().st_nlink == 1)):
        raise SortError(
            f"{shown(str(target))} has photographs that are nowhere else any more: {named(last)}. Move them away, or "
            "name another folder; nothing was changed."
        )
    return before


def _recorded(file: Path | None) -> tuple[str, str, Mapping[str, str]]:
    """Which night a sort wrote into a folder, how, and what; nothing where its record is missing or damaged."""
    try:
        found = read_json(file) if file else {}
        return str(found["night"]), str(found["how"]), dict(found["files"])
    except (KeyError, TypeError, ValueError):
        return "", "", {}
