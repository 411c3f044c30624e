"""The tables of Camtrap DP 1.0.2: their columns, and what must hold of each, as its table schemas say. Reads no file.

https://camtrap-dp.tdwg.org/data. `datapackage.json` names these schemas by their addresses, as the standard's profile
demands; here they are for who writes the tables, and for who checks them without a network. A reader that follows the
schemas misses a column that is not there, even one that may be empty: all are written, in this order.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pipeline.sources.foreign.exported import csv_rows

TIME = "%Y-%m-%dT%H:%M:%S%z"
RELATIVE = r"^(?=^[^./~])(^((?!\.{2}).)*$).*$"  # of a file's path: an address, or a path that stays in the package
FEATURES = (
    "roadPaved", "roadDirt", "trailHiking", "trailGame", "roadUnderpass", "roadOverpass", "roadBridge", "culvert",
    "burrow", "nestSite", "carcass", "waterSource", "fruitingTree",
)  # fmt: skip
Cells = Mapping[str, str]  # column -> text; a column that it lacks is empty


@dataclass(frozen=True, slots=True)
class Column:
    """A column, and what its cells may be."""

    name: str
    type: str = "string"
    required: bool = False
    unique: bool = False
    minimum: float | None = None
    maximum: float | None = None
    one_of: tuple[str, ...] = ()
    pattern: str = ""

    @property
    def field(self) -> dict[str, object]:
        """The column as a field of a table schema."""
        limits = {
            "required": self.required, "unique": self.unique, "minimum": self.minimum, "maximum": self.maximum,
            "enum": list(self.one_of), "pattern": self.pattern,
        }  # fmt: skip
        constraints = {name: value for name, value in limits.items() if value not in (None, [], "")}
        form = {"format": TIME} if self.type == "datetime" else {}
        return {"name": self.name, "type": self.type, **form, "constraints": constraints}


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its columns, the first of which names each row, and the columns that name rows of other tables."""

    name: str
    columns: tuple[Column, ...]
    refers_to: tuple[tuple[str, str], ...] = ()  # column -> table

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(column.name for column in self.columns)

    @property
    def schema(self) -> dict[str, object]:
        """The table schema. https://specs.frictionlessdata.io/table-schema"""
        keys = [
            {"fields": column, "reference": {"resource": table, "fields": column}} for column, table in self.refers_to
        ]
        return {
            "name": self.name, "fields": [column.field for column in self.columns], "missingValues": ["", "NaN", "nan"],
            "primaryKey": self.names[0], "foreignKeys": keys,
        }  # fmt: skip

    def csv(self, rows: Iterable[Cells]) -> Iterator[str]:
        """The table as CSV, with its heading."""
        yield from csv_rows([self.names])
        yield from csv_rows([row.get(name, "") for name in self.names] for row in rows)


DEPLOYMENTS = Table(
    "deployments",
    (
        Column("deploymentID", required=True, unique=True),
        Column("locationID"),
        Column("locationName"),
        Column("latitude", "number", required=True, minimum=-90, maximum=90),
        Column("longitude", "number", required=True, minimum=-180, maximum=180),
        Column("coordinateUncertainty", "integer", minimum=1),
        Column("deploymentStart", "datetime", required=True),
        Column("deploymentEnd", "datetime", required=True),
        Column("setupBy"),
        Column("cameraID"),
        Column("cameraModel"),
        Column("cameraDelay", "integer", minimum=0),
        Column("cameraHeight", "number", minimum=0),
        Column("cameraDepth", "number", minimum=0),
        Column("cameraTilt", "integer", minimum=-90, maximum=90),
        Column("cameraHeading", "integer", minimum=0, maximum=360),
        Column("detectionDistance", "number", minimum=0),
        Column("timestampIssues", "boolean"),
        Column("baitUse", "boolean"),
        Column("featureType", one_of=FEATURES),
        Column("habitat"),
        Column("deploymentGroups"),
        Column("deploymentTags"),
        Column("deploymentComments"),
    ),
)
MEDIA = Table(
    "media",
    (
        Column("mediaID", required=True, unique=True),
        Column("deploymentID", required=True),
        Column("captureMethod", one_of=("activityDetection", "timeLapse")),
        Column("timestamp", "datetime", required=True),
        Column("filePath", required=True, pattern=RELATIVE),
        Column("filePublic", "boolean", required=True),
        Column("fileName"),
        Column("fileMediatype", required=True, pattern=r"^(image|video|audio)/.*$"),
        Column("exifData", "object"),
        Column("favorite", "boolean"),
        Column("mediaComments"),
    ),
    (("deploymentID", "deployments"),),
)
OBSERVATIONS = Table(
    "observations",
    (
        Column("observationID", required=True, unique=True),
        Column("deploymentID", required=True),
        Column("mediaID"),
        Column("eventID"),
        Column("eventStart", "datetime", required=True),
        Column("eventEnd", "datetime", required=True),
        Column("observationLevel", required=True, one_of=("media", "event")),
        Column(
            "observationType", required=True,
            one_of=("animal", "human", "vehicle", "blank", "unknown", "unclassified"),
        ),
        Column("cameraSetupType", one_of=("setup", "calibration")),
        Column("scientificName"),
        Column("count", "integer", minimum=1),
        Column("lifeStage", one_of=("adult", "subadult", "juvenile")),
        Column("sex", one_of=("female", "male")),
        Column("behavior"),
        Column("individualID"),
        Column("individualPositionRadius", "number", minimum=0),
        Column("individualPositionAngle", "number", minimum=-90, maximum=90),
        Column("individualSpeed", "number", minimum=0),
        Column("bboxX", "number", minimum=0, maximum=1),
        Column("bboxY", "number", minimum=0, maximum=1),
        Column("bboxWidth", "number", minimum=1e-15, maximum=1),
        Column("bboxHeight", "number", minimum=1e-15, maximum=1),
        Column("classificationMethod", one_of=("human", "machine")),
        Column("classifiedBy"),
        Column("classificationTimestamp", "datetime"),
        Column("classificationProbability", "number", minimum=0, maximum=1),
        Column("observationTags"),
        Column("observationComments"),
    ),
    (("deploymentID", "deployments"), ("mediaID", "media")),
)  # fmt: skip
TABLES = (DEPLOYMENTS, MEDIA, OBSERVATIONS)
