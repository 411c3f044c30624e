"""Counts and names what a listing skips: other files, links that are not followed, folders without rights."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from pydantic import BaseModel, ConfigDict

from pipeline.core.text import named
from pipeline.storage.listing import Aside, Listed

OURS = frozenset({"collected.csv", "gaps.csv", "clips.csv"})  # of `nightshift collect`
SIDECAR = ".xmp"  # of `nightshift tag`, or of another program: it describes a picture
NAMES = 20  # kept of each kind
FEW = 3  # other files that a message names; more of them it counts by ending
MOST_ENDINGS = 1000  # counted apart
SHOWN_ENDINGS = 6  # in a message
WITHOUT = "without an ending"
_ENDING = re.compile(r"[a-z0-9_+-]{1,12}")


class LeftAside(BaseModel):
    """What a listing skipped. Names are examples; their bytes that are not UTF-8 are escaped."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    files: dict[str, int] = {}  # ending, with its dot -> files that are not images; the most frequent first
    file_names: tuple[str, ...] = ()
    links: int = 0  # that are not followed
    link_names: tuple[str, ...] = ()
    folders: int = 0  # that could not be read
    folder_names: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.files or self.links or self.folders)

    @property
    def lines(self) -> list[str]:
        """A sentence for each kind that there is."""
        return [*self.unread_lines, *self.link_lines, *self.file_lines]

    @property
    def unread_lines(self) -> list[str]:
        """On folders that could not be read."""
        if not self.folders:
            return []
        folders = "1 folder" if self.folders == 1 else f"{self.folders:,} folders"
        return [
            f"{folders} could not be read (permission denied), so the files in there are missing: "
            f"{named(self.folder_names, self.folders)}. Give the permission, or ignore this if they hold no images."
        ]

    @property
    def link_lines(self) -> list[str]:
        """On links that are not followed."""
        if not self.links:
            return []
        links = "1 link was" if self.links == 1 else f"{self.links:,} links were"
        return [
            f"{links} not followed (only links to files inside the folder are): {named(self.link_names, self.links)}. "
            "If they lead to images, copy these into the folder (`cp -rL` copies what links lead to)."
        ]

    @property
    def file_lines(self) -> list[str]:
        """On files that are not images."""
        if not self.files:
            return []
        total = sum(self.files.values())
        files = "1 other file" if total == 1 else f"{total:,} other files"
        if total == len(self.file_names) <= FEW:
            return [f"{files} skipped: {named(self.file_names)}."]
        kinds = [f"{count:,} {ending}" for ending, count in [*self.files.items()][:SHOWN_ENDINGS]]
        if (others := total - sum([*self.files.values()][:SHOWN_ENDINGS])) > 0:
            kinds.append(f"{others:,} more")
        return [f"{files} skipped: {', '.join(kinds)}."]


class Tally:
    """Counts what a listing skips while the caller takes its images."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._files: Counter[str] = Counter()
        self._names: dict[str, list[str]] = {"file": [], "link": [], "folder": []}
        self._counts = dict.fromkeys(self._names, 0)

    def images(self, entries: Iterable[Listed | Aside]) -> Iterator[Listed]:
        """The images among `entries`; the others are counted as they come."""
        for entry in entries:
            if isinstance(entry, Listed):
                yield entry
            else:
                self.add(entry)

    def add(self, entry: Aside) -> None:
        """Count an entry that is not an image, but for what `collect` and `tag` write beside images."""
        ending = ending_of(entry.path)
        if entry.kind == "file" and (entry.path.rpartition("/")[2] in OURS or ending == SIDECAR):
            return
        if entry.kind == "file":
            self._files[ending if len(self._files) < MOST_ENDINGS or ending in self._files else WITHOUT] += 1
        self._counts[entry.kind] += 1
        if len(self._names[entry.kind]) < NAMES:
            self._names[entry.kind].append(os.fsencode(entry.path).decode("utf-8", "backslashreplace"))

    def found(self) -> LeftAside:
        """What the listing has skipped so far."""
        return LeftAside(
            files=dict(sorted(self._files.items(), key=lambda one: (-one[1], one[0]))),
            file_names=tuple(sorted(self._names["file"])),
            links=self._counts["link"],
            link_names=tuple(self._names["link"]),
            folders=self._counts["folder"],
            folder_names=tuple(self._names["folder"]),
        )


def ending_of(path: str) -> str:
    """`.mp4` of `A/B.MP4`; WITHOUT for a name that has no usual ending."""
    stem, dot, ending = path.rpartition("/")[2].rpartition(".")
    return f".{ending.lower()}" if stem and dot and _ENDING.fullmatch(ending.lower()) else WITHOUT
