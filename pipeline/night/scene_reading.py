"""Scenes -> their tiles, in order, read ahead on threads; nothing holds a whole scene. Knows no model.

The bytes are hashed in pieces before the tiles are read; a file that changes meanwhile has no answer. A tile that is
damaged is said so, and costs only itself; a scene that hangs, too.
"""

import hashlib
import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

from PIL import Image

from pipeline.images.decode import UnreadableImage
from pipeline.images.georeference import Georeference
from pipeline.images.scenes import Scene, Tile, open_scene, place_of, read_tile, tiles_of
from pipeline.images.taken_values import UNKNOWN, Taken
from pipeline.images.windows import Window, windows
from pipeline.night.reading import Read, Reading, ReadingError, SceneFile, cannot_be_read, most_bytes, unfit
from pipeline.params.data import Images
from pipeline.storage.files import UnfitFile, open_regular
from pipeline.storage.folders import Folder

PIECE = 1 << 24  # bytes hashed at a time
SMALL_SIDE = 1600  # pixels, of the longer side of a scene's small picture
AHEAD = 2  # tiles read ahead, for each thread
NO_LIMIT = 1e6  # seconds
CRASHED = "its decoder crashed; the file is damaged, or made to do harm"
CHANGED = "the file changed while it was read"
Survives = Callable[[Folder, str, Images], bool]  # whether a file can be read without the death of the process


@dataclass(frozen=True, slots=True)
class SceneBegun:
    """A scene whose tiles come next."""

    path: str  # as listed
    sha256: str
    width: int  # pixels, upright, of the level that is read
    height: int
    scale: float  # pixels of the full picture for each of them
    place: Georeference | None  # where on the earth it is, where the file says it
    taken: Taken = UNKNOWN


@dataclass(frozen=True, slots=True)
class SceneTile:
    """A tile of the scene that has begun."""

    path: str
    sha256: str
    window: Window  # in pixels of the level that is read
    tile: Tile | None  # None: damaged
    error: str = ""  # why
    small: Image.Image | None = None  # as it looks in the scene's small picture

    @property
    def key(self) -> str:
        """A name for its content."""
        return f"{self.sha256}/{self.window.x},{self.window.y}"


@dataclass(frozen=True, slots=True)
class SceneEnded:
    """The end of a scene; with an error it has no answer, whatever tiles have come."""

    path: str
    sha256: str
    error: str = ""


OfScene = SceneBegun | SceneTile | SceneEnded


def with_scenes(
    reads: Iterable[Read], source: Folder, rules: Images, how: Reading, survives: Survives | None = None
) -> Iterator[Read | OfScene]:
    """`reads`, with the tiles of each scene in the place of its SceneFile.

    survives: asked of each scene before it is read here; None: all do. Raises ReadingError when `source` is gone.
    """
    for read in reads:
        if not isinstance(read, SceneFile):
            yield read
        elif survives and not survives(source, read.path, rules):
            yield SceneEnded(read.path, "", CRASHED)
        else:
            yield from read_scene(source, read.path, rules, how)


def read_scene(source: Folder, path: str, rules: Images, how: Reading) -> Iterator[OfScene]:
    """A scene's beginning, its tiles and its end; only the end where it cannot be read."""
    digest, pool, is_damaged = "", ThreadPoolExecutor(how.threads, "tile"), False
    with ExitStack() as stack:
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        try:
            file = stack.enter_context(source.file_at_hand(path))
            opened = stack.enter_context(open_regular(file))
            before = _about(opened)
            digest = _hashed(opened, pool, how.timeout)
            scene = pool.submit(open_scene, opened, rules, str(file.absolute())).result(how.timeout)
            begun = SceneBegun(path, digest, scene.width, scene.height, scene.scale, place_of(scene), scene.taken)
            yield begun
            for tile in _tiles(scene, begun, rules, pool, how):
                is_damaged |= tile.tile is None
                yield tile
            yield SceneEnded(path, digest, "" if _about(opened) == before else CHANGED)
        except StillRunning:
            stack.pop_all()  # to close the file would wait for the thread that hangs in it
            pool.shutdown(wait=False, cancel_futures=True)
            yield SceneEnded(path, digest, f"the file could not be read within {how.timeout:g} s")
        except UnfitFile as error:
            yield SceneEnded(path, digest, unfit(error, most_bytes(rules, scenes=False)))
        except OSError as error:
            is_damaged = True
            yield SceneEnded(path, digest, cannot_be_read(error))
        except UnreadableImage as error:
            yield SceneEnded(path, digest, str(error))
    if is_damaged and not source.exists():
        raise ReadingError(f"{source} is gone. When it is there again, run the same command again.")


def _tiles(
    scene: Scene, begun: SceneBegun, rules: Images, pool: ThreadPoolExecutor, how: Reading
) -> Iterator[SceneTile]:
    """All tiles of a scene, row by row. Raises StillRunning when one takes too long."""
    shrink = small_scale(scene.width, scene.height)

    def read(window: Window) -> SceneTile:
        try:
            tile = read_tile(scene, window, rules)
        except UnreadableImage as error:
            return SceneTile(begun.path, begun.sha256, window, None, str(error))
        return SceneTile(begun.path, begun.sha256, window, tile, small=reduced(tile.image, window, shrink))

    coming = windows(scene.width, scene.height, tiles_of(rules))
    waiting = deque(pool.submit(read, window) for window in islice(coming, AHEAD * how.threads))
    while waiting:
        yield waiting.popleft().result(how.timeout)
        waiting.extend(pool.submit(read, window) for window in islice(coming, 1))


def small_scale(width: int, height: int) -> float:
    """Pixels of a scene's small picture for each of the scene."""
    return min(1.0, SMALL_SIDE / max(width, height))


def in_small(window: Window, scale: float) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a window in the small picture."""
    left, top = int(window.x * scale), int(window.y * scale)
    right = max(left + 1, math.ceil((window.x + window.width) * scale))
    bottom = max(top + 1, math.ceil((window.y + window.height) * scale))
    return left, top, right, bottom


def reduced(image: Image.Image, window: Window, scale: float) -> Image.Image:
    """A tile as it stands in the small picture."""
    left, top, right, bottom = in_small(window, scale)
    return image.resize((right - left, bottom - top), Image.Resampling.BOX)


def walk(source: Folder, path: str, rules: Images) -> None:
    """Read all tiles of a scene and drop them: a process that the scene kills dies here."""
    for _ in read_scene(source, path, rules, Reading(1, 1, NO_LIMIT)):
        pass


def _about(opened: BinaryIO) -> tuple[int, int]:
    about = os.fstat(opened.fileno())
    return about.st_size, about.st_mtime_ns


def _hashed(opened: BinaryIO, pool: ThreadPoolExecutor, timeout: float) -> str:
    """SHA-256 of the opened file. Raises StillRunning when a piece takes longer than `timeout` seconds."""
    digest = hashlib.sha256()
    while piece := pool.submit(opened.read, PIECE).result(timeout):
        digest.update(piece)
    return digest.hexdigest()
