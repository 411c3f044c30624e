"""A stream counts time by itself: what its count is by the camera's clock, and how far behind it we read."""

import struct
from datetime import datetime
from typing import TYPE_CHECKING

from pipeline.collect.decoder import seconds
from pipeline.collect.frame import told_time

if TYPE_CHECKING:
    from av import Packet, VideoFrame, VideoStream

LATE = 1.0  # seconds behind the source at which only key frames are decoded, until we are up with it
DRIFT = 1e-3  # by how much a camera's clock may be too slow or too fast; quartz: 1e-4
JUMP = 10.0  # seconds; a source whose count of time jumps by more has begun to count again
REFERENCE_TIME = struct.Struct("=q")  # FFmpeg's AVProducerReferenceTime: microseconds since 1970, by the camera's clock


class Lag:
    """How far behind a live source we read, as far as one can tell from here."""

    def __init__(self) -> None:
        """Nothing was read yet."""
        self._least: float | None = None  # arrival minus time stamp, when we were up with it
        self._before = 0.0

    def is_late(self, stamp: float | None, at: float) -> bool:
        """Whether we read LATE seconds or more behind. stamp: by the stream's count; at: by ours, when it was read."""
        if stamp is None:
            return False
        offset = at - stamp
        if self._least is None or abs(offset - self._least) > JUMP:
            self._least = offset
        self._least = min(offset, self._least + DRIFT * (at - self._before if self._before else 0.0))
        self._before = at
        return offset - self._least > LATE


class SourceClock:
    """The source's clock, as its RTCP sender reports tell it."""

    def __init__(self) -> None:
        """The camera has told nothing yet."""
        self._offset: float | None = None  # seconds from the stream's count to its clock

    def hear(self, packet: "Packet[VideoStream]") -> None:
        """Take what a packet tells."""
        stamp = seconds(packet)
        if stamp is not None and packet.has_sidedata("prft"):
            (microseconds,) = REFERENCE_TIME.unpack_from(bytes(packet.get_sidedata("prft")))
            self._offset = microseconds / 1e6 - stamp

    def at(self, frame: "VideoFrame") -> datetime | None:
        """When a frame was taken, by the camera's clock; None where it has not told."""
        stamp = seconds(frame)
        return None if stamp is None or self._offset is None else told_time(self._offset + stamp)
