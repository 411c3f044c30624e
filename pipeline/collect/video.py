"""RTSP cameras and devices of this machine -> their newest frames, through FFmpeg (PyAV, the extra `cameras`)."""

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from pipeline.collect.address import Address, Kind
from pipeline.collect.decoder import Decoder, packets_of, pixels_of, seconds
from pipeline.collect.frame import CHECK, Frame, SourceLost, Timeouts, Why, now
from pipeline.collect.newest import Newest, newest_frames
from pipeline.collect.stream_time import Lag, SourceClock

if TYPE_CHECKING:
    from types import ModuleType

    from av import VideoFrame
    from av.container import InputContainer
    from av.error import FFmpegError

RTSP_OPTIONS = {
    "rtsp_transport": "tcp",  # over UDP, cameras lose parts of pictures
    "allowed_media_types": "video",
    "analyzeduration": "1000000",  # microseconds; the default waits for 5 s of a slow stream
    "fflags": "nobuffer",
}
DEVICES = "v4l2"  # FFmpeg's name of Linux's cameras


class _Seen(NamedTuple):
    """A decoded frame, not converted yet."""

    frame: "VideoFrame"
    source_time: datetime | None
    arrived_at: datetime


def video_frames(address: Address, every: float, timeouts: Timeouts, stop: Event | None) -> Iterator[Frame]:
    """The frames of an RTSP camera or a local device. Raises SourceLost."""
    av_of(address)
    read = partial(_read, address, every, timeouts)
    yield from newest_frames(address, read, _frame, every=every, timeouts=timeouts, stop=stop)


def av_of(address: Address) -> "ModuleType":
    """The package `av`. Raises SourceLost when it is not installed."""
    try:
        import av
    except ImportError:
        raise SourceLost(
            address, Why.MISSING, "reading it needs the package av. Install it: pip install 'nightshift[cameras]'."
        ) from None
    return av


def _open(address: Address, timeouts: Timeouts) -> "InputContainer":
    import av

    waits = (timeouts.connect, timeouts.read)
    if address.kind is Kind.DEVICE:
        return av.open(address.place, format=DEVICES, timeout=waits)
    return av.open(address.with_password, options=RTSP_OPTIONS, timeout=waits)


def _read(address: Address, every: float, timeouts: Timeouts, newest: Newest[_Seen]) -> SourceLost:
    """Put each decoded frame; why they ended."""
    from av.error import FFmpegError

    try:
        with _open(address, timeouts) as container:
            if not container.streams.video:
                return SourceLost(address, Why.BROKEN, "it sends no video.")
            newest.hear()
            for seen in _seen(container, every, newest):
                newest.put(seen)
    except FFmpegError as error:
        return _lost(address, error)
    return SourceLost(address, Why.ENDED, "it closed the connection.")


def _seen(container: "InputContainer", every: float, newest: Newest[_Seen]) -> Iterator[_Seen]:
    stream = container.streams.video[0]
    decoder, clock, lag = Decoder(stream, every), SourceClock(), Lag()
    for packet in packets_of(container, stream):
        if newest.closed.is_set():
            return
        arrived_at = now()
        newest.hear()
        clock.hear(packet)
        for frame in decoder.frames(packet, hurry=lag.is_late(seconds(packet), monotonic())):
            yield _Seen(frame, clock.at(frame), arrived_at)


def _frame(seen: _Seen) -> Frame:
    return Frame(pixels_of(seen.frame), None, seen.source_time, seen.arrived_at)


def _lost(address: Address, error: "FFmpegError") -> SourceLost:
    """What an error of FFmpeg means. Its text holds the address with its password, so that we use only its kind."""
    from av import error as kinds

    said = error.strerror
    match error:
        case kinds.HTTPUnauthorizedError() | kinds.HTTPForbiddenError():
            owner = "user or password is wrong" if address.password else "it asks for a user and a password"
            why, reason = Why.REFUSED, f"{owner}. Write them as rtsp://user:password@host/…"
        case kinds.HTTPNotFoundError():
            why, reason = Why.UNREACHABLE, "it has no stream at this path: check the address."
        case kinds.ExitError() | kinds.TimeoutError():
            why, reason = Why.SILENT, f"it sent nothing within the timeout. {CHECK}"
        case kinds.PermissionError():
            why, reason = Why.REFUSED, "this user may not open it. Add the user to the group video."
        case kinds.FileNotFoundError():
            why, reason = Why.MISSING, "there is no such device. Look for others: ls /dev/video*"
        case kinds.ConnectionResetError() | kinds.BrokenPipeError():
            why, reason = Why.ENDED, f"the connection broke ({said})."
        case kinds.InvalidDataError() | kinds.DecoderNotFoundError():
            why, reason = Why.BROKEN, f"what it sends cannot be read as video ({said})."
        case _:
            why, reason = Why.UNREACHABLE, f"it cannot be read ({said}). {CHECK}"
    return SourceLost(address, why, reason)
