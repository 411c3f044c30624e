"""A night over scenes of 20,000 x 20,000 pixels: seconds, tiles/s, peak memory, and equality with cutting by hand.

    python benchmarks/tiles.py [--side 20000] [--kinds tiled-jpeg,strips-deflate] [--size 512] [--overlap 0.1] [--equal]

In a project with a trained model (models/current, as `make run` leaves it). Each kind is a TIFF of its own and a night
of its own, a process with its worker: read, hashed, cut, classified, written, with its pages. The model is the
project's, and its contract gets images.tiles. --equal: also compare every tile with the same part of the whole picture,
decoded at once by tifffile (which takes 1.2 GB, in this process).
"""

import argparse
import datetime
import os
import shutil
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
from batch import measure
from numpy.typing import NDArray
from PIL import Image

from pipeline.core.paths import MODEL
from pipeline.images.scenes import open_scene
from pipeline.images.windows import windows
from pipeline.model.contract import read_contract, write_contract
from pipeline.night import results
from pipeline.night.ledger import Run, RunPlan, model_of
from pipeline.night.rows import read_rows
from pipeline.night.scene_files import scenes_of
from pipeline.night.workers import classify_shards
from pipeline.params.data import Images, Tiles
from pipeline.params.file import load_params
from pipeline.storage.folders import folder_at

KINDS = {  # how the TIFF holds its pixels
    "tiled-jpeg": {"tile": (256, 256), "compression": "jpeg", "compressionargs": {"level": 85}},
    "tiled-deflate": {"tile": (512, 512), "compression": "zlib", "predictor": True},
    "strips-deflate": {"rowsperstrip": 8, "compression": "zlib"},
    "strips": {"rowsperstrip": 1},
}
PATTERN = 4096  # pixels, after which the picture repeats


def write_scene(file: Path, side: int, kind: str) -> None:
    """Write a picture of blobs and noise, a fifth of it empty; holds a few megabytes of it at a time."""
    pattern = _pattern()
    options = dict(KINDS[kind])
    tile = options.get("tile")

    def block(top: int, left: int, height: int, width: int) -> NDArray[np.uint8]:
        rows = np.arange(top, top + height)[:, None] % PATTERN
        found = pattern[rows, np.arange(left, left + width)[None] % PATTERN]
        if top > side * 4 // 5:
            found[...] = 255
        return found

    def blocks() -> Iterator[NDArray[np.uint8] | bytes]:
        if tile:
            for top in range(0, side, tile[0]):
                for left in range(0, side, tile[1]):
                    yield block(top, left, *tile)
        else:
            each = options["rowsperstrip"]
            for top in range(0, side, each):
                strip = block(top, 0, min(each, side - top), side).tobytes()
                yield zlib.compress(strip, 1) if options.get("compression") else strip

    tifffile.imwrite(
        file, blocks(), shape=(side, side, 3), dtype=np.uint8, photometric="rgb", maxworkers=os.cpu_count(), **options
    )


def _pattern() -> NDArray[np.uint8]:
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (PATTERN // 64, PATTERN // 64, 3), np.uint8))
    smooth = np.asarray(coarse.resize((PATTERN, PATTERN), Image.Resampling.BICUBIC), np.int16)
    return (smooth + rng.integers(-12, 13, smooth.shape, np.int16)).clip(0, 255).astype(np.uint8)


def night(source: Path, output: Path, tiles: Tiles) -> None:
    """What `nightshift classify` does, with the model of models/current instead of a registered one."""
    params, into = load_params(), folder_at(output)
    params = params.model_copy(update={"batch": params.batch.model_copy(update={"track": False})})

    def settle(files: int, shards: int) -> RunPlan:
        folder = Path(str(model_of(into).path))
        shutil.copytree(MODEL, folder)
        contract = read_contract(folder)
        contract = contract.model_copy(update={"images": contract.images.model_copy(update={"tiles": tiles})})
        write_contract(folder, contract)
        return RunPlan(
            input=str(source), model_name="benchmark", model_version="1", contract_hash=contract.hash,
            started_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), files=files, shards=shards,
        )  # fmt: skip

    with into.hold():
        run = Run.begin(into, folder_at(source).list_images(), params.batch.shard_size, settle)
        for _ in classify_shards(run, run.unfinished(), params):
            pass
        results.finish(run, params)


def unequal_tiles(file: Path, rules: Images) -> int:
    """How many tiles differ from the same part of the whole picture."""
    whole = tifffile.imread(file)
    with file.open("rb") as opened:
        scene = open_scene(opened, rules, None)
        return sum(
            not np.array_equal(
                np.asarray(scene.read(one)), whole[one.y : one.y + one.height, one.x : one.x + one.width]
            )
            for one in windows(scene.width, scene.height, rules.tiles or Tiles())
        )  # fmt: skip


def main(given: argparse.Namespace) -> None:
    """Print a line for each kind of file."""
    tiles = Tiles(size=given.size, overlap=given.overlap)
    print(f"{'':16}{'MB':>7}{'tiles':>8}{'judged':>8}{'seconds':>9}{'tiles/s':>9}{'peak MB':>9}")
    with tempfile.TemporaryDirectory(dir=given.room) as room:
        for kind in given.kinds.split(","):
            source, output = Path(room, kind), Path(room, f"{kind}-out")
            source.mkdir()
            file = source / "scene.tif"
            write_scene(file, given.side, kind)
            words = ["--night", str(source), str(output), "--size", str(given.size), "--overlap", str(given.overlap)]
            start = time.perf_counter()
            measured = measure([sys.executable, __file__, *words])
            seconds = time.perf_counter() - start
            (row,) = read_rows(output / "predictions.csv")
            ((first, *_),) = scenes_of(folder_at(output)).values()
            count, judged = int(first["tiles"]), int(first["judged"])
            print(
                f"{kind:16}{file.stat().st_size / 1e6:7.0f}{count:8}{judged:8}{seconds:9.1f}{count / seconds:9.0f}"
                f"{measured.megabytes:9.0f}   {row['label']} {row['confidence']}"
            )
            if given.keep:
                shutil.copytree(output, Path(given.keep, kind), dirs_exist_ok=True)
            if given.equal:
                rules = load_params().images.model_copy(update={"tiles": tiles})
                print(f"{'':16}{unequal_tiles(file, rules)} tiles differ from the picture decoded at once")
            shutil.rmtree(source)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--kinds", default="tiled-jpeg,strips-deflate")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--overlap", type=float, default=0.1)
    parser.add_argument("--equal", action="store_true")
    parser.add_argument("--room", help="A folder for the scenes, some gigabytes.")
    parser.add_argument("--keep", help="A folder where the nights' files are kept.")
    parser.add_argument("--night", nargs=2, metavar=("SOURCE", "OUTPUT"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.night:
        night(Path(given.night[0]), Path(given.night[1]), Tiles(size=given.size, overlap=given.overlap))
    else:
        main(given)
