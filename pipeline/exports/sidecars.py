"""XMP sidecars with a night's answers, where photo managers look for them. Never writes into a photograph.

A sidecar is `photo.xmp` or `photo.jpg.xmp`. Lightroom, Bridge and Camera Raw look for the first, of raw files only: of
others they read what is in the file itself. digiKam reads the first where it is there, else the second (its
`sidecarFilePathForFile`), and then nothing that is in the photograph: so a new sidecar begins with the photograph's own
XMP. darktable and Immich read the second. So BOTH is `photo.xmp`, which most read; but where a `photo.jpg.xmp` is
there it is gone on with, or digiKam would not see it any more, and where several photographs would share a sidecar, as
`photo.jpg` and `photo.png`, each has its own.
"""

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Literal

from PIL import Image

from pipeline.core.parallel import ordered_map
from pipeline.exports.finished import Finished, Photograph
from pipeline.exports.xml_text import XmlError
from pipeline.exports.xmp import Answer, Xmp
from pipeline.images.pillow import FORMATS
from pipeline.storage.files import replacing

THREADS = 8  # a disk takes as long to be sure of a file as to write it
LONGEST = 1 << 26  # bytes of a sidecar
SHOWN = 10  # sidecars that were left as they are, in a terminal
TIFF_XMP = 700  # the tag


class Names(StrEnum):
    """What a sidecar is called."""

    BOTH = "both"  # what Lightroom and digiKam read, as above
    STEM = "photo.xmp"
    FULL = "photo.jpg.xmp"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which answers become tags, and where."""

    statuses: frozenset[str] = frozenset({"ok"})
    min_confidence: float = 0.0
    into: Path | None = None  # a folder for the sidecars, in the folders of the photographs; None: beside them
    names: Names = Names.BOTH
    keep_place: bool = False  # whether a new sidecar may say where the photograph was taken


@dataclass(slots=True)
class Tagged:
    """What has become of the photographs of a night."""

    done: Counter[str] = field(default_factory=Counter)  # written, unchanged, taken away, not asked for -> photographs
    changed: list[str] = field(default_factory=list)  # photographs that are not as the night read them, or gone
    refused: list[tuple[str, str]] = field(default_factory=list)  # sidecar, why it was left as it is


def tag(night: Finished, wanted: Wanted, advance: Callable[[], object] = lambda: None) -> Tagged:
    """Write the answers that are wanted into sidecars, and take earlier ones of ours out of the others'.

    The same night gives the same bytes again. advance: called after each photograph. Raises NightError, OSError.
    """
    shared = {stem for stem, count in Counter(_stem(one.path) for one in night.photographs()).items() if count > 1}
    found = Tagged()
    work = partial(_tag, night, wanted, shared)
    for one, (what, name, why) in ordered_map(work, night.photographs(), THREADS):
        if what == "refused":
            found.refused.append((name, why))
        elif what == "changed":
            found.changed.append(one.path)
        else:
            found.done[what] += 1
        advance()
    night.require_any_as_read(found.changed, found.done["written"] + found.done["unchanged"])
    return found


def sidecar_of(one: Photograph, wanted: Wanted, *, is_shared: bool) -> Path:
    """The path of a photograph's sidecar. is_shared: whether another one has its name with another ending."""
    place = wanted.into / one.path if wanted.into else one.file
    full, stem = place.with_name(f"{place.name}.xmp"), place.with_suffix(".xmp")
    if wanted.names is Names.FULL or stem == place:
        return full
    if wanted.names is Names.STEM:
        return stem
    return full if is_shared or (full.exists() and not stem.exists()) else stem


def _stem(path: str) -> str:
    """A listed path without its ending, as file systems compare it that do not tell A from a."""
    return path.rpartition("/")[0] + "/" + Path(path).stem.casefold()


def _tag(night: Finished, wanted: Wanted, shared: set[str], one: Photograph) -> tuple[Photograph, tuple[str, str, str]]:
    is_shared = _stem(one.path) in shared
    file = sidecar_of(one, wanted, is_shared=is_shared)
    answer = _answer(one, wanted)
    if answer and is_shared and wanted.names is Names.STEM:
        return one, ("refused", str(file), "several photographs of this name would share it")
    if answer and not night.is_unchanged(one):
        return one, ("changed", "", "")
    try:
        return one, (_write(file, one, answer, wanted), "", "")
    except XmlError as error:  # of a photograph without an answer the sidecar is nobody's concern
        return one, ("refused", str(file), str(error)) if answer else ("not asked for", "", "")


def _answer(one: Photograph, wanted: Wanted) -> Answer | None:
    row = one.row
    if row["status"] not in wanted.statuses or float(row["confidence"] or 0) < wanted.min_confidence:
        return None
    status: Literal["ok", "unsure"] = "unsure" if row["status"] == "unsure" else "ok"
    return Answer(row["label"], status, row["confidence"], row["model_name"], row["model_version"])


def _write(file: Path, one: Photograph, answer: Answer | None, wanted: Wanted) -> str:
    """Bring a sidecar up to date; returns what was done. Raises XmlError."""
    data = _read(file)
    if data is None and answer is None:
        return "not asked for"
    document = Xmp(data) if data is not None else _own_xmp(one.file, keep_place=wanted.keep_place)
    if not document.put(answer):
        return "unchanged" if answer else "not asked for"
    if answer is None and document.is_empty:
        file.unlink()
        return "taken away"
    with replacing(file) as beside:
        beside.write_bytes(bytes(document))
        if data is not None:
            shutil.copymode(file, beside)
    return "written" if answer else "taken away"


def _read(file: Path) -> bytes | None:
    """A sidecar's bytes; None where there is none. Raises XmlError for what is not a file of its own."""
    if file.is_symlink():
        raise XmlError("it is a link")
    if not file.exists():
        return None
    if not file.is_file():
        raise XmlError("it is not a file")
    if file.stat().st_size > LONGEST:
        raise XmlError(f"it is larger than {LONGEST >> 20} MB")
    return file.read_bytes()


def _own_xmp(photograph: Path, *, keep_place: bool) -> Xmp:
    """What the photograph's own XMP packet says; nothing without one, or where it is damaged."""
    try:
        with Image.open(photograph, formats=FORMATS) as image:
            packet = image.info.get("xmp") or (image.getexif().get(TIFF_XMP) if image.format == "TIFF" else None)
        found = Xmp(packet.strip(b"\0 \r\n\t")) if isinstance(packet, bytes) and len(packet) <= LONGEST else Xmp()
    except Exception:  # noqa: BLE001 - on hostile bytes a parser can raise any error, and the packet is not ours to mend
        return Xmp()
    if not keep_place:
        found.drop_place()
    return found
