"""Vertex AI and AutoML Vision: the import files of image classification, as CSV and as JSON Lines.

https://cloud.google.com/vertex-ai/docs/image-data/classification/prepare-data: `[ml_use,]gs://bucket/image,label`, and
`{"imageGcsUri": …, "classificationAnnotation": {"displayName": …}, "dataItemResourceLabels": {…/ml_use: …}}`.
"""

import re
from collections.abc import Mapping, Sequence

from pipeline.sources.foreign.content import Content
from pipeline.sources.foreign.entries import At, Entry, Told, split_of
from pipeline.sources.foreign.exported import Exported, Output, csv_rows, json_lines

CSV_NAME, CSV_TITLE, CSV_FILE = "vertex-csv", "Vertex AI, AutoML (CSV)", "vertex.csv"
NAME, TITLE, FILE = "vertex", "Vertex AI (JSON Lines)", "vertex.jsonl"
PREFIX = "gs://"
USE = "aiplatform.googleapis.com/ml_use"
_USE_OF = {"train": "training", "val": "validation", "test": "test"}
_USES = {"train", "training", "validate", "validation", "test", "unassigned", ""}
_NUMBER = re.compile(r"-?[0-9.]+(?:[eE][+-]?[0-9]+)?")
_CORNERS = 8  # cells after a label that give a box


def recognise_csv(content: Content) -> bool:
    """Whether each row has an address of Google Cloud Storage in its first or second cell."""
    rows = content.first_rows()
    return bool(rows) and all(_place_of(row) is not None for row in rows)


def _place_of(row: Sequence[str]) -> int | None:
    if row[0].strip().startswith(PREFIX):
        return 0
    has_use = len(row) > 1 and row[0].strip().casefold() in _USES
    return 1 if has_use and row[1].strip().startswith(PREFIX) else None


def read_csv(content: Content, _: str) -> Told:
    """The images of all rows; an image may stand in several, with a label each."""
    entries = []
    for at, row in content.rows():
        place = _place_of(row)
        if place is None:
            raise at.refused("the row is not [ml_use,]gs://bucket/image,label")
        cells = row[place + 1 :]
        corners = [cell.strip() for cell in cells[1:]]
        if len(corners) >= _CORNERS and all(_NUMBER.fullmatch(cell) for cell in corners if cell):
            raise at.refused("the row has a box: this is a file for object detection, not for image classification")
        split = split_of(row[0].strip()) or ("val" if row[0].strip().casefold() == "validate" else "")
        entries.append(Entry(row[place].strip(), tuple(cell for cell in cells if cell), split if place else ""))
    return Told(entries)


def write_csv(images: Sequence[Exported]) -> Output:
    """A row for each image."""
    rows = ([*([_USE_OF[image.split]] if image.split else [""]), image.address, image.label] for image in images)
    return {"": csv_rows(rows)}


def recognise(content: Content) -> bool:
    """Whether the first record names an image of Google Cloud Storage."""
    return content.has("imageGcsUri")


def read(content: Content, _: str) -> Told:
    """The images of all lines, with the labels of one or several annotations."""
    entries = []
    for at, record in content.records():
        if record.get("boundingBoxAnnotations"):
            raise at.refused("it has boundingBoxAnnotations: this is object detection, not image classification")
        single = record.get("classificationAnnotation")
        every = [*([single] if single is not None else []), *at.sequence(record.get("classificationAnnotations"),
                                                                         "classificationAnnotations")]  # fmt: skip
        labels = [_label(at.mapping(one, "classificationAnnotation"), at) for one in every]
        about = record.get("dataItemResourceLabels")
        use = at.mapping(about, "dataItemResourceLabels").get(USE) if about is not None else ""
        entries.append(Entry(at.text(record.get("imageGcsUri"), "imageGcsUri"), tuple(labels), split_of(use)))
    return Told(entries)


def _label(annotation: Mapping[str, object], at: At) -> str:
    return at.label(annotation.get("displayName"), "displayName")


def write(images: Sequence[Exported]) -> Output:
    """A line for each image."""
    return {"": json_lines(_line(image) for image in images)}


def _line(image: Exported) -> dict[str, object]:
    use = {USE: _USE_OF[image.split]} if image.split else {}
    return {
        "imageGcsUri": image.address,
        "classificationAnnotation": {"displayName": image.label},
        "dataItemResourceLabels": use,
    }
