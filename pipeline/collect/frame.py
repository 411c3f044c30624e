"""What every source of pictures gives, and how it says that it gives no more."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from pipeline.collect.address import Address
from pipeline.core.errors import NightshiftError

CHECK = "Check its power, its network and the address."
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)  # a clock that says less was never set: cameras start in 1970


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of a source."""

    pixels: NDArray[np.uint8]  # (height, width, 3), RGB, 0..255, upright
    jpeg: bytes | None  # as the source sent it; None where it sends no JPEG
    source_time: datetime | None  # aware: the source's own clock, where it tells it; else None, never guessed
    arrived_at: datetime  # UTC, by this machine's clock; of a clip, when it was read


class Why(StrEnum):
    """Why a source gives no more frames; what to do next follows from it."""

    UNREACHABLE = "unreachable"  # nobody answers at the address: try again
    REFUSED = "refused"  # user or password: trying often may lock the account
    SILENT = "silent"  # connected, but nothing came within the timeout: try again
    ENDED = "ended"  # the source closed the connection: try again
    BROKEN = "broken"  # what it sends, or a part of a clip, is not a picture
    MISSING = "missing"  # a file or device that is not there, or a package that is not installed


class SourceLost(NightshiftError):  # noqa: N818 - an event in the life of a camera, after which it may come back
    """A source gives no more frames; str() is the address and the reason, without the password."""

    def __init__(self, address: Address, why: Why, reason: str) -> None:
        """reason: in words, what to do included; secrets of the address are taken out."""
        self.address, self.why, self.reason = address, why, address.without_password(reason)
        super().__init__(f"{address}: {self.reason}")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait for a live source, in seconds."""

    connect: float = 10.0  # until it answers
    read: float = 10.0  # until it sends something
    picture: float = 60.0  # until something that it sends is a picture

    def __post_init__(self) -> None:
        """Refuse what would wait for ever or not at all."""
        if min(self.connect, self.read, self.picture) <= 0:
            raise ValueError(f"Timeouts must be above 0 seconds, got {self}.")


def now() -> datetime:
    """This machine's clock, UTC."""
    return datetime.now(UTC)


def told_time(seconds: float) -> datetime | None:
    """A source's clock as seconds since 1970; None where the clock was never set or the number is not a time."""
    try:
        told = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return told if told >= EARLIEST else None


def words_of(error: OSError) -> str:
    """What the system calls an error, without the address that a library puts behind it."""
    return os.strerror(error.errno) if error.errno else type(error).__name__
