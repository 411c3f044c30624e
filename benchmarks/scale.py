"""What a night costs on more than one machine: images/s on Dask against the plain command, and what each shard adds.

    python benchmarks/scale.py [FOLDER] [--count 2000] [--shards 100] [--listed 100000] [--objects 3000]

In a project with a champion (`make run`). FOLDER: images, by default the demo's; its files are copied under new names
until there are as many as --count. Prints two tables:

1. Seconds of whole commands (start-up included) over a quarter of the images and over all of them: the difference is
   what an image costs, the rest is what a command costs before and after. Then what a shard costs in each way, with
   Prefect and without: as many shards of one image as --shards, less one shard with all of them.
2. The books without a model: listing, plan, parts and merge of --listed tiny files in a folder, and of --objects ones
   in S3 (moto, a server process on this machine: extra dev), for each file or shard, and for --far files.
"""

import argparse
import io
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from batch import copy_files
from PIL import Image

SHARD = 256  # images, as in params.yaml
S3_SHARD = 32  # few objects make many shards; a request for a small one takes as long
NIGHTSHIFT = Path(sys.executable).with_name("nightshift")
WAYS = {
    "plain": ["--no-prefect"],
    "dask, 1 worker": ["--no-prefect", "--runner", "dask", "--workers", "1"],
    "dask, 2 workers": ["--no-prefect", "--runner", "dask", "--workers", "2"],
}
WITH_PREFECT = {"prefect": [], "prefect, dask, 2 workers": ["--runner", "dask", "--workers", "2"]}


def project_with(room: Path, shard_size: int) -> Path:
    """A folder with this project's parameters and another shard size."""
    folder = room / f"shards-of-{shard_size}"
    folder.mkdir(exist_ok=True)
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["batch"]["shard_size"] = shard_size
    if shard_size == 1:  # the engine pads each batch, which would be most of the work
        params["batch"]["batch_size"] = 1
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    return folder


