"""Reading from a slow disk: how busy the processors stay, by the milliseconds that each file takes to come.

    python benchmarks/slow_disk.py FOLDER [--count 600]      FOLDER: photographs

The disk is a folder whose every read sleeps first, as a network share or a store lets its readers wait. The network of
a night needs the same processors: they are busy enough where reading alone gives more images/s than it classifies.
"""

import argparse
import itertools
import time
from dataclasses import dataclass
from pathlib import Path

from pipeline.night.reading import Reading, read_images
from pipeline.params.file import load_params
from pipeline.storage.local_folder import LocalFolder

AHEAD = 64  # as at night


@dataclass(frozen=True)
class SlowFolder(LocalFolder):
    """A folder that lets its readers wait."""

    milliseconds: float = 0.0

    def read_at_most(self, name: str, most: int) -> bytes:
        """The bytes of a file, after a while."""
        time.sleep(self.milliseconds / 1000)
        return super().read_at_most(name, most)


def main(folder: Path, count: int) -> None:
    """Print images/s and the share of the processors' time, for disks of several speeds."""
    params = load_params()
    names = sorted(file.name for file in folder.iterdir() if file.suffix.lower() in {".png", ".jpg", ".jpeg"})
    paths = list(itertools.islice(itertools.cycle(names), count))
    threads = params.compute.threads
    for milliseconds in (0, 5, 20, 50):
        begun, used = time.perf_counter(), time.process_time()
        for _ in read_images(
            SlowFolder(folder, milliseconds), paths, params.images, Reading(threads, AHEAD, params.batch.file_timeout)
        ):
            pass
        seconds, used = time.perf_counter() - begun, time.process_time() - used
        print(
            f"{milliseconds:3} ms a file: {count / seconds:5.0f} images/s, {used / seconds / threads:4.0%} of "
            f"{threads} cores, {1000 * used / count:.2f} ms of a core each"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=600)
    given = parser.parse_args()
    main(given.folder, given.count)
