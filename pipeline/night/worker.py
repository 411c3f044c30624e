"""The worker process of a night: started at once, it imports its libraries while the parent plans. Decides nothing.

Imports little itself, so that a command starts it before it imports anything else.
"""

import atexit
import importlib
import multiprocessing
import os
import signal
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pipeline.core.errors import NightshiftError

SPAWN = multiprocessing.get_context("spawn")  # a fork would inherit locks that no thread releases


class Worker:
    """The worker process, and the pipe to it."""

    def __init__(self) -> None:
        """Start it."""
        self.surroundings = _surroundings()
        self.pipe, theirs = SPAWN.Pipe()
        self.process = SPAWN.Process(target=_work, args=(theirs,))
        self.process.start()
        theirs.close()

    def end(self) -> None:
        """Kill it: whatever it was asked is given up."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _surroundings() -> tuple[Path, dict[str, str]]:
    """Working folder and environment, which a process keeps from its start; MLflow's variables do not matter."""
    return Path.cwd(), {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}


_worker: Worker | None = None  # reused for later shards


def warm_up() -> Worker:
    """The worker, started so that it has imported its libraries when the first shard comes."""
    global _worker
    if _worker is None or not _worker.process.is_alive() or _worker.surroundings != _surroundings():
        end_worker()
        _worker = Worker()
    return _worker


@atexit.register  # before multiprocessing would wait for it
def end_worker() -> None:
    """End it; the next one starts when it is needed."""
    global _worker
    if _worker:
        _worker.end()
    _worker = None


def _work(pipe: Connection) -> None:
    """What the worker process runs."""
    end_with_parent()
    for one in (signal.SIGINT, signal.SIGHUP):  # Ctrl-C and a closed terminal reach the whole group
        signal.signal(one, signal.SIG_IGN)  # whoever started us ends us
    from pipeline.images.decode import decode
    from pipeline.night.shard import classify_here
    from pipeline.night.workers import apart

    importlib.import_module("openvino")  # while the parent plans the run
    while True:
        try:
            run, numbers, params, careful = pipe.recv()
        except EOFError:
            os._exit(0)  # without waiting for threads that hang in a file
        run.join()
        answer: Any = None
        try:
            for done in classify_here(run, numbers, params, apart if careful else decode):
                pipe.send(done)
        except (NightshiftError, OSError) as error:
            answer = error
        pipe.send(answer)


def end_with_parent() -> None:
    """End with the parent process: else two processes could write to one output."""
    parent = multiprocessing.parent_process()  # not os.getppid(): it may be gone before we have started

    def watch() -> None:
        while parent and os.getppid() == parent.pid:
            time.sleep(0.2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
