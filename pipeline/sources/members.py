"""The members of an archive by their paths: which are images, where links lead. Pure; opens nothing.

If a member's name or link leads out of the archive, the whole archive is refused: this does not happen by mistake.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.core.hidden import is_hidden
from pipeline.core.text import shown
from pipeline.sources.layout import Found, SourceError
from pipeline.storage.left_aside import LeftAside, Tally
from pipeline.storage.listing import Aside

LINKS = 40  # links followed from one to the next, as Linux does


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive, or a link to one."""

    path: str
    bytes: int
    image: bool
    target: str | None = None  # the path that a link leads to


def inside(archive: str, member: str, path: str) -> str:
    """`path` without empty parts and dots, composed (NFC); raises SourceError when it leads out of the archive."""
    parts = path.split("/")
    if path.startswith("/") or ".." in parts or "\0" in path or re.match(r"[A-Za-z]:[/\\]", path):
        raise SourceError(
            f"{archive} is refused: its member {shown(member)!r} leads out of the archive"
            f"{f' (to {shown(path)!r})' if path != member else ''}. Nothing was imported. Unpack it by hand if you "
            "trust it, and import the folder."
        )
    return unicodedata.normalize("NFC", "/".join(part for part in parts if part not in ("", ".")))


def linked(archive: str, member: str, target: str) -> str:
    """The path in the archive that the symbolic link `member` leads to; raises SourceError when that is outside."""
    parts = [part for part in member.split("/")[:-1] if part not in ("", ".")]
    for part in target.split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part == ".." or target.startswith("/"):
            inside(archive, member, target)
        elif part not in ("", "."):
            parts.append(part)
    return unicodedata.normalize("NFC", "/".join(parts))


def images_in(members: Iterable[Member]) -> tuple[list[Found], LeftAside]:
    """The images among `members`, and what else there is. If several have one path, the last one counts."""
    by_path = {member.path: member for member in members}
    found, others = [], Tally()
    for path, member in by_path.items():
        if any(map(is_hidden, path.split("/"))):
            continue
        real: Member | None = member
        for _ in range(LINKS):
            if real is None or real.target is None:
                break
            real = by_path.get(real.target)
        if real is not None and real.target is None and (member.image or real.image):
            found.append(Found(path, real.path, real.bytes))
        else:
            others.add(Aside(path, "file" if member.target is None else "link"))
    return found, others.found()
