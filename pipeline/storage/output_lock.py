"""The lock of an output folder: one run writes at a time, even on a network disk.

There are two locks, because neither is enough alone. The operating system releases the first (flock) the moment its
holder dies, but another machine may not see it. The second, the lease, is a file that names its holder. The holder
touches it every BEAT seconds, its heartbeat; another machine takes over after LEASE seconds without one. A holder that
lost its lease, for example because its network was down for minutes, detects this before it writes again.
"""

import os
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, SoftFileLease, Timeout

from pipeline.core.disk_errors import explained
from pipeline.core.errors import NightshiftError
from pipeline.storage.files import absent, make_folder
from pipeline.storage.process import lives_since
from pipeline.storage.stores import Place

LOCK, HOLDER = ".nightshift.lock", ".nightshift.holder"
BEAT, LEASE = 10.0, 60.0  # seconds
PATIENCE = 0.5  # seconds to wait for another process to finish taking over a dead holder's lease


class LedgerError(NightshiftError):
    """The output folder is in use by another run, or belongs to one."""


class InUse(LedgerError):  # noqa: N818 - what happened
    """Another run is at work on the output: this one did not begin."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who works on an output, or was killed while it did: a run that ends in any other way leaves no trace."""

    name: str
    token: str  # its claim; empty where its file is damaged
    is_alive: bool


_tokens: dict[Place, str] = {}  # output -> the claim under which this process writes there


@contextmanager
def held(output: Path) -> Iterator[str | None]:
    """Lock `output` against other runs, and explain its disk's errors. Yields the last holder's name if it was killed.

    A holder that died on this machine has released its lock, however it died; one on another machine loses it LEASE
    seconds after its last heartbeat. Where the block fails and has written nothing, the folders made for it go again.
    Raises LedgerError naming the holder if there is one, and DiskError.
    """
    with explained(output):
        failed = True
        lease = SoftFileLease(output / HOLDER, lease_duration=LEASE, heartbeat_interval=BEAT, thread_local=False)
        lock, made = _locked(output, lease)
        try:
            yield _acquire(lease, output)
            failed = False
        finally:
            leave(output)
            lease.release()
            if failed:
                _remove_empty(output, made)
            lock.release()


def _locked(output: Path, lease: SoftFileLease) -> tuple[FileLock, list[Path]]:
    """The first lock, taken, and the folders that were made for it, the innermost first. Raises InUse."""
    while True:
        made = absent(output)
        make_folder(output)
        lock = FileLock(output / LOCK)  # takes no file for a lock that was deleted after it was opened
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if not (output / LOCK).exists():  # its holder has just removed the empty folder
                continue
            raise InUse(
                f"{output} is in use by {_name(lease)}. Wait until it has ended, or choose another folder."
            ) from None
        return lock, made


def _remove_empty(output: Path, made: Sequence[Path]) -> None:
    """Remove these folders if `output` holds nothing but the first lock, which the caller has."""
    with suppress(OSError):  # above all: another command has begun in one of them
        if made and [*output.iterdir()] == [output / LOCK]:
            (output / LOCK).unlink()
            for folder in made:
                folder.rmdir()


def _acquire(lease: SoftFileLease, output: Path) -> str | None:
    killed = _name(lease) if (output / HOLDER).exists() else None  # a run that ends normally removes the file
    off = _clock_difference(output) if killed else 0.0
    if off > LEASE / 2:
        raise LedgerError(
            f"The clock of this machine is {off:.0f} s ahead of the disk's that holds {output}, so it cannot tell "
            f"whether {_name(lease)} is still running. Synchronise the clocks (NTP), and run the same command again."
        )
    try:
        lease.acquire(timeout=PATIENCE, poll_interval=PATIENCE / 5)
    except Timeout:
        left = max(1.0, LEASE - _age(output))
        raise InUse(
            f"{output} is in use by {_name(lease)}. If that process is dead, its lease expires in {left:.0f} s: "
            "run the same command then. Otherwise wait until it has ended, or choose another folder."
        ) from None
    _tokens[output.absolute()] = str(lease.token)
    return killed


def holder(output: Path) -> Holder | None:
    """Who holds `output`, without taking any lock; None when nobody does."""
    lease = SoftFileLease(output / HOLDER, lease_duration=LEASE)
    try:
        beat = (output / HOLDER).stat().st_mtime
    except (FileNotFoundError, NotADirectoryError):
        return None
    owner = lease.owner
    token = (owner.token if owner else "") or ""
    if owner and owner.hostname == socket.gethostname():
        return Holder(_name(lease), token, lives_since(owner.pid, beat))
    return Holder(_name(lease), token, time.time() - beat < 2 * LEASE)  # twice: the clocks of two machines may differ


def _name(lease: SoftFileLease) -> str:
    owner = lease.owner
    return f"process {owner.pid} on {owner.hostname}" if owner else "another process"


def _age(output: Path) -> float:
    """Seconds since the holder's last heartbeat, by this machine's clock."""
    try:
        return time.time() - (output / HOLDER).stat().st_mtime
    except FileNotFoundError:  # the holder has just ended
        return LEASE


def _clock_difference(output: Path) -> float:
    """Seconds by which this machine's clock is ahead of the disk's, which sets the time of a touched file."""
    with tempfile.NamedTemporaryFile(prefix=".nightshift.", suffix=".tmp", dir=output) as probe:
        os.utime(probe.fileno())
        return time.time() - os.fstat(probe.fileno()).st_mtime


def token(output: Place) -> str:
    """The claim under which this process writes to `output`, to hand to its worker processes; empty without one."""
    return _tokens.get(output.absolute(), "")


def join(output: Place, token: str) -> None:
    """Let this process write to `output` under the claim of another process."""
    if token:
        _tokens[output.absolute()] = token


def leave(output: Place) -> None:
    """Forget the claim under which this process wrote to `output`."""
    _tokens.pop(output.absolute(), None)


def require(output: Path) -> None:
    """Raise LedgerError when another run has taken over this process's claim on `output`."""
    if (mine := token(output)) and _token_on_disk(output) != mine:
        lease = SoftFileLease(output / HOLDER, lease_duration=LEASE)
        raise LedgerError(
            f"Another run ({_name(lease)}) took over {output}: this run sent no heartbeat for {LEASE:g} s. "
            "This run stops; finished work is kept. The other run resumes from there."
        )


def _token_on_disk(output: Path) -> str | None:
    owner = SoftFileLease(output / HOLDER, lease_duration=LEASE).owner
    return owner.token if owner else None
