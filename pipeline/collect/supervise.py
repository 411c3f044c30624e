"""All sources at once, each in a process of its own: one that hangs, fails or crashes never stops another.

A process that dies or gives no sign of life is started again, after growing pauses. Shows nothing and sends nothing:
whoever calls gets every event.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from random import Random

from pipeline.collect import retry
from pipeline.collect.clock import Stopped, SystemClock
from pipeline.collect.room import Classified
from pipeline.collect.signs import Told
from pipeline.collect.start import Job, collector_of
from pipeline.core.disk_errors import explained
from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.storage import output_lock
from pipeline.storage.output_lock import InUse

SPAWN = get_context("spawn")  # a fork would inherit the locks of FFmpeg's threads
HANGS = 240.0  # seconds without a sign of life; the longest timeout of a source is 70, of two pictures 60
GRACE = 10.0  # seconds in which a process must end that was asked to
POLL = 0.5  # seconds between two looks for a request to end


@dataclass(frozen=True, slots=True)
class Said:
    """A line of a source's log."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Failed:
    """How a source's process ended, if not as it was asked to."""

    error: Exception


Event = Told | Said | Failed


@dataclass(slots=True)
class _Running:
    """A source's process, or when it is started again."""

    job: Job
    once: bool = False  # takes one picture; never started again
    failed: bool = False  # and said why
    process: SpawnProcess | None = None
    pipe: Connection | None = None
    heard: float = 0.0
    failures: int = 0
    again: float = 0.0  # time.monotonic()
    begun: float = 0.0
    random: Random = field(default_factory=Random)


def collect(
    jobs: list[Job], classified: Classified, stop: threading.Event, until: datetime | None = None
) -> Iterator[tuple[Job, Event]]:
    """Collect from all sources until `stop` is set, or then; yields what each says. Raises InUse, naming the holder."""
    running = [_Running(job) for job in jobs]
    try:
        while not stop.is_set() and (until is None or datetime.now(until.tzinfo) < until):
            for one in running:
                if one.process is None and time.monotonic() >= one.again:
                    _start(one, classified, until)
            pipes = {one.pipe: one for one in running if one.pipe}
            for pipe in wait(list(pipes), POLL) if pipes else ():
                yield from _hear(pipes[pipe])  # type: ignore[index]
            if not pipes:
                stop.wait(POLL)
            for one in running:
                if one.process and time.monotonic() - one.heard > HANGS:
                    one.process.kill()
                    yield one.job, Said(logging.WARNING, f"No sign of life for {HANGS:.0f} s: it is started again.")
    finally:
        _end(running)


def take_one_each(jobs: list[Job], classified: Classified) -> Iterator[tuple[Job, Event]]:
    """One picture of each source, or of a folder all clips that are there; yields what each says."""
    running = [_Running(job, once=True) for job in jobs]
    try:
        for one in running:
            _start(one, classified, None)
        while pipes := {one.pipe: one for one in running if one.pipe}:
            for pipe in wait(list(pipes), POLL):
                yield from _hear(pipes[pipe])  # type: ignore[index]
    finally:
        _end(running)


def _start(one: _Running, classified: Classified, until: datetime | None) -> None:
    one.pipe, theirs = SPAWN.Pipe()
    work = (one.job, classified, until, one.once, theirs)
    one.process = SPAWN.Process(target=_work, args=work, name=one.job.source.name)
    one.process.start()
    theirs.close()
    one.begun = one.heard = time.monotonic()


def _hear(one: _Running) -> Iterator[tuple[Job, Event]]:
    """The next event of a source, or that its process has ended."""
    if not one.pipe or not one.process:
        return
    one.heard = time.monotonic()
    try:
        event = one.pipe.recv()
    except (EOFError, OSError):
        event = None
    if event is not None:
        if isinstance(event, Failed) and isinstance(event.error, InUse) and not one.failures:
            raise event.error
        one.failed = one.failed or isinstance(event, Failed)
        yield one.job, event
        return
    one.process.join()
    steady, status = time.monotonic() - one.begun >= retry.STEADY, one.process.exitcode
    one.failures = 1 if steady else one.failures + 1
    pause = retry.pause(one.failures, one.random)
    one.again = time.monotonic() + pause
    one.pipe.close()
    one.pipe = one.process = None
    if status and one.once and not one.failed:
        yield one.job, Failed(NightshiftError(f"Its process ended ({_name(status)}). Run the command again."))
    if status and not one.once:
        yield one.job, Said(logging.WARNING, f"Its process ended ({_name(status)}). It starts again in {pause:.0f} s.")


def _name(status: int) -> str:
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"exit status {status}"


def _end(running: list[_Running]) -> None:
    """Let all processes end; kill those that do not."""
    for one in running:
        if one.pipe:
            try:
                one.pipe.send("stop")
            except OSError:
                continue
    deadline = time.monotonic() + GRACE
    for one in running:
        if not one.process or not one.pipe:
            continue
        with suppress(EOFError, OSError):
            while (left := deadline - time.monotonic()) > 0 and one.pipe.poll(left):
                one.pipe.recv()  # until it has ended: a full pipe would keep it waiting
        one.process.join(max(0.1, deadline - time.monotonic()))
        one.process.kill()
        one.process.join()


def _work(job: Job, classified: Classified, until: datetime | None, once: bool, pipe: Connection) -> None:
    """What the process of a source runs."""
    clock = SystemClock()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the command ends us
    signal.signal(signal.SIGTERM, lambda *_: clock.stop.set())
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # in years, what decoders say of damaged streams would fill the disk
    threading.Thread(target=_listen, args=(pipe, clock), daemon=True).start()
    send = _sender(pipe)
    log.addHandler(_ToParent(send))
    log.setLevel(logging.INFO)
    log.propagate = False
    status = 1
    try:
        with explained(job.folder), output_lock.held(job.folder):
            collector = collector_of(job, clock, classified, send)
            if once:
                collector.once()
            else:
                collector.run(until)
        status = 0
    except Stopped:
        status = 0
    except Exception as error:  # noqa: BLE001 - another process reports it
        ours = str(error) if isinstance(error, NightshiftError) else f"{type(error).__name__}: {error}"
        # An error with fields of its own does not survive the pipe.
        send(Failed(error if type(error) is InUse else NightshiftError(ours)))
    os._exit(status)  # without waiting for a thread that hangs in a decoder


def _listen(pipe: Connection, clock: SystemClock) -> None:
    """End when the command asks for it; at once when the command is gone."""
    try:
        pipe.recv()
        clock.stop.set()
    except (EOFError, OSError):
        os._exit(1)


def _sender(pipe: Connection) -> Callable[[Event], None]:
    """Sends from any thread."""
    one_at_a_time = threading.Lock()

    def send(event: Event) -> None:
        with one_at_a_time:
            pipe.send(event)

    return send


class _ToParent(logging.Handler):
    """Hands each line to the command."""

    def __init__(self, send: Callable[[Event], None]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        self._send(Said(record.levelno, record.getMessage()))
