"""Who may write to an output in an object store: a lock object, made exclusively, refreshed while its holder lives.

Stores release nothing when a process dies, so a lock that is not refreshed for EXPIRES seconds is free.
"""

import _thread
import errno
import json
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace

from upath import UPath

from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.storage import stores
from pipeline.storage.stores import StoreError, backend_errors

BEAT = 10.0  # seconds between two signs of life
EXPIRES = 60.0  # seconds without one
INTERRUPT = signal.SIGUSR1
SETTLE = 2.0  # seconds in which two who take over the same lock see who was the last


class LeaseError(NightshiftError):
    """The output is another run's."""


@dataclass(frozen=True, slots=True)
class Lease:
    """What stands in the lock object."""

    holder: str = field(default_factory=lambda: f"process {os.getpid()} on {socket.gethostname()}")
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    at: float = field(default_factory=time.time)  # seconds since 1970, by the holder's clock


class _Lost(BaseException):
    """The lease is another's: raised wherever the run is."""


@contextmanager
def _interrupted() -> Iterator[None]:
    """Let INTERRUPT raise _Lost in the main thread. Not SIGINT: what a shell starts in the background ignores it."""

    def lose(*_: object) -> None:
        raise _Lost

    try:
        before = signal.signal(INTERRUPT, lose)
    except ValueError:  # in another thread: the run hears of it at its end
        yield
        return
    try:
        yield
    finally:
        signal.signal(INTERRUPT, before)


@contextmanager
def held(output: UPath, name: str) -> Iterator[str | None]:
    """Keep other runs off `output` by the object `name` in it. Raises LeaseError naming the holder when there is one.

    What a store raises meanwhile is said in words (StoreError). A run that loses its lease is interrupted.
    """
    lock, ours = output / name, Lease()
    ended, lost = threading.Event(), threading.Event()
    beating = threading.Thread(target=_beat, args=(lock, ours, ended, lost), daemon=True)
    try:
        _acquire(lock, ours)
        with _interrupted():
            beating.start()
            yield None
        if lost.is_set():
            raise _Lost
    except _Lost:
        raise LeaseError(
            f"{output} was taken over by another run, or was not reached for {EXPIRES:.0f} s. What is done is kept; "
            "when nobody else uses it, run the same command again."
        ) from None
    except backend_errors() as error:
        if isinstance(error, OSError) and error.errno is not None:  # of this machine: a full disk
            raise
        raise StoreError(
            f"The run on {output} broke off: {error or type(error).__name__}. Check the rights to write there and "
            "the network; then run the same command again, which goes on with what is done."
        ) from error
    finally:
        ended.set()
        if beating.is_alive():
            beating.join(BEAT)
        _release(lock, ours)


def _acquire(lock: UPath, ours: Lease) -> None:
    if _created(lock, ours):
        return
    found = _read(lock)
    if found and time.time() - found.at < EXPIRES:
        raise LeaseError(_in_use(lock, found))
    if found:
        time.sleep(2 * BEAT)  # its clock may be wrong: whoever lives gives a sign
    if found and (again := _read(lock)) and again != found:
        raise LeaseError(_in_use(lock, again))
    stores.write_bytes(lock, _as_json(ours))
    time.sleep(SETTLE)
    if (last := _read(lock)) is None or last.token != ours.token:
        raise LeaseError(_in_use(lock, last or ours))


def _created(lock: UPath, ours: Lease) -> bool:
    """Whether there was no lock and there is ours now."""
    try:
        lock.fs.pipe_file(lock.path, _as_json(ours), mode="create")
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        return False  # a store that cannot: as if it were a lock that has expired
    return True


def _in_use(lock: UPath, lease: Lease) -> str:
    seconds = max(0.0, EXPIRES - (time.time() - lease.at))
    return (
        f"{lock.parent} is in use by {lease.holder}. Wait until it has ended, or name another folder; if it was "
        f"killed, its lock {lock} is free in {seconds:.0f} s."
    )


def _read(lock: UPath) -> Lease | None:
    try:
        return Lease(**json.loads(stores.read_bytes(lock)))
    except FileNotFoundError:
        return None


def _as_json(lease: Lease) -> bytes:
    return json.dumps(asdict(lease)).encode()


def _beat(lock: UPath, ours: Lease, ended: threading.Event, lost: threading.Event) -> None:
    """Give signs of life until the run has ended; interrupt it when the lock is another's or cannot be reached."""
    last = time.monotonic()
    while not ended.wait(BEAT):
        try:
            found = _read(lock)
            is_ours = found is not None and found.token == ours.token
            if is_ours:
                stores.write_bytes(lock, _as_json(replace(ours, at=time.time())))
                last = time.monotonic()
        except (StoreError, OSError) as error:
            log.warning("No sign of life could be given: %s", error)
            is_ours = time.monotonic() - last < EXPIRES
        if not is_ours and not ended.is_set():
            lost.set()
            _thread.interrupt_main(INTERRUPT)
            return


def _release(lock: UPath, ours: Lease) -> None:
    try:
        found = _read(lock)
        if found and found.token == ours.token:
            stores.delete(lock)
    except (StoreError, OSError) as error:
        log.warning("%s could not be deleted: %s. It is free in %.0f s.", lock, error, EXPIRES)
