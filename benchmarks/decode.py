"""Where the processor time of reading a JPEG goes, and what decoding at a reduced scale gains over full decoding.

    python benchmarks/decode.py FOLDER      a folder of JPEG photographs; the larger they are, the more there is to gain

On one thread, in processor milliseconds an image. Without a JPEG in the folder there is nothing to compare.
"""

import io
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.images import decode as images
from pipeline.images.measures import measure_light
from pipeline.images.pillow import DRAFT_MARGIN
from pipeline.params.file import load_params
from pipeline.storage.files import sha256

ROUNDS = 3  # the fastest counts


def opened(data: bytes, rules: images.Images) -> Image.Image:
    """The pixels as libjpeg gives them, at the decoder's scale."""
    image, target = Image.open(io.BytesIO(data)), DRAFT_MARGIN * max(rules.width, rules.height)
    image.draft(None, (target, target))
    image.load()
    return image


def full(data: bytes, rules: images.Images) -> np.ndarray:
    """The decoder's pixels without its reduction."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB").resize((rules.width, rules.height), Image.Resampling.BILINEAR))


def milliseconds(function: Callable[[Any], object], values: list[Any]) -> float:
    """Processor time of the fastest round, per value."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        for value in values:
            function(value)
        best = min(best, time.process_time() - start)
    return 1000 * best / len(values)


def main(folder: Path) -> None:
    """Print the parts of the time, and how far the pixels differ from those of full decoding."""
    rules = load_params().images.model_copy(update={"fit": "stretch"})
    files = [file.read_bytes() for file in sorted(folder.iterdir()) if file.suffix.lower() in (".jpg", ".jpeg")]
    if not files:
        sys.exit(f"{folder} holds no JPEG.")
    pixels = [images.decode(data, rules).pixels for data in files]
    whole = milliseconds(lambda data: images.decode(data, rules), files)
    jpeg, digest = milliseconds(lambda data: opened(data, rules), files), milliseconds(sha256, files)
    size = (rules.width, rules.height)
    resize = milliseconds(
        lambda image: image.resize(size, Image.Resampling.BILINEAR), [opened(data, rules) for data in files]
    )
    light, slow = milliseconds(measure_light, pixels), milliseconds(lambda data: full(data, rules), files)
    print(f"{len(files)} images of {np.mean([len(data) for data in files]) / 1000:.0f} kB, ms of a core for each:")
    print(f"libjpeg {jpeg:.2f}, resizing {resize:.2f}, the decoder's rest {whole - jpeg - resize:.2f}")
    print(f"SHA-256 {digest:.2f}, measures {light:.2f}; in all {whole + digest + light:.2f}")
    difference = np.mean(
        [np.abs(one.astype(np.int16) - full(data, rules)).mean() for one, data in zip(pixels, files, strict=True)]
    )
    print(f"at full scale {slow:.2f}: {slow / whole:.2f} times as long, mean difference {difference:.2f} of 255")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "data/raw/functional"))
