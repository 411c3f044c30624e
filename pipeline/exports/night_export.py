"""A finished night as files for others: which formats there are, where they go, and what was written."""

import datetime
import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import NightshiftError
from pipeline.core.text import shown
from pipeline.exports import camtrap, geojson
from pipeline.exports.camtrap import Asked as Asked
from pipeline.exports.finished import finished_night
from pipeline.params.night import Privacy
from pipeline.sources.foreign.export import EXPORTS
from pipeline.sources.foreign.written import ExportError, write_files
from pipeline.storage.addresses import is_address

CAMTRAP, GEOJSON = "camtrap-dp", "geojson"
TITLES = {CAMTRAP: "Camtrap DP", GEOJSON: "GeoJSON"}
FILES = {CAMTRAP: "camtrap-dp", GEOJSON: "answers.geojson"}


@dataclass(frozen=True, slots=True)
class Done:
    """The result of an export."""

    what: str
    out: Path
    notes: tuple[str, ...]


def export_night(form: str, night: str, out: str, privacy: Privacy, asked: Asked) -> Done:
    """Write a night in a format: CAMTRAP or GEOJSON. out: where; empty: in exports/. Raises NightshiftError."""
    if form == GEOJSON and asked != Asked():
        raise ExportError("--prefix, --deployments and --utc-offset are for camtrap-dp. Omit them.")
    if is_address(out):
        raise ExportError(f"{shown(out)} is not on this machine. Export to a file here, and upload that.")
    found = finished_night(night)
    target = Path(out).expanduser() if out else EXPORTS / found.output.name / FILES[form]
    if target.exists() and target.is_dir() is not (form == CAMTRAP):
        kind = "a folder" if target.is_dir() else "a file"
        raise ExportError(f"{shown(str(target))} is {kind}, which {TITLES[form]} is not. Name another place.")
    files, notes = camtrap.package(found, privacy, asked) if form == CAMTRAP else geojson.answers(found, privacy)
    write_files({target / name if name else target: pieces for name, pieces in files.items()}, Path())
    return Done(TITLES[form], target, tuple(notes))


def offset_of(text: str) -> datetime.timezone | None:
    """The offset from UTC of a text such as `+01:00` or `Z`; None for an empty one. Raises NightshiftError."""
    if not text:
        return None
    found = re.fullmatch(r"Z|([+-])(\d\d):?([0-5]\d)", text)
    if found is None or int(found[2] or 0) > 14:
        raise NightshiftError(f"{shown(text)} is not an offset from UTC. Write it as +01:00, -05:30 or Z.")
    minutes = int(found[2] or 0) * 60 + int(found[3] or 0)
    return datetime.timezone(datetime.timedelta(minutes=-minutes if found[1] == "-" else minutes))
