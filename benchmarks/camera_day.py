"""A day of a camera with three faults, in seconds: does gaps.csv say them all, and how much does a year cost?

    python -m benchmarks.camera_day [--every 10]

The clock jumps ahead whenever somebody waits; pictures, files and gaps are real. The camera is gone for an hour, sends
the same picture for half an hour, and black ones for another hour.
"""

import argparse
import resource
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.collect.clock import Stopped
from pipeline.collect.gaps import GAPS_CSV, Rules, in_words, read_gaps
from pipeline.collect.kept import Album
from pipeline.collect.signs import Told
from pipeline.storage.files import sha256_of_file
from tests.fixtures.days import NOON, Camera, QuickClock, black, collector, frozen, gone

HOUR = timedelta(hours=1)


def main() -> None:
    """Let the day pass, and print what is left of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two pictures")
    every = parser.parse_args().every
    clock = QuickClock(NOON, NOON + 24 * HOUR)
    faults = {
        (NOON + 3 * HOUR, NOON + 4 * HOUR): gone(),
        (NOON + 8 * HOUR, NOON + 8.5 * HOUR): frozen(NOON + 8 * HOUR),
        (NOON + 14 * HOUR, NOON + 15 * HOUR): black,
    }
    told: list[Told] = []
    say: Callable[[str], int] = sys.stdout.write
    with TemporaryDirectory() as place:
        folder, began = Path(place) / "gate-2", time.perf_counter()
        with suppress(Stopped):
            collector(folder, clock, Camera(clock, every, faults), Rules(timedelta(minutes=10)), told).run()
        seconds = time.perf_counter() - began
        usage = resource.getrusage(resource.RUSAGE_SELF)
        album = Album(folder, "gate-2")
        rows = list(album.rows())
        whole = sum(sha256_of_file(folder / row.path) == row.sha256 for row in rows)
        say(f"24 h in {seconds:.1f} s, {usage.ru_utime + usage.ru_stime:.1f} s of processor, with imports\n")
        megabytes = (folder / "collected.csv").stat().st_size / 1e6
        say(f"{len(rows)} pictures, {whole} as in collected.csv ({megabytes:.1f} MB)\n")
        say(f"{in_words('gate-2', read_gaps(folder / GAPS_CSV), NOON.tzinfo)}\n")
        say(f"{(folder / GAPS_CSV).read_text()}")


if __name__ == "__main__":
    main()
