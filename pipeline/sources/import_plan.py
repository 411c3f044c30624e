"""Plan an import: where each image goes below `data/raw`, and what to do there. Pure; touches no file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.core.errors import NightshiftError
from pipeline.core.hidden import is_hidden
from pipeline.core.text import named, shown
from pipeline.data.label_folders import LONGEST_NAME, folder_of
from pipeline.sources.layout import Item

Placed = Mapping[str, Item]  # path below data/raw -> the image that goes there
State = Literal["same", "other"]  # of a file that exists already


class ImportingError(NightshiftError):
    """The images cannot be placed; the message says which, and what to do.

    `what` is the message without what only a terminal can do.
    """

    def __init__(self, what: str, then: str = "") -> None:
        """Say what happened; `then`: what to do in a terminal, such as to add an option."""
        super().__init__(f"{what} {then}".rstrip())
        self.what = what


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """What an import does with each path below data/raw."""

    new: tuple[str, ...]
    replaced: tuple[str, ...]
    there: tuple[str, ...]  # exists with the same content: nothing to do


def place(items: Sequence[Item], into: str = "", folders: Mapping[str, str] | None = None) -> dict[str, Item]:
    """The path of each image below data/raw. Raises ImportingError when two have one path, or a name is not valid.

    folders: of labels that the project has; those of others are named after them.
    """
    folders = folders or {}
    if into and (folder_of(into) != into or is_hidden(into)):
        raise ImportingError(
            f"--into {shown(into)} is not a valid folder name. It must not contain /, \\, % or start with a dot."
        )
    placed: dict[str, Item] = {}
    for item in items:
        if not item.label:
            raise ImportingError(f"{shown(item.file.path)} has no label. Give every image a label.")
        path = "/".join([folders.get(item.label) or folder_of(item.label), *([into] if into else []), item.below])
        if path in placed:
            raise ImportingError(
                f"{shown(placed[path].file.path)} and {shown(item.file.path)} would both become {shown(path)}. "
                "Rename one of them."
            )
        placed[path] = item
    if odd := [path for path in placed if not _is_possible(path)]:
        raise ImportingError(
            f"{len(odd):,} files have names that cannot be kept: {named(odd)}. Names must be UTF-8, of at most "
            f"{LONGEST_NAME} bytes, without `..`. Rename them; for an archive in another "
            "encoding, name that with --names."
        )
    for path in placed:
        for end in (place for place, char in enumerate(path) if char == "/"):
            if path[:end] in placed:
                raise ImportingError(f"{shown(path[:end])} would be an image and a folder at once. Rename one of them.")
    return placed


def _is_possible(path: str) -> bool:
    try:
        parts = path.encode().split(b"/")
    except UnicodeEncodeError:
        return False
    return not any(part in (b"", b".", b"..") or b"\0" in part or len(part) > LONGEST_NAME for part in parts)


def plan_import(placed: Placed, states: Mapping[str, State], replace: bool) -> ImportPlan:
    """Decide what to do with each image. Raises ImportingError if a path has other content, unless `replace`."""
    other = [path for path in placed if states.get(path) == "other"]
    if other and not replace:
        raise ImportingError(
            f"{len(other):,} images would replace others of the same name: {named(other)}. Nothing was copied. Add "
            "--into NAME to keep both, or --replace to keep only the new ones."
        )
    return ImportPlan(
        new=tuple(path for path in placed if path not in states),
        replaced=tuple(other),
        there=tuple(path for path in placed if states.get(path) == "same"),
    )
