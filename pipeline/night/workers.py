"""Shards in a worker process: a decoder that crashes, or runs out of memory, costs one file, not the night.

The worker process classifies shard after shard. If it dies, the next one repeats the shard carefully: a second process
decodes each file, and a file whose decoding kills that process is unreadable. After that shard all is as before.
"""

import signal
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from typing import ParamSpec, TypeVar

from pipeline.core.errors import NightshiftError
from pipeline.images.decode import Picture, UnreadableImage, decode
from pipeline.night import worker
from pipeline.night.ledger import Done, Run
from pipeline.night.scene_reading import CRASHED as CRASHED
from pipeline.params.data import Images
from pipeline.params.file import Params
from pipeline.storage.folders import Folder

P = ParamSpec("P")
T = TypeVar("T")
# Classifies shards of a run: yields the number of each and its count of files when its part is there.
Classifier = Callable[[Run, list[int], Params], Done]
Asked = tuple[Run, list[int], Params, bool]  # run, shards, parameters, carefully


class ShardsError(NightshiftError):
    """The worker process died twice at one shard, for a reason other than a file."""


def classify_shards(run: Run, numbers: list[int], params: Params) -> Done:
    """Classify shards, in order; yields the number of each and its count of files when its part is on disk.

    Raises what classifying raises, and ShardsError when the worker dies in the careful way too.
    """
    left, careful = list(numbers), False
    while left:
        batch = left[:1] if careful else left
        died: int | None = None
        with closing(_answers((run, batch, params, careful))) as answers:
            for answer in answers:
                if isinstance(answer, int):
                    died = answer
                    break
                left.remove(answer[0])
                yield answer
        if died is not None and careful:
            raise ShardsError(
                f"The worker process died twice ({_name(died)}) at shard {left[0]} of {run.output}. {_why(died)} "
                "Finished work is kept; run the same command again to resume."
            )
        careful = died is not None


def _name(status: int) -> str:
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"exit status {status}"


def _why(status: int) -> str:
    if status == -signal.SIGKILL:
        return "That usually means too little memory: lower batch.batch_size or compute.workers."
    return "The log file has what it said last."


def _answers(asked: Asked) -> Generator[tuple[int, int] | int, None, None]:
    """The worker's answer to each shard; at the end, if it died, its exit status."""
    at_work = worker.warm_up()
    whole = False
    try:
        at_work.pipe.send(asked)
        while (answer := at_work.pipe.recv()) is not None:
            if isinstance(answer, BaseException):
                raise answer
            yield answer
        whole = True
    except (EOFError, ConnectionError):
        at_work.process.join()
        yield at_work.process.exitcode or 0
    finally:
        if not whole:  # its state is unknown
            worker.end_worker()


_lock = threading.Lock()
_pool: ProcessPoolExecutor | None = None  # one process for all threads


def apart(data: bytes, rules: Images) -> Picture:
    """`decode` in another process. Raises UnreadableImage also when a file kills two such processes.

    One death may have another cause: an earlier file, or too little memory.
    """
    return _twice(decode, data, rules)


def walks_apart(walk: Callable[[Folder, str, Images], None], source: Folder, path: str, rules: Images) -> bool:
    """Whether another process can read all parts of a file, as `walk` does, without dying twice."""
    try:
        _twice(walk, source, path, rules)
    except UnreadableImage:
        return False
    return True


def _twice(work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """What `work` gives in another process. Raises UnreadableImage when two such processes die."""
    global _pool
    with _lock:
        for _ in range(2):
            _pool = _pool or ProcessPoolExecutor(1, worker.SPAWN, worker.end_with_parent)
            try:
                return _pool.submit(work, *given, **named).result()
            except BrokenProcessPool:
                _pool = None
    raise UnreadableImage(CRASHED)