def seconds_of(project: Path, images: Path, options: list[str]) -> float:
    """The seconds of a whole command."""
    from pipeline.registry.store import Store

    with tempfile.TemporaryDirectory(dir=project) as output:
        words = [str(NIGHTSHIFT), "classify", str(images), str(Path(output, "out")), *options]
        start = time.perf_counter()
        done = subprocess.run(
            words, cwd=project, env={**os.environ, "MLFLOW_TRACKING_URI": Store.of_project().address},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            sys.exit(f"{' '.join(words)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
        return time.perf_counter() - start


def throughput(source: Path, count: int, room: Path) -> None:
    """Print the first table."""
    for name, number in (("few", count // 4), ("all", count)):
        copy_files(source, room / name, number)
    project = project_with(room, SHARD)
    print(f"{'':26}{count // 4:>9} {count:>9} images, s   images/s   s per 1,000   s per command")
    for name, options in WAYS.items():
        few, every = (seconds_of(project, room / folder, options) for folder in ("few", "all"))
        each = (every - few) / (count - count // 4)
        print(
            f"{name:26}{few:9.1f} {every:9.1f} {1 / each:20.0f} {1000 * each:13.2f} {few - each * (count // 4):15.1f}"
        )


def shards(source: Path, count: int, room: Path) -> None:
    """Print the cost of a shard besides its images: as many shards as images, minus one shard with all of them."""
    copy_files(source, room / "tiny", count)
    one, many = project_with(room, SHARD), project_with(room, 1)
    for name, options in {**WAYS, **WITH_PREFECT}.items():
        seconds = [seconds_of(project, room / "tiny", options) for project in (one, many)]
        each = 1000 * (seconds[1] - seconds[0]) / (count - 1)
        print(f"{name:26}1 shard {seconds[0]:6.1f} s, {count} shards {seconds[1]:6.1f} s: {each:6.0f} ms a shard")


class Costs:
    """The second table, line by line."""

    def __init__(self, far: int) -> None:
        """far: the number of files to extrapolate to."""
        self._far = far

    def line(self, what: str, seconds: float, count: int, unit: str) -> None:
        """Print one measurement: its cost per file or shard of `count`, and extrapolated to the many files."""
        far = self._far if unit == "file" else -(-self._far // SHARD)
        each = seconds / count
        print(f"{what:42}{seconds:8.2f} s {1e6 * each:10.1f} us a {unit:5} {each * far / 3600:8.1f} h")


def timed(action: Callable[[], Any]) -> tuple[float, Any]:
    """The seconds of `action`, and its result."""
    start = time.perf_counter()
    found = action()
    return time.perf_counter() - start, found


def books(name: str, source: Any, output: Any, costs: Costs, shard_size: int = SHARD) -> None:
    """List, plan, write parts, merge and reconcile, without a model: real rows, the same for each file."""
    from pipeline.night.counts import Counts, feed
    from pipeline.night.ledger import Run, RunPlan
    from pipeline.night.rows import Classified, read_rows, to_row
    from pipeline.storage import store_listing
    from pipeline.storage.folders import folder_at
    from pipeline.storage.listing import list_images

    lister = list_images if isinstance(source, Path) else store_listing.list_images
    seconds, found = timed(lambda: list(lister(source)))
    costs.line(f"{name}: list", seconds, len(found), "file")

    def settle(files: int, shards: int) -> RunPlan:
        return RunPlan(
            input=str(source), model_name="none", model_version="1", contract_hash="", files=files, shards=shards,
            started_at="2026-01-01T00:00:00+00:00",
        )  # fmt: skip

    seconds, run = timed(lambda: Run.begin(folder_at(output), found, shard_size, settle))
    files, shards = run.plan.files, run.plan.shards
    costs.line(f"{name}: write the shards", seconds, shards, "shard")
    ranked = (("defective", 0.9), ("functional", 0.1))

    def write(number: int) -> None:
        rows = (to_row(Classified(path, "0" * 64, 300, 300, ranked, unsure=False), run.plan.stamp)
                for path in run.shard(number))  # fmt: skip
        run.write_part(number, rows)

    def count() -> bool:
        counts = Counts(run.listed())
        feed(read_rows(result), [counts])
        return counts.found().reconciled

    seconds, _ = timed(lambda: [write(number) for number in range(shards)])
    costs.line(f"{name}: read a shard, write its part", seconds, shards, "shard")
    seconds, left = timed(run.unfinished)
    costs.line(f"{name}: which parts are there", seconds, shards, "shard")
    seconds, result = timed(run.merge)
    costs.line(f"{name}: merge", seconds, shards, "shard")
    seconds, reconciled = timed(count)
    costs.line(f"{name}: count and reconcile", seconds, files, "file")
    seconds, _ = timed(run.close)
    costs.line(f"{name}: delete the books", seconds, shards, "shard")
    if left or not reconciled:
        sys.exit("The books do not add up.")
    about = result.stat().st_size / files
    print(f"{name}: {about:.0f} bytes of CSV a file, {about * costs._far / 1e9:.0f} GB in all")


@contextmanager
def s3() -> Iterator[None]:
    """Start an S3 server; every S3 address leads to it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        os.environ |= {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench", "AWS_DEFAULT_REGION": "us-east-1",
        }  # fmt: skip
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/moto-api/data.json", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        yield
        server.kill()


def book_costs(listed: int, objects: int, far: int, room: Path) -> None:
    """The second table."""
    from pipeline.core.parallel import ordered_map
    from pipeline.storage import stores
    from pipeline.storage.addresses import place

    print(f"{'':42}{'measured':>10}{'each':>21}{f'{far:,} files':>20}")
    costs, folder = Costs(far), room / "many"
    folder.mkdir()
    encoded = io.BytesIO()
    Image.new("RGB", (8, 8), "grey").save(encoded, "png")
    for number in range(listed):
        file = folder / f"{number // 1000:04d}" / f"{number:08d}.png"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(encoded.getvalue())
    books("folder", folder, room / "books", costs)
    if not objects:
        return
    with s3():
        import fsspec

        fsspec.filesystem("s3").mkdir("bench")
        source: Any = place("s3://bench/many")
        names = (f"{number // 1000:04d}/{number:08d}.png" for number in range(objects))
        seconds, _ = timed(
            lambda: list(
                ordered_map(lambda name: stores.write_bytes(source / name, encoded.getvalue()), names, stores.THREADS)
            )
        )
        costs.line("S3: write an object, 16 at once", seconds, objects, "file")
        seconds, _ = timed(lambda: [stores.read_bytes(source / f"0000/{number:08d}.png") for number in range(100)])
        costs.line("S3: read an object, one at a time", seconds, 100, "file")
        books("S3", source, place("s3://bench/books"), costs, S3_SHARD)


def main(given: argparse.Namespace) -> None:
    """Print both tables."""
    print(f"{os.cpu_count()} cores, load before {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as temporary:
        if given.count:
            throughput(given.folder, given.count, Path(temporary))
        if given.shards:
            shards(given.folder, given.shards, Path(temporary))
        if given.listed:
            book_costs(given.listed, given.objects, given.far, Path(temporary))
    print(f"load after {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("data/raw"))
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--shards", type=int, default=100)
    parser.add_argument("--listed", type=int, default=100_000)
    parser.add_argument("--objects", type=int, default=3000)
    parser.add_argument("--far", type=int, default=100_000_000)
    main(parser.parse_args())
