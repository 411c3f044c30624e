"""A night's answers on a map: GeoJSON (RFC 7946), a point for each image with a place. Reads no image."""

import json
from collections import Counter
from collections.abc import Iterator

from pipeline.core.cells import listed_path
from pipeline.core.terminal import progress_bar
from pipeline.core.text import counted
from pipeline.exports.finished import Finished
from pipeline.exports.place import place_of, require_kept, require_places
from pipeline.night.rows import Row
from pipeline.params.night import Privacy
from pipeline.sources.foreign.exported import Output

TEXTS = ("status", "label", "taken_at", "camera", "sha256", "model_name", "model_version")  # as in the row


def answers(night: Finished, privacy: Privacy) -> tuple[Output, list[str]]:
    """The file, and what a person should know of it. Raises PlaceError where no place may be told, or none is known."""
    require_kept(privacy, "GeoJSON")
    without = Counter(place_of(row) is None for row in night.rows())
    require_places(night, without[False])
    notes = [f"{counted(without[True], 'row')} without a place left out."] if without[True] else []
    return {"": _features(night)}, notes


def _features(night: Finished) -> Iterator[str]:
    """A feature a line. Degrees of WGS 84, longitude first."""
    before = '{"type": "FeatureCollection", "features": [\n'
    for row in progress_bar(night.rows(), "answers", total=night.summary.listed, unit="row"):
        if feature := _feature(row):
            yield before + json.dumps(feature, ensure_ascii=False)
            before = ",\n"
    yield "\n]}\n"


def _feature(row: Row) -> dict[str, object] | None:
    where = place_of(row)
    if where is None:
        return None
    texts = {name: row.get(name) or None for name in TEXTS}
    confidence = float(row["confidence"]) if row["confidence"] else None
    path = listed_path(row["path"]).encode(errors="surrogateescape").decode(errors="backslashreplace")
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": list(where)},
        "properties": {"path": path, "confidence": confidence, **texts},
    }
