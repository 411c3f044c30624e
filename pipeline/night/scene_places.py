"""The tiles of a georeferenced scene as GeoJSON. Coordinates stay in the file's own system.

RFC 7946 knows WGS 84 only. A scene in another system names it in `crs`, as GeoJSON of 2008 did and GDAL and QGIS read.
"""

import json
from collections.abc import Mapping, Sequence

from pipeline.images.georeference import WGS_84, Georeference
from pipeline.images.windows import Window

DIGITS = {True: 8, False: 3}  # of degrees; of metres or feet
LEFT_OUT = ("path", "outlier_score", "brightness", "contrast", "sharpness", "ignored")  # columns of the tile


def feature(place: Georeference, window: Window, tile: Mapping[str, str | int | float | None]) -> str:
    """A tile as a GeoJSON feature, one line. window: in pixels of the full picture."""
    x, y, width, height = window
    digits = DIGITS[place.epsg == WGS_84]
    corners = [(x, y), (x, y + height), (x + width, y + height), (x + width, y), (x, y)]  # counter-clockwise, north up
    ring = [[round(value, digits) for value in place.point(*corner)] for corner in corners]
    properties = {name: value for name, value in tile.items() if name not in LEFT_OUT and value not in ("", None)}
    geometry = {"type": "Polygon", "coordinates": [ring]}
    return json.dumps({"type": "Feature", "properties": properties, "geometry": geometry}, ensure_ascii=False)


def collection(place: Georeference, features: Sequence[str]) -> bytes:
    """A GeoJSON file of these features."""
    crs = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{place.epsg}"}}
    said = "" if place.epsg == WGS_84 else f'"crs": {json.dumps(crs)},\n'
    lines = ",\n".join(features)
    return f'{{"type": "FeatureCollection",\n{said}"features": [\n{lines}\n]}}\n'.encode()
