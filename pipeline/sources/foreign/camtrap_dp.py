"""Camtrap DP 1.0: camera trap data packages. https://camtrap-dp.tdwg.org

datapackage.json names deployments.csv, media.csv and observations.csv. A label is the `scientificName` of an
observation of one image (`observationLevel` is `media`), else its `observationType`: blank, human, vehicle.
Observations of events are not linked to images, and `unknown` and `unclassified` say nothing.
"""

import json
import mimetypes
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from pipeline.core.text import counted, named, shown
from pipeline.sources.foreign.content import Content
from pipeline.sources.foreign.entries import At, Entry, Told, said, time_of
from pipeline.sources.foreign.exported import Exported, Output, csv_rows
from pipeline.sources.layout import Said, SourceError

NAME, TITLE, FILE = "camtrap-dp", "Camtrap DP (datapackage.json with its tables)", "camtrap-dp/"
PREFIX = ""  # addresses of any kind
PACKAGE = "datapackage.json"
PROFILE = "https://raw.githubusercontent.com/tdwg/camtrap-dp/1.0.2/camtrap-dp-profile.json"
READER = "camtrap-dp:"
TABLES = ("deployments", "media", "observations")
WITHOUT_LABEL = {"", "unknown", "unclassified"}
TYPES = {"blank": "blank", "human": "human", "Homo sapiens": "human", "vehicle": "vehicle"}  # label -> observationType
PLACED = ("latitude", "longitude", "deploymentStart", "deploymentEnd")
NEEDED = ("deploymentID", "timestamp", *PLACED)
SPACE = uuid.UUID("5d0b7f0e-1f0a-4d38-8d8c-0d7a3a3c9f52")  # names of ours -> ids that are the same in each export

DEPLOYMENTS = ("deploymentID", *PLACED)
MEDIA = ("mediaID", "deploymentID", "timestamp", "filePath", "filePublic", "fileName", "fileMediatype")
OBSERVATIONS = (
    "observationID", "deploymentID", "mediaID", "eventStart", "eventEnd", "observationLevel", "observationType",
    "scientificName", "classificationMethod", "classifiedBy", "classificationTimestamp",
)  # fmt: skip
Row = dict[str, str]


def recognise(content: Content) -> bool:
    """Whether the document is a data package with Camtrap DP's tables."""
    return content.kind == "json" and content.has("resources") and set(TABLES) <= set(_resources(content))


def _resources(content: Content) -> dict[str, Mapping[str, object]]:
    given = content.head.get("resources") if isinstance(content.head, dict) else None
    every = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
    return {str(one.get("name")): one for one in every}


def read(content: Content, _: str) -> Told:
    """The images of media.csv with the labels of their observations."""
    deployments = {row["deploymentID"]: row for _, row in _table(content, "deployments", DEPLOYMENTS[:3])}
    observed: defaultdict[str, list[tuple[At, Row]]] = defaultdict(list)
    of_events = 0
    for at, row in _table(content, "observations", OBSERVATIONS[:2] + OBSERVATIONS[5:8]):
        if row["observationLevel"] == "media" and row.get("mediaID"):
            observed[row["mediaID"]].append((at, row))
        else:
            of_events += 1
    entries, videos = [], 0
    for at, row in _table(content, "media", MEDIA[:4]):
        if not row.get("fileMediatype", "image/").startswith("image/"):
            videos += 1
            continue
        path = at.text(row["filePath"], "filePath")
        known = {**{key: row[key] for key in ("mediaID", "deploymentID", "timestamp")}}
        place = deployments.get(row["deploymentID"], {})
        known |= {key: place[key] for key in PLACED if place.get(key)}
        rows = [one for _, one in observed.get(row["mediaID"], [])]
        labels = tuple(dict.fromkeys(label for one in rows if (label := _label(one))))
        people = tuple(found for one in rows if (found := _said(one)))
        name = (row["fileName"],) if row.get("fileName") else ()
        entries.append(Entry(path, labels, "", tuple(known.items()), people if len(labels) == 1 else (), name))
    return Told(entries, tuple(_notes(content.name, of_events, videos)))


def _notes(name: str, of_events: int, videos: int) -> Iterator[str]:
    if of_events:
        yield (
            f"{counted(of_events, 'observation')} of {name} {'is' if of_events == 1 else 'are'} of events, not of "
            "single images: not used."
        )
    if videos:
        yield f"{counted(videos, 'file')} of {name} {'is' if videos == 1 else 'are'} no images (videos): left out."
    yield (
        "The deployment of each image is in data/raw/metadata.csv. Rename its column deploymentID to group if no "
        "deployment may be in training and test at once."
    )


