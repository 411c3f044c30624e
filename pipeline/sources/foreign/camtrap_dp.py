"""Camtrap DP 1.0: camera trap data packages. https://camtrap-dp.tdwg.org

datapackage.json names deployments.csv, media.csv and observations.csv. A label is the `scientificName` of an
observation of one image (`observationLevel` is `media`), else its `observationType`: blank, human, vehicle.
Observations of events are not linked to images, and `unknown` and `unclassified` say nothing.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from pipeline.core.text import counted, named, shown
from pipeline.sources.foreign.camtrap_package import Package, identity, media_of, observation_type, package_files
from pipeline.sources.foreign.camtrap_tables import TABLES
from pipeline.sources.foreign.content import Content
from pipeline.sources.foreign.entries import At, Entry, Told, said, time_of
from pipeline.sources.foreign.exported import Exported, Output
from pipeline.sources.layout import Said, SourceError

NAME, TITLE, FILE = "camtrap-dp", "Camtrap DP (datapackage.json with its tables)", "camtrap-dp/"
PREFIX = ""  # addresses of any kind
READER = "camtrap-dp:"
WITHOUT_LABEL = {"", "unknown", "unclassified"}
PLACED = ("latitude", "longitude", "deploymentStart", "deploymentEnd")
NEEDED = ("deploymentID", "timestamp", *PLACED)
NAMES = {table.name for table in TABLES}
OF_MEDIA = ("mediaID", "deploymentID", "timestamp", "filePath")
OBSERVED = ("observationID", "deploymentID", "observationLevel", "observationType", "scientificName")
Row = dict[str, str]


def recognise(content: Content) -> bool:
    """Whether the document is a data package with Camtrap DP's tables."""
    return (
        content.kind == "json"
        and content.has("resources")
        and {table.name for table in TABLES} <= set(_resources(content))
    )


def _resources(content: Content) -> dict[str, Mapping[str, object]]:
    given = content.head.get("resources") if isinstance(content.head, dict) else None
    every = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
    return {str(one.get("name")): one for one in every}


def read(content: Content, _: str) -> Told:
    """The images of media.csv with the labels of their observations."""
    deployments = {
        row["deploymentID"]: row for _, row in _table(content, "deployments", ("deploymentID", "latitude", "longitude"))
    }
    observed: defaultdict[str, list[tuple[At, Row]]] = defaultdict(list)
    of_events = by_machine = 0
    for at, row in _table(content, "observations", OBSERVED):
        if row["observationLevel"] == "media" and row.get("mediaID"):
            observed[row["mediaID"]].append((at, row))
            by_machine += row.get("classificationMethod") == "machine"
        else:
            of_events += 1
    entries, videos = [], 0
    for at, row in _table(content, "media", OF_MEDIA):
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
    return Told(entries, tuple(_notes(content.name, of_events, by_machine, videos)))


def _notes(name: str, of_events: int, by_machine: int, videos: int) -> Iterator[str]:
    if of_events:
        yield (
            f"{counted(of_events, 'observation')} of {name} {'is' if of_events == 1 else 'are'} of events, not of "
            "single images: not used."
        )
    if by_machine:
        yield (
            f"{counted(by_machine, 'observation')} of {name} {'is' if by_machine == 1 else 'are'} by a machine, not by "
            "a person: look at these labels before you train on them."
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
    table = content.table([name for table in TABLES for name in table.names], file)
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
    every = list(zip(images, known, strict=True))
    deployments = {facts["deploymentID"]: {key: facts[key] for key in ("deploymentID", *PLACED)} for facts in known}
    times = sorted(facts["timestamp"] for facts in known)
    return package_files(
        Package(
            "nightshift-export", "Nightshift export", times[-1], tuple(deployments.values()), (times[0], times[-1]),
            {image.label for image in images},
        ),
        (_media(image, facts) for image, facts in every),
        (_observation(image, facts) for image, facts in every),
    )  # fmt: skip


def _media_id(image: Exported, facts: Mapping[str, str]) -> str:
    return facts.get("mediaID") or identity(image.path)


def _media(image: Exported, facts: Mapping[str, str]) -> Row:
    return {
        "mediaID": _media_id(image, facts), "deploymentID": facts["deploymentID"], "timestamp": facts["timestamp"],
        **media_of(image.path, image.address),
    }  # fmt: skip


def _observation(image: Exported, facts: Mapping[str, str]) -> Row:
    kind, name = observation_type(image.label)
    judged = next((one for one in reversed(image.judgements) if one.label == image.label), None)
    by = {
        "classificationMethod": "human", "classifiedBy": judged.reader.removeprefix(READER),
        "classificationTimestamp": judged.at.isoformat(),
    } if judged else {}  # fmt: skip
    when = facts["timestamp"]
    return {
        "observationID": identity(f"{image.path}#1"), "deploymentID": facts["deploymentID"],
        "mediaID": _media_id(image, facts), "eventStart": when, "eventEnd": when, "observationLevel": "media",
        "observationType": kind, "scientificName": name, **by,
    }  # fmt: skip
