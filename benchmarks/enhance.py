"""The cost of each enhancement: milliseconds per image, and the ratio to decoding and resizing alone.

    python benchmarks/enhance.py FOLDER      a folder of images, of any size

All in one run, on one thread, each way over the same images, the best of three rounds.
"""

import sys
import time
from pathlib import Path

from pipeline.images.decode import decode
from pipeline.images.formats import EXTENSIONS
from pipeline.params.data import Images
from pipeline.params.file import load_params

WAYS = {
    "plain": {},
    "median": {"denoise": "median"},
    "non_local_means": {"denoise": "non_local_means"},
    "clahe": {"clahe": 2.0},
    "median, clahe": {"denoise": "median", "clahe": 2.0},
}
ROUNDS, MOST = 3, 200


def seconds(files: list[bytes], rules: Images) -> float:
    """Seconds per image, in the fastest round."""
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for data in files:
            decode(data, rules)
        taken.append(time.perf_counter() - start)
    return min(taken) / len(files)


def main(folder: Path) -> None:
    """Print one line per enhancement."""
    names = sorted(file for file in folder.iterdir() if file.suffix.lower().lstrip(".") in EXTENSIONS)[:MOST]
    files = [file.read_bytes() for file in names]
    if not files:
        sys.exit(f"{folder} holds no images.")
    rules = load_params().images.model_dump() | {"denoise": "none", "clahe": 0.0}
    took = {name: seconds(files, Images.model_validate(rules | changes)) for name, changes in WAYS.items()}
    for name, each in took.items():
        print(f"{name:16} {each * 1000:7.2f} ms an image, {each / took['plain']:5.1f} times plain decoding")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "data/raw/functional"))
