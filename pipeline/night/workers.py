"""Shards in a worker process: a decoder that crashes, or runs out of memory, costs one file, not the night.

The worker process classifies shard after shard. If it dies, the next one repeats the shard carefully: a second process
decodes each file, and a file whose decoding kills that process is unreadable. After that shard all is as before.
"""

import atexit
import importlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pipeline.core.errors import NightshiftError
from pipeline.images.decode import Picture, UnreadableImage, decode
from pipeline.night.ledger import Done, Run
from pipeline.params.data import Images
from pipeline.params.file import Params

SPAWN = multiprocessing.get_context("spawn")  # a fork would inherit locks that no thread releases
CRASHED = "its decoder crashed; the file is damaged, or made to do harm"
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
                f"The worker process died twice ({_name(died)}) at shard {left[0]} of {run.output}. SIGKILL usually "
                "means too little memory: lower batch.batch_size or compute.workers. Finished work is kept; run the "
                "same command again to resume."
            )
        careful = died is not None


def _name(status: int) -> str:
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"exit status {status}"


class _Worker:
    """The worker process, and the pipe to it."""

    def __init__(self) -> None:
        self.surroundings = _surroundings()
        self.pipe, theirs = SPAWN.Pipe()
        self.process = SPAWN.Process(target=_work, args=(theirs,))
        self.process.start()
        theirs.close()

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _surroundings() -> tuple[Path, dict[str, str]]:
    """Working folder and environment, which a process keeps from its start; MLflow's variables do not matter."""
    return Path.cwd(), {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}


_worker: _Worker | None = None  # reused for later shards


def warm_up() -> None:
    """Start the worker, so that it has imported its libraries when the first shard comes."""
    global _worker
    if _worker is None or not _worker.process.is_alive() or _worker.surroundings != _surroundings():
        _end_worker()
        _worker = _Worker()


@atexit.register  # before multiprocessing would wait for it
def _end_worker() -> None:
    global _worker
    if _worker:
        _worker.end()
    _worker = None


def _answers(asked: Asked) -> Generator[tuple[int, int] | int, None, None]:
    """The worker's answer to each shard; at the end, if it died, its exit status."""
    warm_up()
    assert _worker  # noqa: S101 - it was just started
    whole = False
    try:
        _worker.pipe.send(asked)
        while (answer := _worker.pipe.recv()) is not None:
            if isinstance(answer, BaseException):
                raise answer
            yield answer
        whole = True
    except (EOFError, ConnectionError):
        _worker.process.join()
        yield _worker.process.exitcode or 0
    finally:
        if not whole:  # its state is unknown
            _end_worker()


def _work(pipe: Connection) -> None:
    """What the worker process runs."""
    _end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches the whole group; whoever started us ends us
    from pipeline.night.shard import classify_here

    importlib.import_module("openvino")  # while the parent plans the run
    while True:
        try:
            asked: Asked = pipe.recv()
        except EOFError:
            os._exit(0)  # without waiting for threads that hang in a file
        run, numbers, params, careful = asked
        run.join()
        answer: Any = None
        try:
            for done in classify_here(run, numbers, params, apart if careful else decode):
                pipe.send(done)
        except (NightshiftError, OSError) as error:
            answer = error
        pipe.send(answer)


def _end_with_parent() -> None:
    """End with the parent process: else two processes could write to one output."""
    parent = multiprocessing.parent_process()  # not os.getppid(): it may be gone before we have started

    def watch() -> None:
        while parent and os.getppid() == parent.pid:
            time.sleep(0.2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


_lock = threading.Lock()
_pool: ProcessPoolExecutor | None = None  # one process for all threads


def apart(data: bytes, rules: Images) -> Picture:
    """`decode` in another process. Raises UnreadableImage also when a file kills two such processes.

    One death may have another cause: an earlier file, or too little memory.
    """
    global _pool
    with _lock:
        for _ in range(2):
            _pool = _pool or ProcessPoolExecutor(1, SPAWN, _end_with_parent)
            try:
                return _pool.submit(decode, data, rules).result()
            except BrokenProcessPool:
                _pool = None
    raise UnreadableImage(CRASHED)
