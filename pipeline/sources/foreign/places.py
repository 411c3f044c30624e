"""Find the images that a file of another tool names, among the images that are there. Pure; opens no file.

An image is found where its path as written is a path here, or one of the two is the end of the other and of the same
length no second one is: `gs://bucket/photos/a/1.jpg` is `a/1.jpg` of the folder. In a folder that a person has named, a
file name alone is enough where it is the only one. What is not found, or could be several, is left out.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from pipeline.core.text import named
from pipeline.sources.foreign.entries import Entry
from pipeline.sources.layout import Found, SourceError
from pipeline.storage.addresses import is_address


@dataclass
class Images:
    """The images of a folder or an archive, by path and by name."""

    found: Iterable[Found]
    name_is_enough: bool = False
    whole_paths: bool = False  # an image's whole path here must be the end of what is written
    _paths: dict[str, Found] = field(default_factory=dict, init=False)
    _ending: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list), init=False)

    def __post_init__(self) -> None:
        """Index the images by each end of their paths."""
        for one in self.found:
            path = unicodedata.normalize("NFC", one.path)
            self._paths[path] = one
            for end in _ends(path):
                self._ending[end].append(path)

    def at(self, path: str) -> Found | None:
        """The image at exactly this path."""
        return self._paths.get(path)

    def near(self, written: str) -> list[Found]:
        """The images that `written` may be: none, one, or several between which nothing decides."""
        for end in _ends(written):
            if end not in self._ending:
                continue
            if end in self._paths:
                return [self._paths[end]]
            if self.name_is_enough or (end == written and not self.whole_paths):
                return [self._paths[path] for path in self._ending[end]]
        return []


def _ends(path: str) -> Iterator[str]:
    """A path, then the same without its first folder, and so on: `a/b/1.jpg`, `b/1.jpg`, `1.jpg`."""
    while path:
        yield path
        path = path.partition("/")[2]


@dataclass(frozen=True, slots=True)
class Placed:
    """Which image each entry is."""

    found: Mapping[int, Found]  # index of the entry -> the image
    missing: list[int]
    ambiguous: list[int]


def placed(entries: Sequence[Entry], images: Images, name: str) -> Placed:
    """The image of each entry. Raises SourceError for a path that leads out of the folder of the file `name`."""
    ways = [[plain(path) for path in (entry.path, *entry.others)] for entry in entries]
    if not images.name_is_enough and (out := [entry.path for entry, way in zip(entries, ways, strict=True)
                                              if ".." in way[0].split("/")]):  # fmt: skip
        raise SourceError(
            f"{name} names {len(out):,} files outside of its folder: {named(out)}. Nothing was copied. If that is "
            "right, name the folder of the images with --images."
        )
    found: dict[int, Found] = {}
    taken: defaultdict[str, list[int]] = defaultdict(list)
    exact: set[str] = set()
    several: list[int] = []
    for index, way in enumerate(ways):
        paths = [_inside(path) for path in way]
        if here := next((one for path in paths if (one := images.at(path))), None):
            found[index] = here
            taken[here.path].append(index)
            exact.add(here.path)
    for index, way in enumerate(ways):
        if index in found:
            continue
        near = next((some for path in way if (some := images.near(_inside(path)))), [])
        if len(near) == 1:
            found[index] = near[0]
            taken[near[0].path].append(index)
        elif near:
            several.append(index)
    for path, rivals in taken.items():  # two names in the file may not be one image
        if len(rivals) > 1:
            keep = [index for index in rivals if images.at(_inside(ways[index][0]))] if path in exact else []
            for index in set(rivals) - set(keep[:1] if len(keep) == 1 else []):
                del found[index]
                several.append(index)
    missing = [index for index in range(len(entries)) if index not in found and index not in set(several)]
    return Placed(found, missing, sorted(several))


def plain(written: str) -> str:
    """A path or address as a path with `/`, without protocol, query, drive and empty parts."""
    path = written
    if is_address(written):
        parts = urlsplit(written)
        is_http = parts.scheme in ("http", "https")
        path = unquote(parts.path) if is_http else written.partition("://")[2]
    elif len(written) > 1 and written[1] == ":":
        path = written[2:]
    names = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
    return unicodedata.normalize("NFC", "/".join(names))


def _inside(path: str) -> str:
    """The path without the steps that lead upwards."""
    return path.rpartition("../")[2]
