"""A night's answers as Camtrap DP: each camera a deployment, each image a medium with one observation by the model.

What the standard requires of every image is its time with an offset, its camera and where that stood. What is missing
is never guessed: a person says the offset of cameras that do not write it, and a table says where cameras stood whose
photographs do not.
"""

import bisect
import csv
import datetime
import re
import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.core.cells import listed_path
from pipeline.core.errors import NightshiftError
from pipeline.core.terminal import progress_bar
from pipeline.core.text import counted, named, shown
from pipeline.data import bursts
from pipeline.data.bursts import Clock, camera_of
from pipeline.exports.finished import Finished
from pipeline.exports.place import Where, moment_of, place_of, require_kept, require_places
from pipeline.night.events import read_events
from pipeline.night.rows import Row
from pipeline.params.night import Privacy
from pipeline.sources.foreign.camtrap_package import Package, identity, media_of, observation_type, package_files
from pipeline.sources.foreign.camtrap_tables import DEPLOYMENTS, RELATIVE, Cells
from pipeline.sources.foreign.exported import Output, address_of

NEEDED = ("deploymentID", "latitude", "longitude")
PACKAGE_NAME = re.compile(r"[^a-z0-9._-]+")  # what a data package's name does not have
Reason = str  # why an image is left out


class CamtrapError(NightshiftError):
    """The package cannot be written; the message says what is missing, and who can say it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person says that photographs do not."""

    prefix: str = ""  # stands before each path
    offset: datetime.timezone | None = None  # of times that have none
    table: Path | None = None  # deployments.csv: where and when each camera stood


@dataclass(slots=True)
class _Camera:
    """What the rows say of one camera."""

    first: datetime.datetime
    last: datetime.datetime
    images: int = 0
    labels: set[str] = field(default_factory=set)
    places: list[Where] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Image:
    """A row that the package can have."""

    row: Row
    path: str
    address: str
    camera: str
    at: datetime.datetime

    @property
    def deployment(self) -> str:
        return self.camera or "camera"

    @property
    def when(self) -> str:
        return self.at.isoformat(timespec="seconds")


def package(night: Finished, privacy: Privacy, asked: Asked) -> tuple[Output, list[str]]:
    """The package's files, and what a person should know of it.

    Raises PlaceError where no place may be told or none is known, CamtrapError, SourceError.
    """
    require_kept(privacy, "Camtrap DP")
    stood = _stood(asked.table) if asked.table else {}
    cameras, left_out = _look(night, asked)
    deployments = {name: _deployment(name, one, stood.get(name)) for name, one in sorted(cameras.items())}
    known = {name: row for name, row in deployments.items() if row}
    if nowhere := [name for name in cameras if name not in known]:
        why = f"of cameras of which nobody says where they stood ({named(nowhere)}): say it with --deployments"
        left_out[why] = sum(cameras[name].images for name in nowhere)
    if not known:
        if cameras and not any(map(place_of, night.rows())):
            more = f" Or say where the cameras stood: --deployments FILE, a CSV with the columns {', '.join(NEEDED)}."
            require_places(night, 0, more)
        raise CamtrapError(f"No image of {night.output} can be in a Camtrap DP: {_reasons(left_out)}")
    times = [moment for name in known for moment in (cameras[name].first, cameras[name].last)]
    about = Package(
        "nightshift-" + PACKAGE_NAME.sub("-", night.output.name.casefold()).strip("-"), f"Night {night.output.name}",
        night.summary.finished_at, tuple(known.values()), (min(times).isoformat(), max(times).isoformat()),
        set().union(*(cameras[name].labels for name in known)),
    )  # fmt: skip
    events = _Events(night)
    files = package_files(
        about,
        (_medium(one) for one in _seen(night, asked, "media") if one.deployment in known),
        (_observation(one, events) for one in _seen(night, asked, "observations") if one.deployment in known),
    )
    return files, [f"Left out: {_reasons(left_out)}"] if left_out else []


def _reasons(left_out: Counter[Reason]) -> str:
    return "; ".join(f"{counted(count, 'image')} {reason}" for reason, count in left_out.items()) + "."


def _look(night: Finished, asked: Asked) -> tuple[dict[str, _Camera], Counter[Reason]]:
    """The cameras, and how many images are left out, by the reason."""
    cameras: dict[str, _Camera] = {}
    left_out = Counter[Reason]()
    for one in _images(night, asked, left_out):
        camera = cameras.setdefault(one.deployment, _Camera(one.at, one.at))
        camera.images += 1
        camera.first, camera.last = min(camera.first, one.at), max(camera.last, one.at)
        if where := place_of(one.row):
            camera.places.append(where)
        camera.labels.add(one.row["label"])
    return cameras, left_out


def _seen(night: Finished, asked: Asked, what: str) -> Iterator[_Image]:
    yield from progress_bar(_images(night, asked, Counter()), what, unit="image")


