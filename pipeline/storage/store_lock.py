"""The lock of an output in a store: numbered claims, of which the highest holds the lock.

A claim is an object that is created exclusively and never changed; whoever creates the next number takes over. The
holder writes a heartbeat every BEAT seconds, to an object named by its own token, so a late heartbeat never overwrites
anything of another run. After EXPIRES seconds without a heartbeat another run may take over. A holder that was taken
over, or wrote no heartbeat for so long, has lost the lock, and detects this before it writes again (`require`).

In the folder `.nightshift.lock/` of the output, while it is locked:
  000029385012            a claim: its holder and start
  000029385012.<token>    its holder's last heartbeat
"""

import errno
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace

from upath import UPath

from pipeline.core.log import log
from pipeline.storage import output_lock, stores
from pipeline.storage.output_lock import LOCK, InUse, LedgerError
from pipeline.storage.stores import StoreError, backend_errors

BEAT = 10.0  # seconds between two heartbeats
EXPIRES = 60.0  # seconds without a heartbeat
SETTLE = 2.0  # seconds within which simultaneous claims see each other
EXCLUSIVE = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az")  # fsspec can create an object exclusively in these


@dataclass(frozen=True, slots=True)
class Times:
    """The intervals above, in seconds; tests shorten them."""

    beat: float = field(default_factory=lambda: BEAT)
    expires: float = field(default_factory=lambda: EXPIRES)
    settle: float = field(default_factory=lambda: SETTLE)


@dataclass(frozen=True, slots=True)
class Claim:
    """The content of a claim and of a heartbeat."""

    number: int
    holder: str = field(default_factory=lambda: f"process {os.getpid()} on {socket.gethostname()}")
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    at: float = field(default_factory=time.time)  # seconds since 1970, by the holder's clock

    @property
    def name(self) -> str:
        """The name of the claim's object."""
        return f"{self.number:012d}"

    @property
    def name_of_sign(self) -> str:
        """The name of the heartbeat's object."""
        return f"{self.name}.{self.token}"

    @property
    def as_json(self) -> bytes:
        """The content of both objects."""
        return json.dumps(asdict(self)).encode()


HEARTBEAT = "heartbeat"  # the name of the threads that write them
_hearts: dict[UPath, "_Heart"] = {}  # output -> the heartbeat of this process's claim on it


@contextmanager
def held(output: UPath, times: Times | None = None) -> Iterator[None]:
    """Lock `output` against other runs. Raises LedgerError if another run holds it, or when it is lost.

    Errors of the store meanwhile become StoreError with a clear message.
    """
    times, room = times or Times(), output / LOCK
    with _in_words(output):
        claim = acquire(room, times)
        _hearts[output] = heart = _Heart(room, claim, times)
        output_lock.join(output, claim.token)
        try:
            yield
            require(output)
        finally:
            heart.stop()
            output_lock.leave(output)
            del _hearts[output]
            _release(room, claim)


@contextmanager
def _in_words(output: UPath) -> Iterator[None]:
    try:
        yield
    except backend_errors() as error:
        if isinstance(error, OSError) and error.errno is not None:  # an error of this machine, such as a full disk
            raise
        raise StoreError(
            f"The run on {output} stopped: {error or type(error).__name__}. Check the permission to write there and "
            "the network; then run the same command again, which resumes the run."
        ) from error


def require(output: UPath) -> None:
    """Raise LedgerError when the claim under which this process writes to `output` no longer holds."""
    if not (mine := output_lock.token(output)):
        return
    heart = _hearts.get(output)  # a worker process of the holder has none
    found = _highest(output / LOCK)
    if found is None or found.token != mine:
        holder = found.holder if found else "which has ended since"
        then = "The other run resumes from there." if found else "Run the same command again to resume."
        raise LedgerError(
            f"Another run ({holder}) took over {output}: this run sent no heartbeat for {Times().expires:g} s. "
            f"This run stops; finished work is kept. {then}"
        )
    if heart and heart.has_lost():
        raise LedgerError(
            f"This run could not write a heartbeat to {output} for {heart.times.expires:g} s, so another run may "
            "take over. This run stops; finished work is kept. Run the same command again to resume."
        )


def acquire(room: UPath, times: Times) -> Claim:
    """Create a claim that holds the lock. Raises LedgerError naming the holder if there is one."""
    dead = _numbers(room)
    if dead and (found := _read(room, max(dead))):
        _refuse_if_alive(room, found, times)
    # Numbers follow the clock and are never reused, so a late request cannot affect a later claim.
    claim = Claim(max(max(dead, default=0) + 1, int(time.time() / times.expires)))
    if not _create(room, claim, times.settle):
        raise _in_use(room, _read(room, claim.number), times)
    try:
        _require_alone(room, claim, dead, times)
    except BaseException:
        _release(room, claim)  # not blindly: where creating is not exclusive, the other's claim may lie there
        raise
    for name in stores.names(room):
        if _number(name) < claim.number:
            stores.delete(room / name)
    return claim


