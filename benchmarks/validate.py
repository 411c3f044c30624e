"""The validation pass: a first one that reads every image, a second one without changes, and the duplicate search.

    python benchmarks/validate.py                       the images in data/raw
    python benchmarks/validate.py --synthetic 200000    this many small JPEGs in a temporary folder

Each step in a process of its own, so that its peak memory is its own; all in one run.
"""

import argparse
import io
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from pipeline.core.paths import RAW
from pipeline.data.duplicates import cluster
from pipeline.data.manifest import build_manifest
from pipeline.params.file import Params, load_params
from pipeline.storage.listing import list_images

PER_FOLDER = 1000


def draw(rng: np.random.Generator) -> Image.Image:
    """Shapes of all sizes, as in a photograph: of a picture without detail the hash is made of JPEG's noise."""
    layers = [Image.fromarray(rng.integers(0, 256, (side, side, 3), np.uint8)) for side in (6, 24, 64)]
    values = [np.asarray(layer.resize((64, 64), Image.Resampling.BICUBIC), np.float32) for layer in layers]
    return Image.fromarray((0.6 * values[0] + 0.3 * values[1] + 0.1 * values[2]).clip(0, 255).astype(np.uint8))


def write_images(raw: Path, count: int) -> None:
    """`count` different JPEGs of 64 x 64 pixels in two classes; one in fifty is nearly another."""
    rng = np.random.default_rng(7)
    previous = b""
    for number in tqdm(range(count), "write", unit="image"):
        folder = raw / ("cat", "dog")[number % 2] / f"{number // PER_FOLDER:04d}"
        if number % PER_FOLDER < 2:
            folder.mkdir(parents=True, exist_ok=True)
        picture = Image.open(io.BytesIO(previous)) if number % 50 == 0 and previous else draw(rng)
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=70 if number % 50 == 0 else 85)
        previous = buffer.getvalue()
        (folder / f"{number}.jpg").write_bytes(previous)


def measured(step: Callable[..., object], *words: object) -> tuple[float, float]:
    """Seconds, and peak memory in MB, of `step` in a process of its own."""

    def run(answers: "multiprocessing.Queue[tuple[float, float]]") -> None:
        start = time.perf_counter()
        step(*words)
        answers.put((time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))

    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    process = context.Process(target=run, args=(answers,))
    process.start()
    answer = answers.get()
    process.join()
    return answer


def look(raw: Path, params: Params, memory: Path) -> None:
    """One pass, and its manifest kept beside the memory."""
    manifest = build_manifest(raw, params.images, params.compute.threads, memory)
    manifest.to_parquet(memory.parent / "manifest.parquet")


def search(manifest: Path, params: Params) -> None:
    """The clusters of the manifest."""
    names = cluster(
        pd.read_parquet(manifest), params.validate_.near_duplicate_bits, params.validate_.checks.blank.below
    )
    sizes = names.value_counts()
    print(f"{int((sizes > 1).sum())} clusters, {int(sizes[sizes > 1].sum())} images in them")


def main() -> None:
    """Print the seconds and the memory of each step, and their ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--synthetic", type=int, default=0)
    count = parser.parse_args().synthetic
    params = load_params()
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw" if count else RAW
        if count:
            write_images(raw, count)
        memory = Path(folder) / "measured"
        images = sum(1 for _ in list_images(raw))
        steps = {
            "list": (list, list_images(raw)),
            "read": (look, raw, params, memory),
            "again": (look, raw, params, memory),
            "near-duplicates": (search, memory.parent / "manifest.parquet", params),
        }
        seconds = {}
        for name, words in steps.items():
            seconds[name], megabytes = measured(*words)
            print(f"{name}: {seconds[name]:.1f} s, {images / seconds[name]:.0f} images/s, {megabytes:.0f} MB")
    print(f"{images} images; again : read = 1 : {seconds['read'] / seconds['again']:.0f}")


if __name__ == "__main__":
    sys.exit(main())
