"""A scene's tiles, judged -> the one answer of its file, and what is written of the tiles. Asks no model.

The file's label is the class with the highest mean probability over its judged tiles, and that mean is its confidence:
where probabilities are calibrated it is the share of the tiles that one expects to show the class. The row is `ok`
where MAJORITY of the tiles are `ok` with this label, and no tile is damaged: then it is what most of the scene shows
even if one in four of these tiles is wrong. Blank tiles count for nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.core.cells import csv_path
from pipeline.images.measures import Light
from pipeline.images.scenes import Tile
from pipeline.images.windows import Window
from pipeline.model.contract import Contract
from pipeline.model.doubt import LOW_CONFIDENCE, OUTLIER
from pipeline.model.ranked import RANKS
from pipeline.night.overlay import Cell, Overlay
from pipeline.night.rows import Classified, FileOutcome, Unreadable
from pipeline.night.scene_places import collection, feature
from pipeline.night.scene_reading import SceneBegun, SceneEnded, SceneTile

if TYPE_CHECKING:
    import pyarrow as pa

MAJORITY = 2 / 3  # of the judged tiles
DAMAGED_TILES = "damaged_tiles"  # a flag of the file's row
AT_ONCE = 10_000  # rows turned into columns
TILE_COLUMNS = (
    "path", "x", "y", "width", "height", "status", "label", "confidence", "label_2", "confidence_2", "label_3",
    "confidence_3", "outlier_score", "flags", "brightness", "contrast", "sharpness", "ignored", "error",
)  # fmt: skip
TILE_NUMBERS = {
    **dict.fromkeys(("x", "y", "width", "height"), "int"),
    **dict.fromkeys(("confidence", "confidence_2", "confidence_3", "outlier_score"), "float"),
    **dict.fromkeys(("brightness", "contrast", "sharpness"), "float"),
}
SCENE_COLUMNS = (
    "path", "picture", "tiles", "judged", "ignored", "unreadable", "label", "share", "tiles_of_label", "ok_tiles",
    "mean_probability", "best_x", "best_y", "best_width", "best_height", "best_confidence",
)  # fmt: skip
Value = str | int | float | None


@dataclass(frozen=True, slots=True)
class JudgedTile:
    """A tile with the model's answer."""

    read: SceneTile
    tile: Tile
    row: NDArray[np.float32]  # (classes,), the probabilities
    answer: Classified  # as of a file


@dataclass(frozen=True, slots=True)
class Scene:
    """What is written of a scene besides its row."""

    name: str  # of its files
    tiles: "list[pa.RecordBatch]"  # TILE_COLUMNS
    classes: list[list[str]]  # rows of SCENE_COLUMNS, the largest share first
    overlay: bytes  # PNG
    places: bytes  # GeoJSON; empty without a georeference, or where places are not kept


@dataclass(slots=True)
class _OfClass:
    tiles: int = 0
    ok: int = 0
    best: float = 0.0
    window: tuple[int, int, int, int] = (0, 0, 0, 0)  # of the most certain one