def _table(content: Content, name: str, needed: Sequence[str]) -> list[tuple[At, Row]]:
    path = _resources(content)[name].get("path")
    at = At(f"{content.name}, resource {name}")
    file = at.text(path[0] if isinstance(path, list) and len(path) == 1 else path, "path")
    if "://" in file or file.startswith("/") or ".." in file.split("/"):
        raise at.refused(f"its path {shown(file)} leads out of the package")
    table = content.table(MEDIA + OBSERVATIONS + DEPLOYMENTS, file)
    if missing := [column for column in needed if column not in table.columns]:
        raise SourceError(
            f"{shown(file)} has no column {named(missing)}, so it is not of Camtrap DP 1.0. Export the package as 1.0 "
            "or later; nothing was copied."
        )
    return [(At(f"{shown(file)}, row {number:,}"), dict(zip(table.columns, cells, strict=True)))
            for number, cells in table.rows]  # fmt: skip


def _label(row: Row) -> str:
    kind = row["observationType"]
    return row.get("scientificName") or ("" if kind in WITHOUT_LABEL else kind)


def _said(row: Row) -> Said | None:
    """What a person has said, where the observation says who and when."""
    who = row.get("classifiedBy")
    if row.get("classificationMethod") != "human" or not who:
        return None
    return said(f"{READER}{who}", time_of(row.get("classificationTimestamp")), [_label(row)])


def write(images: Sequence[Exported]) -> Output:
    """The package. Raises SourceError where the side table does not say where and when the images were taken."""
    known = [dict(image.known) for image in images]
    lacking = [image.path for image, facts in zip(images, known, strict=True) if not all(map(facts.get, NEEDED))]
    if lacking:
        raise SourceError(
            f"{len(lacking):,} of {counted(len(images), 'image')} {'lacks' if len(lacking) == 1 else 'lack'} what "
            f"Camtrap DP needs: {named(lacking)}. Fill in the columns {', '.join(NEEDED)} of data/raw/metadata.csv."
        )
    deployments = {facts["deploymentID"]: [facts[key] for key in DEPLOYMENTS] for facts in known}
    media = [_media(image, facts) for image, facts in zip(images, known, strict=True)]
    observations = [_observation(image, facts) for image, facts in zip(images, known, strict=True)]
    return {
        "deployments.csv": csv_rows([DEPLOYMENTS, *deployments.values()]),
        "media.csv": csv_rows([MEDIA, *media]),
        "observations.csv": csv_rows([OBSERVATIONS, *observations]),
        PACKAGE: iter([_package(images, known)]),
    }


def _media_id(image: Exported, facts: Mapping[str, str]) -> str:
    return facts.get("mediaID") or str(uuid.uuid5(SPACE, image.path))


def _media(image: Exported, facts: Mapping[str, str]) -> list[str]:
    kind = mimetypes.guess_type(image.path)[0] or "image/jpeg"
    name = image.path.rpartition("/")[2]
    about = [_media_id(image, facts), facts["deploymentID"], facts["timestamp"]]
    return [*about, image.address, "false", name, kind]


def _observation(image: Exported, facts: Mapping[str, str]) -> list[str]:
    kind = TYPES.get(image.label, "animal")
    name = "" if kind == image.label else image.label
    judged = next((one for one in reversed(image.judgements) if one.label == image.label), None)
    by = ["human", judged.reader.removeprefix(READER), judged.at.isoformat()] if judged else ["", "", ""]
    number = str(uuid.uuid5(SPACE, f"{image.path}#1"))
    when = facts["timestamp"]
    return [number, facts["deploymentID"], _media_id(image, facts), when, when, "media", kind, name, *by]


def _package(images: Sequence[Exported], known: Sequence[Mapping[str, str]]) -> str:
    longitudes, latitudes = ([_number(facts[key]) for facts in known] for key in ("longitude", "latitude"))
    times = sorted(facts["timestamp"] for facts in known)
    schema = PROFILE.rpartition("/")[0]
    resources = [
        {"name": name, "path": f"{name}.csv", "profile": "tabular-data-resource", "format": "csv",
         "mediatype": "text/csv", "encoding": "utf-8", "schema": f"{schema}/{name}-table-schema.json"}
        for name in TABLES
    ]  # fmt: skip
    names = sorted({image.label for image in images} - {"blank", "human", "vehicle"})
    package = {
        "profile": PROFILE,
        "name": "nightshift-export",
        "created": times[-1],
        "contributors": [{"title": "Nightshift", "role": "contributor"}],
        "project": {
            "title": "Nightshift export", "samplingDesign": "opportunistic", "captureMethod": ["activityDetection"],
            "individualAnimals": False, "observationLevel": ["media"],
        },
        "spatial": {"type": "Polygon", "coordinates": [_box(longitudes, latitudes)]},
        "temporal": {"start": times[0][:10], "end": times[-1][:10]},
        "taxonomic": [{"scientificName": name} for name in names],
        "resources": resources,
    }  # fmt: skip
    return json.dumps(package, ensure_ascii=False, indent=2) + "\n"


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise SourceError(
            f"data/raw/metadata.csv has {shown(text)} for latitude or longitude. Write degrees as a decimal number."
        ) from None


def _box(x: Sequence[float], y: Sequence[float]) -> list[list[float]]:
    west, east, south, north = min(x), max(x), min(y), max(y)
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]
