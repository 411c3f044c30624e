"""Shards in a process of their own: a decoder that crashes, or is killed for its memory, costs one file, not the night.

The process classifies shard after shard. If it dies, the shard it was at is done again carefully: each file's decoding
happens in a second process, and a file whose decoding kills that one is unreadable. Then the rest goes on as before.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pipeline.errors import NightshiftError
from pipeline.images import Picture, UnreadableImage, decode
from pipeline.ledger import Plan
from pipeline.params import Params
from pipeline.params_data import Images

SPAWN = multiprocessing.get_context("spawn")  # a fork would inherit the locks of threads that it does not have
CRASHED = "its decoder crashed; the file is damaged, or made to do harm"


class ShardsError(NightshiftError):
    """The process that classifies dies again and again, and no file is to blame."""


def classify_shards(output: Path, numbers: list[int], plan: Plan, params: Params) -> Iterator[tuple[int, int]]:
    """Classify shards; yields the number of each and its count of files when its part is on disk.

    Raises what classifying raises, and ShardsError when the process dies in the careful way too.
    """
    left, careful = list(numbers), False
    while left:
        batch = left[:1] if careful else left
        died: int | None = None
        for answer in _in_process(output, batch, plan, params, careful=careful):
            if isinstance(answer, int):
                died = answer
                break
            left.remove(answer[0])
            yield answer
        if died is not None and careful:
            raise ShardsError(
                f"The process that classifies was ended by {_name(died)} twice at shard {left[0]} of {output}. If it "
                "was SIGKILL, the machine has too little memory: lower batch.batch_size or compute.workers. "
                "What is done is kept; the same command goes on."
            )
        careful = died is not None


def _name(status: int) -> str:
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"exit status {status}"


def _in_process(
    output: Path, numbers: list[int], plan: Plan, params: Params, *, careful: bool
) -> Iterator[tuple[int, int] | int]:
    """What the process says of each shard; at last, where it died, its exit status."""
    ours, theirs = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=_work, args=(theirs, output, numbers, plan, params, careful), daemon=False)
    process.start()
    theirs.close()
    try:
        while True:
            try:
                answer: Any = ours.recv()
            except EOFError:
                process.join()
                yield process.exitcode or 0
                return
            if isinstance(answer, BaseException):
                raise answer
            if answer is None:
                return
            yield answer
    finally:
        process.terminate()
        process.join()
        ours.close()


def _work(answers: Connection, output: Path, numbers: list[int], plan: Plan, params: Params, careful: bool) -> None:
    """The process. Ends without waiting for threads that hang in a file."""
    from pipeline.classify import classify_here

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches the whole group; whoever started us ends us
    _end_with_parent()
    try:
        for number, files in classify_here(output, numbers, plan, params, apart if careful else decode):
            answers.send((number, files))
        answers.send(None)
    except (NightshiftError, OSError) as error:
        answers.send(error)
    answers.close()
    os._exit(0)


def _end_with_parent() -> None:
    """Do not outlive whoever waits for the answers: two processes would work on one output."""
    parent = multiprocessing.parent_process()  # not os.getppid(): it may be gone before we have started

    def watch() -> None:
        while parent and os.getppid() == parent.pid:
            time.sleep(0.2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


_lock = threading.Lock()
_pool: ProcessPoolExecutor | None = None  # one process for all threads


def apart(data: bytes, rules: Images) -> Picture:
    """`decode` in another process. Raises UnreadableImage also when that one is killed by what it reads."""
    global _pool
    with _lock:
        if _pool is None:
            _pool = ProcessPoolExecutor(1, SPAWN, _end_with_parent)
        try:
            return _pool.submit(decode, data, rules).result()
        except BrokenProcessPool:
            _pool = None
            raise UnreadableImage(CRASHED) from None