@dataclass(slots=True)
class _Tally:
    """What is known of a scene so far."""

    begun: SceneBegun
    contract: Contract
    with_places: bool
    overlay: Overlay = field(init=False)
    tiles: int = 0
    ignored: int = 0
    damaged: list[str] = field(default_factory=list)  # why
    sums: NDArray[np.float64] = field(init=False)  # (classes,), of the probabilities
    lights: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))
    scores: list[float] = field(default_factory=list)
    outliers: int = 0
    classes: dict[str, _OfClass] = field(default_factory=dict)
    waiting: list[tuple[Value, ...]] = field(default_factory=list)
    written: "list[pa.RecordBatch]" = field(default_factory=list)
    places: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sums = np.zeros(len(self.contract.class_names))
        self.overlay = Overlay(self.begun.width, self.begun.height, self.contract.class_names)

    @property
    def judged(self) -> int:
        return self.tiles - self.ignored - len(self.damaged)

    def add(self, outcome: "JudgedTile | SceneTile") -> None:
        self.tiles += 1
        read = outcome.read if isinstance(outcome, JudgedTile) else outcome
        full = Window(*(round(side * self.begun.scale) for side in read.window))
        end: tuple[Value, ...]
        match outcome:
            case JudgedTile(_, tile, row, answer):
                status, label = "unsure" if answer.unsure else "ok", answer.ranked[0][0]
                self._count(full, row, answer, tile.light)
                ranks: list[Value] = [value for name, share in answer.ranked for value in (name, round(share, 6))]
                ranks += ["", None] * (RANKS - len(answer.ranked))
                score = None if answer.outlier_score is None else round(answer.outlier_score, 4)
                end = (*ranks, score, " ".join(answer.flags), *_rounded(tile.light), "", "")
            case SceneTile(tile=Tile() as tile):
                self.ignored += 1
                status, label = "ignored", ""
                end = (*("", None) * RANKS, None, "", *_rounded(tile.light), tile.ignored, "")
            case _:
                self.damaged.append(read.error)
                status, label = "unreadable", ""
                end = (*("", None) * RANKS, None, "", None, None, None, "", read.error)
        values = (csv_path(self.begun.path), *full, status, *end)
        self.overlay.add(Cell(read.window, label, status), read.small)
        if self.with_places and self.begun.place and status != "ignored":
            self.places.append(feature(self.begun.place, full, dict(zip(TILE_COLUMNS, values, strict=True))))
        self.waiting.append(values)
        if len(self.waiting) == AT_ONCE:
            self.write()

    def _count(self, full: Window, row: NDArray[np.float32], answer: Classified, light: Light) -> None:
        label, confidence = answer.ranked[0]
        self.sums += row
        self.lights += (light.brightness, light.contrast, light.sharpness)
        self.outliers += OUTLIER in answer.flags
        if answer.outlier_score is not None:
            self.scores.append(answer.outlier_score)
        one = self.classes.setdefault(label, _OfClass())
        one.tiles += 1
        one.ok += not answer.unsure
        if confidence > one.best:
            one.best, one.window = confidence, full

    def write(self) -> None:
        """Turn the rows into columns, which take a tenth of the memory."""
        if self.waiting:
            self.written.append(as_columns(self.waiting))
            self.waiting = []

    def outcome(self) -> FileOutcome:
        """The file's one answer."""
        path, digest = self.begun.path, self.begun.sha256
        if 2 * len(self.damaged) > self.tiles:
            why = f"{len(self.damaged)} of its {self.tiles} tiles cannot be read: {self.damaged[0]}"
            return Unreadable(path, why, digest)
        if not self.judged:
            return Unreadable(path, f"none of its {self.tiles} tiles is judged: they are blank", digest)
        shares = self.sums / self.judged
        best = np.argsort(-shares, kind="stable")[:RANKS]
        names = self.contract.class_names
        ranked = tuple((names[index], float(shares[index])) for index in best)
        of_label = self.classes.get(ranked[0][0], _OfClass())
        flags = (OUTLIER,) * (2 * self.outliers > self.judged)
        flags += (LOW_CONFIDENCE,) * (of_label.ok < MAJORITY * self.judged)
        unsure = bool(flags or self.damaged)
        flags += (DAMAGED_TILES,) * bool(self.damaged)
        score = float(np.median(self.scores)) if self.scores else None
        light = Light(*(float(one) for one in self.lights / self.judged))
        width, height = (round(side * self.begun.scale) for side in (self.begun.width, self.begun.height))
        return Classified(path, digest, width, height, ranked, unsure, score, flags, light, taken=self.begun.taken)

    def scene(self) -> Scene:
        """What is written besides the file's row."""
        self.write()
        name = name_of(self.begun.path, self.begun.sha256)
        ordered = sorted(self.classes.items(), key=lambda one: (-one[1].tiles, one[0]))
        start = [csv_path(self.begun.path), f"{name}.png", self.tiles, self.judged, self.ignored, len(self.damaged)]
        rows = []
        for label, one in ordered if isinstance(self.outcome(), Classified) else ():
            mean = float(self.sums[self.contract.class_names.index(label)]) / self.judged
            shares = [f"{one.tiles / self.judged:.6f}", one.tiles, one.ok, f"{mean:.6f}"]
            rows.append([str(cell) for cell in (*start, label, *shares, *one.window, f"{one.best:.6f}")])
        about = {label: (one.tiles, one.ok, one.tiles / self.judged) for label, one in ordered}
        places = collection(self.begun.place, self.places) if self.places and self.begun.place else b""
        return Scene(name, self.written, rows, self.overlay.png(about, self.ignored, len(self.damaged)), places)


def _rounded(light: Light) -> tuple[float, float, float]:
    """The measures with the digits that predictions.csv has."""
    brightness, contrast, sharpness = (
        float(f"{one:.4g}") for one in (light.brightness, light.contrast, light.sharpness)
    )
    return brightness, contrast, sharpness


def as_columns(rows: Sequence[Sequence[Value]]) -> "pa.RecordBatch":
    """Rows of TILE_COLUMNS as a block of a Parquet file."""
    import pyarrow as pa

    kinds = {"int": pa.int32(), "float": pa.float64()}
    schema = pa.schema([(name, kinds.get(TILE_NUMBERS.get(name, ""), pa.string())) for name in TILE_COLUMNS])
    columns = zip(*rows, strict=True)
    return pa.record_batch([pa.array(column, one.type) for column, one in zip(columns, schema, strict=True)], schema)


def name_of(path: str, sha256: str) -> str:
    """The name of a scene's files: the letters and digits of its own, and the start of its hash."""
    stem = path.rpartition("/")[2].rpartition(".")[0]
    plain = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in stem)[:40].strip("-")
    return f"{plain or 'scene'}-{sha256[:12]}"


Outcome = FileOutcome | SceneBegun | SceneTile | JudgedTile | SceneEnded


class Scenes:
    """Passes outcomes of files on, makes one of each scene's tiles, and keeps what is written of the scenes."""

    def __init__(self, contract: Contract, *, with_places: bool) -> None:
        """with_places: whether coordinates may be written (privacy.location)."""
        self._contract, self._with_places = contract, with_places
        self._tally: _Tally | None = None
        self._finished: list[Scene] = []

    def files(self, outcomes: Iterable[Outcome]) -> Iterator[FileOutcome]:
        """One outcome per file, in order."""
        for outcome in outcomes:
            match outcome:
                case SceneBegun():
                    self._tally = _Tally(outcome, self._contract, self._with_places)
                case SceneTile() | JudgedTile():
                    if self._tally:
                        self._tally.add(outcome)
                case SceneEnded(path, digest, error):
                    tally, self._tally = self._tally, None
                    if error or not tally:
                        yield Unreadable(path, error, digest)
                    else:
                        self._finished.append(tally.scene())
                        yield tally.outcome()
                case _:
                    yield outcome

    def taken(self) -> list[Scene]:
        """The scenes that ended since this was last asked."""
        found, self._finished = self._finished, []
        return found
