"""Scenes -> a folder of their tiles, for labelling and import, cut as nights cut. Judges nothing.

Tiles are PNG, so that training decodes the same pixels that a night cuts. `tiles.csv` comes last: with it the folder is
complete, and a table that `nightshift data import` takes once it has labels.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from pipeline.core.cells import csv_path, guarded
from pipeline.core.errors import NightshiftError
from pipeline.core.terminal import progress_bar
from pipeline.core.text import named
from pipeline.data.label_folders import label_of
from pipeline.night.reading import Decoded, Reading, SceneFile, read_image
from pipeline.night.rows import Unreadable
from pipeline.night.scene_reading import SceneEnded, SceneTile, read_scene
from pipeline.night.tiled_scenes import name_of
from pipeline.params.file import Params
from pipeline.storage.files import replacing
from pipeline.storage.folders import folder_at

TABLE = "tiles.csv"
TABLE_COLUMNS = ("path", "label", "group")
FAST = 1  # PNG's compression: three times as fast as the usual, and 10 % larger


class CutError(NightshiftError):
    """The scenes cannot be cut into this folder."""


@dataclass(slots=True)
class Cut:
    """What was written, and what was not."""

    scenes: int = 0
    tiles: int = 0
    whole: int = 0  # pictures no larger than a tile, copied
    ignored: int = 0  # blank tiles
    labelled: bool = True  # whether every tile lies in a class's folder
    failed: list[str] = field(default_factory=list)  # "path: why", of scenes and of tiles


def cut(source: Path, folder: Path, params: Params) -> Cut:
    """Cut every scene below `source` into tiles below `folder`; what cannot be read is named. Raises CutError."""
    tiles = params.images.tiles
    if tiles is None:
        raise CutError(
            "images.tiles in params.yaml is null, so nothing says how large a tile is. Set it, as in "
            "`tiles: {size: 512, overlap: 0.1, ignore: blank}`; nights then cut in the same way."
        )
    if (folder / TABLE).exists():
        raise CutError(f"{folder} holds tiles already ({TABLE}). Choose a new folder, or delete this one.")
    if folder.absolute().resolve().is_relative_to(source.absolute().resolve()):
        raise CutError(f"{folder} lies inside {source}: its tiles would be cut, too. Choose a folder outside.")
    found, rows, place = Cut(), list[list[str]](), folder_at(source)
    paths = [listed.path for listed in place.list_images()]
    if not paths:
        raise CutError(f"{source} contains no image files (by extension or content). Check the path.")
    for path in progress_bar(paths, "cut", unit="picture"):
        for name in _cut_one(source, path, folder, params, found):
            top, _, below = path.partition("/")
            found.labelled &= bool(below)
            rows.append([csv_path(name), guarded(label_of(top)) if below else "", guarded(csv_path(path))])
    if not rows:
        why = named(found.failed) if found.failed else f"all {found.ignored:,} are blank (images.tiles.blank_below)"
        raise CutError(f"{source} gives no tile: {why}.")
    with replacing(folder / TABLE) as beside, beside.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([TABLE_COLUMNS, *rows])
    return found


def _cut_one(source: Path, path: str, folder: Path, params: Params, found: Cut) -> Iterator[str]:
    """Write the tiles of one file; yields the name of each, below `folder`."""
    place, rules = folder_at(source), params.images
    read = read_image(place, path, rules, scenes=True)
    match read:
        case Unreadable(error=error):
            found.failed.append(f"{path}: {error}")
        case Decoded():
            found.whole += 1
            write(folder / path, (source / path).read_bytes())
            yield path
        case SceneFile():
            found.scenes += 1
            above = path.rpartition("/")[0]
            how = Reading(params.compute.threads, 1, params.batch.file_timeout)
            for part in read_scene(place, path, rules, how):
                match part:
                    case SceneTile(error=error, tile=None):
                        found.failed.append(f"{path} at {part.window.x}, {part.window.y}: {error}")
                    case SceneTile(sha256=digest, window=window, tile=tile) if tile and not tile.ignored:
                        scene = name_of(path, digest)  # in the file's name too: an import drops the folders
                        name = f"{scene}/{scene}_{window.x:06d}_{window.y:06d}.png"
                        name = f"{above}/{name}" if above else name
                        found.tiles += 1
                        write(folder / name, as_png(tile.image))
                        yield name
                    case SceneTile():
                        found.ignored += 1
                    case SceneEnded(error=error) if error:
                        found.failed.append(f"{path}: {error}")


def as_png(image: Image.Image) -> bytes:
    """The picture without loss."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=FAST)
    return buffer.getvalue()


def write(file: Path, data: bytes) -> None:
    """Write a file, whole. It is not synced: an interrupted cut is begun again."""
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}.tmp")
    beside.write_bytes(data)
    beside.replace(file)