def _images(night: Finished, asked: Asked, left_out: Counter[Reason]) -> Iterator[_Image]:
    """The images that the package can have; the others are counted in `left_out`."""
    before = asked.prefix if not asked.prefix or asked.prefix.endswith(("/", "=")) else f"{asked.prefix}/"
    for row in night.rows():
        path = listed_path(row["path"])
        at = moment_of(row, asked.offset)
        if not row["label"]:
            left_out["that could not be read"] += 1
        elif not row.get("taken_at"):
            left_out["without the time at which they were taken"] += 1
        elif at is None:
            left_out["with a time without its offset from UTC: say it with --utc-offset, such as +01:00"] += 1
        elif not path.isprintable() or not re.match(RELATIVE, address := address_of(before, path)):
            left_out["with a name that Camtrap DP does not allow"] += 1
        else:
            yield _Image(row, path, address, camera_of(row.get("camera", ""), path), at)


def _deployment(name: str, camera: _Camera, stood: Cells | None) -> Cells | None:
    """A camera's row: what a person says of it, else what its photographs say; None where neither says a place."""
    seen = {"deploymentStart": camera.first.isoformat(timespec="seconds")}
    seen |= {"deploymentEnd": camera.last.isoformat(timespec="seconds"), "cameraID": name}
    if stood:
        return {**seen, **{column: text for column, text in stood.items() if text}}
    if not camera.places:
        return None
    longitude, latitude = (statistics.median(values) for values in zip(*camera.places, strict=True))
    return {"deploymentID": name, "latitude": f"{latitude:.6f}", "longitude": f"{longitude:.6f}", **seen}


def _stood(file: Path) -> dict[str, Cells]:
    """The rows of a person's deployments.csv, by deploymentID. Raises CamtrapError."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as source:
            reader = csv.DictReader(source, restval="")
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CamtrapError(f"{shown(str(file))} cannot be read as CSV: {error}.") from None
    if missing := [name for name in NEEDED if name not in (reader.fieldnames or [])]:
        raise CamtrapError(
            f"{shown(str(file))} lacks the column {named(missing)}. It must have {', '.join(NEEDED)}, and may have the "
            "others of Camtrap DP's deployments."
        )
    found: dict[str, Cells] = {}
    for number, row in enumerate(rows, start=2):
        where = [row["latitude"], row["longitude"]]
        if not all(_is_within(text, most) for text, most in zip(where, (90, 180), strict=True)):
            raise CamtrapError(
                f"{shown(str(file))}, line {number}: {shown(', '.join(where))} is not a latitude and a longitude "
                "in degrees, such as 51.496, 4.774."
            )
        if row["deploymentID"] in found:
            raise CamtrapError(
                f"{shown(str(file))} has {shown(row['deploymentID'])} twice. One row a camera is allowed here."
            )
        found[row["deploymentID"]] = {name: row[name] for name in DEPLOYMENTS.names if name in row}
    return found


def _is_within(text: str, most: float) -> bool:
    try:
        return -most <= float(text) <= most
    except ValueError:
        return False


def _medium(one: _Image) -> Cells:
    about = {"mediaID": identity(one.path), "deploymentID": one.deployment, "timestamp": one.when}
    return {**about, **media_of(one.path, one.address)}


class _Events:
    """Which event of the night an image is in."""

    def __init__(self, night: Finished) -> None:
        self._events: dict[Clock, list[tuple[float, float, str]]] = {}  # start, end, name
        for row in read_events(night.output):
            start, end = (bursts.moment_of(row[name], row["camera"]) for name in ("start", "end"))
            if start and end:
                self._events.setdefault(start[0], []).append((start[1], end[1], row["event"]))
        for events in self._events.values():
            events.sort()

    def of(self, one: _Image) -> str:
        """The event's name; empty where the night has none."""
        moment = bursts.moment_of(one.row["taken_at"], one.camera)
        events = self._events.get(moment[0], []) if moment else []
        place = bisect.bisect_right(events, (moment[1], float("inf"), "")) - 1 if moment else -1
        return events[place][2] if moment and place >= 0 and moment[1] <= events[place][1] else ""


def _observation(one: _Image, events: _Events) -> Cells:
    row, (kind, name) = one.row, observation_type(one.row["label"])
    return {
        "observationID": identity(f"{one.path}#1"), "deploymentID": one.deployment, "mediaID": identity(one.path),
        "eventID": events.of(one), "eventStart": one.when, "eventEnd": one.when, "observationLevel": "media",
        "observationType": kind, "scientificName": name, "classificationMethod": "machine",
        "classifiedBy": f"{row['model_name']} version {row['model_version']}",
        "classificationTimestamp": row["classified_at"], "classificationProbability": row["confidence"],
        "observationTags": f"status:{row['status']}",
    }  # fmt: skip
