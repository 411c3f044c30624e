"""JPEG decoding at a reduced scale against full decoding: images per second, and how far the pixels differ.

    python benchmarks/decode.py FOLDER      a folder of JPEG photographs; the larger they are, the more there is to gain

Both ways in one run, on one thread. Without a JPEG in the folder there is nothing to compare.
"""

import io
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.images import decode as images
from pipeline.params.file import load_params


def full(data: bytes, rules: images.Images) -> np.ndarray:
    """The same pixels without the decoder's own reduction."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB").resize((rules.width, rules.height), Image.Resampling.BILINEAR))


def main(folder: Path) -> None:
    """Print both speeds, their ratio, and the mean absolute difference."""
    rules = load_params().images.model_copy(update={"fit": "stretch"})
    files = [file.read_bytes() for file in sorted(folder.iterdir()) if file.suffix.lower() in (".jpg", ".jpeg")]
    if not files:
        sys.exit(f"{folder} holds no JPEG.")
    seconds, pixels = [], []
    for decode in (lambda data: images.decode(data, rules).pixels, lambda data: full(data, rules)):
        start = time.perf_counter()
        pixels.append([decode(data).astype(np.int16) for data in files])
        seconds.append(time.perf_counter() - start)
    difference = np.mean([np.abs(a - b).mean() for a, b in zip(*pixels, strict=True)])
    print(f"{len(files)} images: reduced {len(files) / seconds[0]:.0f}/s, full {len(files) / seconds[1]:.0f}/s")
    print(f"ratio {seconds[1] / seconds[0]:.2f}, mean difference {difference:.2f} of 255")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "data/raw/functional"))
