"""Files -> pictures by many processes, for a card that takes more than the threads of one process can decode.

Python lets one thread of a process run at a time; the decoders let go of that lock for nine tenths of their work, so
some eight threads keep it taken. What comes out is what `read_images` yields.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from itertools import islice

from pipeline.model.device import on_gpu
from pipeline.night.reading import Decoded, Read, Reading, nothing_known, read_images
from pipeline.night.rows import Repeated
from pipeline.night.worker import SPAWN, end_with_parent
from pipeline.night.workers import apart
from pipeline.params.data import Images
from pipeline.params.model import Compute
from pipeline.storage.folders import Folder

MOST_THREADS = 8
AT_ONCE = 16  # files that a process takes: their pictures come back together
AHEAD = 2  # such parts for each process, so that it need not wait


def pays(compute: Compute) -> bool:
    """Whether a night should read by processes: on a GPU, with more cores than threads of one process can use."""
    return compute.threads > MOST_THREADS and on_gpu(compute)


def read_by_processes(source: Folder, paths: Iterable[str], rules: Images, how: Reading) -> Iterator[Read]:
    """What `read_images` yields, by `how.threads` processes. A file that kills one of them is unreadable."""
    pool, coming = _pool(how.threads), iter(paths)
    alone = replace(how, threads=1, ahead=AT_ONCE, known=nothing_known)

    def submit(part: Sequence[str]) -> tuple[Sequence[str], "Future[list[Read]]"]:
        nonlocal pool
        try:
            return part, pool.submit(_read, source, part, rules, alone)
        except BrokenProcessPool:
            pool = _pool(how.threads)
            return part, pool.submit(_read, source, part, rules, alone)

    parts = iter(lambda: list(islice(coming, AT_ONCE)), [])
    waiting = deque(submit(part) for part in islice(parts, AHEAD * how.threads))
    try:
        while waiting:
            part, found = waiting.popleft()
            try:
                reads = found.result()
            except BrokenProcessPool:  # perhaps by a file of this part: each is decoded in a process of its own
                reads = _read(source, part, rules, replace(alone, decoder=apart))
            waiting.extend(submit(part) for part in islice(parts, 1))
            for read in reads:
                answer = how.known(read.sha256) if isinstance(read, Decoded) else None
                yield Repeated(read.path, read.sha256, answer) if answer and isinstance(read, Decoded) else read
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _pool(count: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(count, SPAWN, end_with_parent)


def _read(source: Folder, part: Sequence[str], rules: Images, how: Reading) -> list[Read]:
    return list(read_images(source, part, rules, how))
