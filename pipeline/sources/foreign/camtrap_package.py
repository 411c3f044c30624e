"""A Camtrap DP package as files, from rows that others have made: of a project's labels, or of a night's answers."""

import json
import mimetypes
import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from pipeline.core.text import shown
from pipeline.sources.foreign.camtrap_tables import DEPLOYMENTS, MEDIA, OBSERVATIONS, TABLES, Cells
from pipeline.sources.foreign.exported import Output
from pipeline.sources.layout import SourceError

PACKAGE = "datapackage.json"
PROFILE = "https://raw.githubusercontent.com/tdwg/camtrap-dp/1.0.2/camtrap-dp-profile.json"
TYPES = {"blank": "blank", "human": "human", "Homo sapiens": "human", "vehicle": "vehicle"}  # label -> observationType
SPACE = uuid.UUID("5d0b7f0e-1f0a-4d38-8d8c-0d7a3a3c9f52")  # names of ours -> ids that are the same in each export


@dataclass(frozen=True, slots=True)
class Package:
    """What `datapackage.json` says of the whole."""

    name: str
    title: str
    created: str  # ISO 8601 with its offset; not the clock's: the same content gives the same bytes
    deployments: Sequence[Cells]
    times: tuple[str, str]  # of the first image and the last, ISO 8601
    labels: Collection[str]


def identity(name: str) -> str:
    """An identifier that is the same for the same name."""
    return str(uuid.uuid5(SPACE, name))


def observation_type(label: str) -> tuple[str, str]:
    """The `observationType` and the `scientificName` of a label; the second is empty where the first says all."""
    kind = TYPES.get(label, "animal")
    return kind, "" if kind == label else label


def media_of(path: str, address: str) -> dict[str, str]:
    """What media.csv says of a file itself. address: how the package names it."""
    guessed = mimetypes.guess_type(path)[0] or ""
    kind = guessed if guessed.startswith("image/") else "image/jpeg"  # the standard has no other kinds, as of DICOM
    return {
        "filePath": address, "filePublic": "false", "fileName": path.rpartition("/")[2], "fileMediatype": kind,
    }  # fmt: skip


def package_files(package: Package, media: Iterable[Cells], observations: Iterable[Cells]) -> Output:
    """The package's files. Raises SourceError for a place that is not in degrees."""
    return {
        "deployments.csv": DEPLOYMENTS.csv(package.deployments),
        "media.csv": MEDIA.csv(media),
        "observations.csv": OBSERVATIONS.csv(observations),
        PACKAGE: iter([_about(package)]),
    }


def _about(package: Package) -> str:
    longitudes, latitudes = (
        [_degrees(row[key]) for row in package.deployments] for key in ("longitude", "latitude")
    )  # fmt: skip
    schema = PROFILE.rpartition("/")[0]
    resources = [
        {"name": table.name, "path": f"{table.name}.csv", "profile": "tabular-data-resource", "format": "csv",
         "mediatype": "text/csv", "encoding": "utf-8", "schema": f"{schema}/{table.name}-table-schema.json"}
        for table in TABLES
    ]  # fmt: skip
    names = sorted({observation_type(label)[1] for label in package.labels} - {""})
    start, end = package.times
    found = {
        "profile": PROFILE,
        "name": package.name,
        "created": package.created,
        "contributors": [{"title": "Nightshift", "role": "contributor"}],
        "project": {
            "title": package.title, "samplingDesign": "opportunistic", "captureMethod": ["activityDetection"],
            "individualAnimals": False, "observationLevel": ["media"],
        },
        "spatial": {"type": "Polygon", "coordinates": [_box(longitudes, latitudes)]},
        "temporal": {"start": start[:10], "end": end[:10]},
        "taxonomic": [{"scientificName": name} for name in names],
        "resources": resources,
    }  # fmt: skip
    return json.dumps(found, ensure_ascii=False, indent=2) + "\n"


def _degrees(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise SourceError(
            f"{shown(text)} is not a latitude or longitude. Write degrees as a decimal number, such as 51.496."
        ) from None


def _box(x: Sequence[float], y: Sequence[float]) -> list[list[float]]:
    west, east, south, north = min(x), max(x), min(y), max(y)
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]