def _refuse_if_alive(room: UPath, found: Claim, times: Times) -> None:
    last = _last_sign(room, found)
    if time.time() - last.at < times.expires:
        raise _in_use(room, last, times)
    time.sleep(2 * times.beat)  # its clock may be wrong, but a live holder writes a heartbeat meanwhile
    if (again := _last_sign(room, found)) != last:
        raise _in_use(room, again, times)


def _create(room: UPath, claim: Claim, settle: float) -> bool:
    """Create the claim's object; False if another run has this number."""
    place = room / claim.name
    try:
        if stores.attempt(place, lambda: _put_new(place, claim.as_json)):
            stores.attempt(place, lambda: _put_new(place, claim.as_json))  # must fail, except on lax servers
    except FileExistsError:
        found = _read(room, claim.number)
        return found is not None and found.token == claim.token
    log.warning(
        "The store of %s cannot create objects exclusively. Of two runs that start there at the same moment, the "
        "first may have to stop.", room.parent,
    )  # fmt: skip
    time.sleep(settle)
    return True


def _put_new(place: UPath, data: bytes) -> bool:
    """Create an object, or raise FileExistsError if it exists; returns whether the store guarantees this."""
    try:
        place.fs.pipe_file(place.path, data, mode="create")
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        if place.fs.exists(place.path):
            raise FileExistsError(place.path) from error
        place.fs.pipe_file(place.path, data)
        return False
    return place.protocol in EXCLUSIVE


def _require_alone(room: UPath, claim: Claim, dead: set[int], times: Times) -> None:
    """Raise LedgerError when another run has a claim too. Of two new claims the lower one wins."""
    end = time.monotonic() + times.settle
    while others := _numbers(room) - dead - {claim.number}:
        if min(others) < claim.number or time.monotonic() > end:
            raise _in_use(room, _read(room, min(others)), times)
        time.sleep(times.settle / 20)  # until the other run sees our claim and gives up
    found = _read(room, claim.number)
    if found is None or found.token != claim.token:  # in a store that cannot create exclusively
        raise _in_use(room, found, times)


def _in_use(room: UPath, claim: Claim | None, times: Times) -> InUse:
    seconds = max(0.0, times.expires - (time.time() - claim.at)) if claim else times.expires
    return InUse(
        f"{room.parent} is in use by {claim.holder if claim else 'another process'}. Wait until it has ended, or name "
        f"another folder; if it was killed, its lock {room} expires in {seconds:.0f} s."
    )


def _release(room: UPath, claim: Claim) -> None:
    try:
        found = _read(room, claim.number)
        if found and found.token == claim.token:
            stores.delete(room / claim.name)
        stores.delete(room / claim.name_of_sign)
    except (StoreError, OSError) as error:
        log.warning("The lock %s could not be deleted: %s. It expires in %.0f s.", room, error, Times().expires)


class _Heart:
    """Writes heartbeats for a claim until it is stopped or the claim is lost."""

    def __init__(self, room: UPath, claim: Claim, times: Times) -> None:
        self.times = times
        self._room, self._claim = room, claim
        self._last, self._lost, self._stopped = time.monotonic(), False, threading.Event()
        self._thread = threading.Thread(target=self._run, name=HEARTBEAT, daemon=True)
        self._thread.start()

    def has_lost(self) -> bool:
        """Whether another run took over, or could have, for lack of a heartbeat; once true, it stays true."""
        self._lost = self._lost or time.monotonic() - self._last > self.times.expires
        return self._lost

    def stop(self) -> None:
        """Stop the heartbeats."""
        self._stopped.set()
        self._thread.join(self.times.beat)

    def _run(self) -> None:
        while not self._stopped.wait(self.times.beat) and not self.has_lost():
            began = time.monotonic()
            try:
                found = _highest(self._room)
                if found is None or found.token != self._claim.token:
                    self._lost = True
                    return
                sign = replace(self._claim, at=time.time())
                stores.write_bytes(self._room / self._claim.name_of_sign, sign.as_json)
                self._last = began
            except (StoreError, OSError) as error:
                log.warning("Could not write a heartbeat: %s", error)


def _number(name: str) -> int:
    """The number of a claim or heartbeat, from its object's name; 0 for any other name."""
    number = name.partition(".")[0]
    return int(number) if number.isdecimal() else 0


def _numbers(room: UPath) -> set[int]:
    """The numbers of all claims."""
    return {int(name) for name in stores.names(room) if name.isdecimal()}


def _highest(room: UPath) -> Claim | None:
    numbers = _numbers(room)
    return _read(room, max(numbers)) if numbers else None


def _read(room: UPath, number: int) -> Claim | None:
    return _parsed(room / f"{number:012d}")


def _last_sign(room: UPath, claim: Claim) -> Claim:
    return _parsed(room / claim.name_of_sign) or claim


def _parsed(place: UPath) -> Claim | None:
    try:
        return Claim(**json.loads(stores.read_bytes(place)))
    except FileNotFoundError:
        return None
