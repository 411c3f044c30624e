"""A night on a GPU, in parts: the network by batch, number format and XLA, and reading by threads and by processes.

    python benchmarks/gpu.py [--batches 32 128 256 512] [--readers 1 4 16] [--count 2000] [--images 4096]

In a project with a model (`make run`), on a machine with a card that TensorFlow sees; without one the CPU runs the same
lines. Prints the two tables of docs/scale.md, as Markdown. The files are --count synthetic JPEG photographs of
500 x 375 pixels; the network is asked for --images random pictures. The slower of the two is the limit.
"""

import argparse
import io
import itertools
import tempfile
import time
from pathlib import Path
from typing import get_args

import numpy as np
from PIL import Image

from pipeline.core.paths import MODEL
from pipeline.core.processors import usable
from pipeline.model.contract import KERAS, read_contract
from pipeline.model.keras_engine import keras_judging
from pipeline.model.precision import Numbers
from pipeline.night.processes import read_by_processes
from pipeline.night.reading import Reading, read_images
from pipeline.params.data import Images
from pipeline.params.file import load_params
from pipeline.storage.folders import folder_at

SIZE = (500, 375)  # pixels
DIFFERENT = 50  # photographs; the others are their copies


def photographs(folder: Path, count: int) -> list[str]:
    """Write `count` JPEG files of some 100 kB, coarse clouds with grain; returns their names."""
    draw, made = np.random.default_rng(0), []
    for _ in range(min(count, DIFFERENT)):
        clouds = Image.fromarray(draw.integers(0, 256, (15, 20, 3), np.uint8)).resize(
            (500, 375), Image.Resampling.BICUBIC
        )
        grain = draw.normal(0, 12, (*reversed(SIZE), 3))
        buffer = io.BytesIO()
        Image.fromarray((np.asarray(clouds) + grain).clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
        made.append(buffer.getvalue())
    names = [f"{number:06d}.jpg" for number in range(count)]
    for name, data in zip(names, itertools.cycle(made), strict=False):
        (folder / name).write_bytes(data)
    return names


def reading(readers: list[int], count: int, rules: Images) -> None:
    """Print images/s by the number of readers."""
    print(f"| readers, {usable()} cores | threads | processes |\n|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        names = photographs(Path(folder), count)
        for many in readers:
            speeds = []
            for read in (read_images, read_by_processes):
                found = read(folder_at(folder), names, rules, Reading(many, 512, 60))
                next(found)  # the processes have started
                begun = time.perf_counter()
                speeds.append(sum(1 for _ in found) / (time.perf_counter() - begun))
            print(f"| {many} | {speeds[0]:.0f} | {speeds[1]:.0f} |")


def network(batches: list[int], images: int, rules: Images) -> None:
    """Print images/s and seconds until the first answer, by batch, format and XLA, and how far answers differ."""
    import tensorflow as tf

    compute = load_params().compute
    pictures = np.random.default_rng(0).integers(0, 256, (max(batches), rules.height, rules.width, 3), np.uint8)
    device = (tf.config.list_physical_devices("GPU") or tf.config.list_physical_devices("CPU"))[0]
    name = tf.config.experimental.get_device_details(device).get("device_name", "CPU")
    print(f"| {name}: batch | format | XLA | images/s | first answer, s | largest difference of a logit |")
    print("|---:|---|---|---:|---:|---:|")
    exact = keras_judging(MODEL / KERAS, compute, 32, xla=False)(pictures)[0]
    formats = [one for one in get_args(Numbers) if one != "int8"]
    for size, numbers, xla in itertools.product(batches, formats, (False, True)):
        begun = time.perf_counter()
        judging = keras_judging(MODEL / KERAS, compute, size, numbers, xla=xla)
        judging(pictures[:size])
        first = time.perf_counter() - begun
        asked = np.resize(pictures, (-(-min(images, 4 * size) // size) * size, *pictures.shape[1:]))
        rounds = max(1, images // len(asked))
        begun = time.perf_counter()
        for _ in range(rounds):
            logits, _ = judging(asked)
        speed = rounds * len(asked) / (time.perf_counter() - begun)
        worst = np.abs(logits[: min(size, len(pictures))] - exact[:size]).max()
        print(f"| {size} | {numbers} | {'yes' if xla else 'no'} | {speed:.0f} | {first:.1f} | {worst:.4f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, nargs="*", default=[32, 128, 256, 512])
    parser.add_argument("--readers", type=int, nargs="*", default=[1, 4, 16])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--images", type=int, default=4096)
    given = parser.parse_args()
    about = read_contract(MODEL).images
    reading(given.readers, given.count, about)
    network(given.batches, given.images, about)
