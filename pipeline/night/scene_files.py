"""What a night writes of its scenes: tiles.parquet, scenes.csv and the folder scenes/, from the parts of its shards.

A shard's part of each is written before its rows, so a shard that counts as done has all. While the run is unfinished
they lie in the ledger; a resumed run writes the same bytes.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from pipeline.core.cells import guarded
from pipeline.core.pages import Picture, data_uri
from pipeline.night.ledger import Run, books_of
from pipeline.night.overlay import legend_of
from pipeline.night.rows import PREDICTIONS_CSV, Row, read_rows
from pipeline.night.scene_counts import ScenesFound
from pipeline.night.tiled_scenes import SCENE_COLUMNS, TILE_NUMBERS, Scene
from pipeline.storage.folders import Folder, folder_at

if TYPE_CHECKING:
    import pyarrow as pa

TILES_PARQUET, SCENES_CSV, SCENES = "tiles.parquet", "scenes.csv", "scenes"  # beside predictions.csv; a folder
PARTS, PICTURES = "tiles", "scenes"  # folders of the ledger
PLACES = ".geojson"
SIDE = 420  # pixels, of the longer side of a scene's picture on a page


def write_part(run: Run, number: int, scenes: Sequence[Scene]) -> None:
    """Write what is kept of the scenes of a shard, each file whole."""
    if not scenes:
        return
    import pyarrow.parquet as pq

    parts, pictures = books_of(run.output) / PARTS, books_of(run.output) / PICTURES
    for scene in scenes:
        pictures.write(f"{scene.name}.png", scene.overlay)
        if scene.places:
            pictures.write(f"{scene.name}{PLACES}", scene.places)
    text = io.StringIO()
    for row in (row for scene in scenes for row in scene.classes):
        cells = dict(zip(SCENE_COLUMNS, row, strict=True))
        csv.writer(text).writerow((cells | {"label": guarded(cells["label"])}).values())
    parts.write(f"{number:05d}.csv", text.getvalue().encode())
    blocks = [block for scene in scenes for block in scene.tiles]
    with parts.replacing(f"{number:05d}.parquet") as beside, pq.ParquetWriter(beside, blocks[0].schema) as writer:
        for block in blocks:
            writer.write_batch(block)


def merge(run: Run) -> ScenesFound | None:
    """Write the night's files of its scenes, or delete those of an earlier night there; returns the counts, if any."""
    output, parts = run.output, books_of(run.output) / PARTS
    numbers = sorted(name.removesuffix(".parquet") for name in parts.names() if name.endswith(".parquet"))
    if not numbers:
        for name in (TILES_PARQUET, SCENES_CSV):
            output.delete(name)
        (output / SCENES).delete_tree()
        return None
    counts = dict.fromkeys(("ok", "unsure", "ignored", "unreadable"), 0)
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    with output.replacing(TILES_PARQUET) as beside:
        schema = next(_blocks(parts, numbers[:1])).schema
        with pq.ParquetWriter(beside, schema, compression="zstd") as writer:
            for block in _blocks(parts, numbers):
                writer.write_batch(block)
                for found in pc.value_counts(block.column("status")).to_pylist():
                    counts[found["values"]] += found["counts"]
        output.require()
    with output.replacing(SCENES_CSV) as beside, beside.open("wb") as out:
        out.write((",".join(SCENE_COLUMNS) + "\r\n").encode())
        out.writelines(parts.read(f"{number}.csv") for number in numbers)
    pictures = books_of(output) / PICTURES
    names = sorted(pictures.names())
    with output.replacing(SCENES) as beside:
        beside.mkdir()
        for name in names:
            (beside / name).write_bytes(pictures.read(name))
    return ScenesFound(files=sum(name.endswith(".png") for name in names), **counts)


def _blocks(parts: Folder, numbers: Sequence[str]) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa
    import pyarrow.parquet as pq

    for number in numbers:
        yield from pq.ParquetFile(pa.BufferReader(parts.read(f"{number}.parquet"))).iter_batches()


def scenes_of(output: Folder) -> dict[str, list[Row]]:
    """The rows of scenes.csv by their path, in its order; empty for a night without scenes."""
    found: dict[str, list[Row]] = {}
    if output.exists(SCENES_CSV):
        for row in read_rows(output.path / SCENES_CSV, SCENE_COLUMNS[:1]):
            found.setdefault(row["path"], []).append(row)
    return found


def scenes_in(predictions: Path) -> set[str]:
    """The SHA-256 of every scene of the nights in this folder that have their rows."""
    found: set[str] = set()
    for rows in predictions.glob(f"*/{PREDICTIONS_CSV}"):
        if scenes := scenes_of(folder_at(rows.parent)):
            found.update(row["sha256"] for row in read_rows(rows) if row["path"] in scenes)
    return found


def with_tiles(output: Folder, rows: Iterable[Row]) -> Iterator[Row]:
    """The images as a model sees them, as in training: `rows` without the scenes, and the judged tiles of these."""
    scenes = scenes_of(output)
    yield from (row for row in rows if row["path"] not in scenes)
    yield from _judged_tiles(output)


def _judged_tiles(output: Folder) -> Iterator[Row]:
    """The judged rows of tiles.parquet as those of predictions.csv: texts, empty for what is missing."""
    import pyarrow.parquet as pq

    with (output.path / TILES_PARQUET).open("rb") as source:
        for block in pq.ParquetFile(source).iter_batches():
            for row in block.to_pylist():
                if row["label"]:
                    yield {
                        name: ("" if value is None else str(value)) if name in TILE_NUMBERS else value
                        for name, value in row.items()
                    }


def pictures_of(output: Folder, scenes: Mapping[str, Sequence[Row]]) -> dict[str, Picture]:
    """The scenes' pictures for a page in `output`, small, without legend, each a link to the whole one; by path."""
    found = {}
    for path, rows in scenes.items():
        name = f"{SCENES}/{rows[0]['picture']}"
        if output.exists(name):
            with Image.open(io.BytesIO(output.read(name)), formats=("PNG",)) as whole:
                picture = whole.crop((0, 0, *legend_of(whole).size))
            picture.thumbnail((SIDE, SIDE))
            buffer = io.BytesIO()
            picture.save(buffer, "JPEG", quality=80)
            found[path] = Picture(data_uri(buffer.getvalue(), "jpeg"), name)
    return found


def colours_of(output: Folder, scenes: Mapping[str, Sequence[Row]]) -> dict[str, str]:
    """The colours of the labels in the scenes' pictures: label -> #rrggbb."""
    found: dict[str, str] = {}
    for rows in scenes.values():
        if output.exists(name := f"{SCENES}/{rows[0]['picture']}"):
            with Image.open(io.BytesIO(output.read(name)), formats=("PNG",)) as picture:
                found |= legend_of(picture).colours
    return found
