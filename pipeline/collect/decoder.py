"""A video's packets -> its undamaged frames, decoding as few as the wanted interval allows. Opens nothing.

A key frame is decoded alone; every other one needs all since the last key frame. So where key frames come often enough,
the rest is not decoded; and after damage, nothing up to the next key frame: decoders paint over what is missing.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # the extra `cameras`
    from av import Packet, VideoCodecContext, VideoFrame, VideoStream
    from av.container import InputContainer

# Without it, FFmpeg paints over what is damaged, and gives the frame as if nothing had happened: 57 of 60 H.264 clips
# with eight changed bytes gave such frames; with it 31, as changed bytes may decode to something else.
STRICT = {"err_detect": "explode"}
MOST_BROKEN = 100  # pieces one after another that are not a packet of a stream
IN_A_ROW = 3  # a change of the scene brings key frames, too, and then none for long
STRICT_TRIES = 3  # key frames; some cameras send notes beside their pictures (SEI) that are never valid


class Decoder:
    """Decodes one stream."""

    def __init__(self, stream: "VideoStream", every: float) -> None:
        """every: seconds between the frames that are wanted; 0: all."""
        self._every, self._gave, self.is_lenient = every, False, False
        self._context, self._time_base = stream.codec_context, stream.time_base or Fraction(1)
        self._context.options = STRICT
        self._context.thread_type = "SLICE"  # threads by frames give each frame some frames late
        self._last_key: float | None = None
        self._short = 0  # times in a row that a key frame came as soon as one is wanted
        self._begun: int | None = None  # the time stamp of the key frame that we began with
        self._at_work = False  # all since then was decoded, and nothing was damaged
        self._alone = False  # only key frames are decoded
        self.damaged = 0  # frames at which damage was found
        self.first_damage: float | None = None  # seconds

    def frames(self, packet: "Packet[VideoStream]", *, hurry: bool = False) -> Iterator["VideoFrame"]:
        """The frames that are complete now. hurry: decode only key frames, whatever was wanted."""
        if packet.is_keyframe:
            at = seconds(packet)
            gap = None if at is None or self._last_key is None else at - self._last_key
            self._last_key = at
            self._short = self._short + 1 if gap is not None and 0 < gap <= self._every else 0
            self._alone = hurry or self._short >= IN_A_ROW
            if self._alone:
                yield from self.rest()
            if not self._at_work:
                self._at_work, self._begun = True, packet.pts
            yield from self._decoded(packet)
            if self._alone:
                yield from self.rest()
        elif self._at_work and not self._is_before_the_beginning(packet):
            yield from self._decoded(packet)

    def rest(self) -> Iterator["VideoFrame"]:
        """The frames that the decoder still holds; the next key frame is a new beginning."""
        if self._at_work:
            self._at_work = False
            yield from self._tried(None) or []
            self._context.flush_buffers()

    def _is_before_the_beginning(self, packet: "Packet[VideoStream]") -> bool:
        """Whether a frame is shown before the key frame it came after: it needs frames that were not decoded."""
        return packet.pts is not None and self._begun is not None and packet.pts < self._begun

    def _decoded(self, packet: "Packet[VideoStream]") -> Iterator["VideoFrame"]:
        found = None if packet.is_corrupt else self._tried(packet)
        for frame in found or []:
            if frame.is_corrupt:
                found = None
                break
            self._gave = True
            yield frame
        if found is None:
            self.damaged += 1
            if not self._gave and not self.is_lenient and self.damaged >= STRICT_TRIES:
                self._be_lenient()
            self.first_damage = seconds(packet) if self.first_damage is None else self.first_damage
            yield from (frame for frame in self.rest() if not frame.is_corrupt and frame.pts != packet.pts)

    def _be_lenient(self) -> None:
        """Nothing could be decoded so far: from the next key frame on take what the decoder gives."""
        from av import CodecContext

        context = cast("VideoCodecContext", CodecContext.create(self._context.name, "r"))
        context.extradata, context.thread_type = self._context.extradata, "SLICE"
        self._context, self.is_lenient, self._at_work = context, True, False
        self.damaged, self.first_damage = 0, None

    def _tried(self, packet: "Packet[VideoStream] | None") -> "list[VideoFrame] | None":
        """The frames that the decoder gives for a packet, or at the end; None where it finds damage."""
        from av.error import FFmpegError

        try:
            found = self._context.decode(packet)
        except FFmpegError:
            return None
        for frame in found:
            frame.time_base = self._time_base  # without a packet, PyAV does not know it
        return found


def packets_of(container: "InputContainer", stream: "VideoStream") -> Iterator["Packet[VideoStream]"]:
    """All packets; broken pieces between them are left out. Raises FFmpegError when there will be no more."""
    from av.error import InvalidDataError

    broken = 0
    while True:
        try:
            for packet in container.demux(stream):
                if packet.size:  # the last one is empty
                    broken = 0
                    yield packet
        except InvalidDataError:
            broken += 1
            if broken == MOST_BROKEN:
                raise
        else:
            return


def seconds(timed: "Packet[VideoStream] | VideoFrame") -> float | None:
    """When a packet or frame is shown, in seconds of its stream's own count; None where it does not say."""
    return None if timed.pts is None or timed.time_base is None else float(timed.pts * timed.time_base)


def pixels_of(frame: "VideoFrame") -> NDArray[np.uint8]:
    """(height, width, 3), RGB, 0..255, upright."""
    quarters = round(frame.rotation / 90) % 4  # against the clock, as np.rot90
    pixels = frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
    return np.ascontiguousarray(np.rot90(pixels, quarters)) if quarters else pixels
