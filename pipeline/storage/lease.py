"""Who may write to an output folder: one run at a time, also when the folder is on a network disk.

Two locks, since neither is enough alone. The operating system releases the first one (flock) the moment its holder
dies, but another machine may not see it. The second one, the lease, is a file that names its holder, who touches it
every BEAT seconds: another machine takes it over when that has not happened for LEASE seconds. A holder that lost it,
for example because its network was gone for minutes, finds out before it writes anything more.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, SoftFileLease, Timeout

from pipeline.core.disk_errors import explained
from pipeline.core.errors import NightshiftError
from pipeline.storage.files import make_folder
from pipeline.storage.stores import Place

LOCK, HOLDER = ".nightshift.lock", ".nightshift.holder"
BEAT, LEASE = 10.0, 60.0  # seconds
PATIENCE = 0.5  # seconds in which a dead holder's lease is taken over


class LedgerError(NightshiftError):
    """The output folder is in use, or belongs to another run."""


_tokens: dict[Place, str] = {}  # output -> the claim under which this process writes there


@contextmanager
def held(output: Path) -> Iterator[str | None]:
    """Keep other runs off `output`; put its disk's errors into words. Gives the last holder's name if it was killed.

    A holder that died on this machine has released its lock, however it died; one on another machine loses it LEASE
    seconds after its last sign of life. Raises LedgerError naming the holder when there is one, and DiskError.
    """
    with explained(output):
        make_folder(output)
        lock = FileLock(output / LOCK)
        lease = SoftFileLease(output / HOLDER, lease_duration=LEASE, heartbeat_interval=BEAT, thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise LedgerError(
                f"{output} is in use by {_name(lease)}. Wait until it has ended, or name another folder."
            ) from None
        try:
            yield _acquire(lease, output)
        finally:
            leave(output)
            lease.release()
            lock.release()


def _acquire(lease: SoftFileLease, output: Path) -> str | None:
    killed = _name(lease) if (output / HOLDER).exists() else None  # who ends in order takes the file away
    off = _clock_difference(output) if killed else 0.0
    if off > LEASE / 2:
        raise LedgerError(
            f"The clock of this machine is {off:.0f} s ahead of the disk's that holds {output}, so nobody can tell "
            f"whether {_name(lease)} still works there. Set the clocks (NTP), and run the same command again."
        )
    try:
        lease.acquire(timeout=PATIENCE, poll_interval=PATIENCE / 5)
    except Timeout:
        left = max(1.0, LEASE - _age(output))
        raise LedgerError(
            f"{output} is in use by {_name(lease)}. If that process is dead, its lease expires in {left:.0f} s: "
            "run the same command then. If not, wait until it has ended, or name another folder."
        ) from None
    _tokens[output.absolute()] = str(lease.token)
    return killed


def _name(lease: SoftFileLease) -> str:
    owner = lease.owner
    return f"process {owner.pid} on {owner.hostname}" if owner else "another process"


def _age(output: Path) -> float:
    """Seconds since the holder's last sign of life, by this machine's clock."""
    try:
        return time.time() - (output / HOLDER).stat().st_mtime
    except FileNotFoundError:  # it has just ended
        return LEASE


def _clock_difference(output: Path) -> float:
    """Seconds by which this machine's clock is ahead of the disk's, which says when a file was touched."""
    with tempfile.NamedTemporaryFile(prefix=".nightshift.", suffix=".tmp", dir=output) as probe:
        os.utime(probe.fileno())
        return time.time() - os.fstat(probe.fileno()).st_mtime


def token(output: Place) -> str:
    """The claim under which this process writes to `output`; empty without one. For the processes that help it."""
    return _tokens.get(output.absolute(), "")


def join(output: Place, token: str) -> None:
    """Write to `output` from this process under the claim of another one."""
    if token:
        _tokens[output.absolute()] = token


def leave(output: Place) -> None:
    """Forget the claim under which this process wrote to `output`."""
    _tokens.pop(output.absolute(), None)


def require(output: Path) -> None:
    """Raise LedgerError when the claim under which this process writes to `output` is somebody else's by now."""
    if (mine := token(output)) and _token_on_disk(output) != mine:
        lease = SoftFileLease(output / HOLDER, lease_duration=LEASE)
        raise LedgerError(
            f"{output} was taken over by {_name(lease)}, after this run had shown no sign of life for {LEASE:g} s. "
            "This run writes nothing more; what is done is kept."
        )


def _token_on_disk(output: Path) -> str | None:
    owner = SoftFileLease(output / HOLDER, lease_duration=LEASE).owner
    return owner.token if owner else None
