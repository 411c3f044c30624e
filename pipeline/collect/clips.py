"""Folders of clips, and a clip -> its frames, by its own time. A damaged clip gives what is whole, then the reason."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from math import floor
from pathlib import Path
from threading import Event
from time import time
from typing import TYPE_CHECKING

from pipeline.collect.address import CLIPS, Address, Kind
from pipeline.collect.decoder import Decoder, packets_of, pixels_of, seconds
from pipeline.collect.frame import EARLIEST, Frame, SourceLost, Why, now, words_of
from pipeline.collect.video import av_of
from pipeline.core.hidden import is_hidden
from pipeline.core.text import counted

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer

SETTLED = 10.0  # seconds since a file was last written: somebody may still be recording a younger one
READ = {
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi",  # no playlist, which could name any other file
    "protocol_whitelist": "none",
}
CREATED = ("com.apple.quicktime.creationdate", "creation_time")  # the first with the offset of its place
SLACK = 1e-6  # seconds: times of frames are multiples of the time base, not of our floats
GIVEN_BEFORE = "The frames before it were taken"
MISSING_END = 1.0  # seconds that may lack at a clip's end before it counts as cut off


def clips_in(address: Address, settled: float = SETTLED) -> list[Address]:
    """The clips of a folder and its subfolders, by name; without hidden ones and those still being written.

    address: also of one clip. settled: seconds since the last change. Raises SourceLost for what is not there.
    """
    folder, is_clip = root_of(address), address.kind is Kind.CLIP
    try:
        if folder.is_file():
            raise SourceLost(address, Why.MISSING, f"it is neither a folder nor a clip ({', '.join(sorted(CLIPS))}).")
        files = [Path(address.place)] if is_clip else [*folder.rglob("*")]
        if not (files[0].is_file() if is_clip else folder.is_dir()):
            raise NotADirectoryError
        files = [file for file in files if file.suffix.lower() in CLIPS]
        young = time() - settled
        inside = folder.resolve()
        found = [file for file in files if file.is_file() and file.resolve().is_relative_to(inside)]
        found = [file for file in found if file.stat().st_mtime <= young]
    except OSError as error:
        raise _no_file(address, error, "a clip" if is_clip else "a folder of clips") from None
    shown = [file for file in found if not any(map(is_hidden, file.relative_to(folder).parts))]
    return [Address(Kind.CLIP, str(file)) for file in sorted(shown)]


def root_of(address: Address) -> Path:
    """The folder of a clip, or of clips."""
    place = Path(address.place)
    return place.parent if address.kind is Kind.CLIP else place


def clip_frames(address: Address, every: float, stop: Event | None) -> Iterator[Frame]:
    """The frames of a clip, at least `every` seconds of its own time apart. Raises SourceLost."""
    av = av_of(address)
    try:
        path = Path(address.place)
        if not path.is_file():  # to open a pipe would wait for ever
            raise FileNotFoundError
        if not path.stat().st_size:
            raise SourceLost(address, Why.BROKEN, "the file is empty.")
        with path.open("rb") as file, av.open(file, options=READ) as container:
            if container.streams.video:
                clip = _Clip(container, every)
                for frame in clip.frames():
                    if stop and stop.is_set():
                        return
                    yield frame
                reason = clip.fault()
            else:
                reason = "it has no video: it may have been cut off while it was recorded. Copy it again."
    except av.error.FFmpegError as error:
        reason = f"it cannot be read as a clip ({error.strerror}). Copy it again."
    except OSError as error:
        raise _no_file(address, error, "a clip") from None
    if reason:
        raise SourceLost(address, Why.BROKEN, reason)


class _Clip:
    """An open clip, read once from its beginning to its end."""

    def __init__(self, container: "InputContainer", every: float) -> None:
        self._container, self._stream = container, container.streams.video[0]
        self._decoder = Decoder(self._stream, every)
        self._every, self._count, self._end, self._error = every, 0, 0.0, ""
        self._start: float | None = None  # of its first frame, by the stream's count; not always where a header says

    def frames(self) -> Iterator[Frame]:
        """The undamaged frames that are wanted."""
        created, due = _created(self._container), 0.0
        for frame in self._decoded():
            stamp = seconds(frame)
            if self._start is None:
                self._start = stamp
            at = None if stamp is None or self._start is None else stamp - self._start
            if at is not None and at < due - SLACK:
                continue
            if at is not None and self._every:
                due = (floor((at + SLACK) / self._every) + 1) * self._every
            told = None if created is None or at is None else created + timedelta(seconds=at)
            self._count += 1
            yield Frame(pixels_of(frame), None, told, now())

    def fault(self) -> str:
        """What was wrong with the clip, in words; empty where nothing was."""
        if not self._count:
            return "it has no frame that can be decoded. Copy it again."
        start, declared = self._start or 0.0, self._declared()
        end = self._end - start
        if self._error:
            return f"it is damaged after {_clock(end)} ({self._error}). {GIVEN_BEFORE}."
        if declared - end > MISSING_END:
            return f"it is cut off after {_clock(end)} of {_clock(declared)}. {GIVEN_BEFORE}."
        if damaged := self._decoder.damaged:
            first = _clock((self._decoder.first_damage or 0.0) - start)
            return f"it is damaged in {counted(damaged, 'place')}, the first at {first}. The other frames were taken."
        return ""

    def _decoded(self) -> Iterator["VideoFrame"]:
        from av.error import FFmpegError

        try:
            for packet in packets_of(self._container, self._stream):
                if (stamp := seconds(packet)) is not None:
                    self._end = max(self._end, stamp + float((packet.duration or 0) * packet.time_base))
                strict = not self._decoder.is_lenient
                yield from self._decoder.frames(packet)
                if strict and self._decoder.is_lenient:
                    self._container.seek(0)
        except FFmpegError as error:
            self._error = error.strerror or type(error).__name__
        yield from self._decoder.rest()

    def _declared(self) -> float:
        """How long the clip says it is, in seconds; 0 where it does not."""
        if self._stream.duration is not None and self._stream.time_base is not None:
            return float(self._stream.duration * self._stream.time_base)
        return (self._container.duration or 0) / 1e6


def _created(container: "InputContainer") -> datetime | None:
    """When the clip says it was begun; None where it does not say it with the offset of its place."""
    for name in CREATED:
        try:
            told = datetime.fromisoformat(container.metadata.get(name, ""))
        except ValueError:
            continue
        if told.tzinfo is not None and told >= EARLIEST:
            return told
    return None


def _clock(seconds_in: float) -> str:
    """A place in a clip: `1:02:03`, `2:03`."""
    minutes, left = divmod(max(0, int(seconds_in)), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{left:02}" if minutes >= 60 else f"{minutes}:{left:02}"


def _no_file(address: Address, error: OSError, what: str) -> SourceLost:
    missing = isinstance(error, FileNotFoundError | NotADirectoryError)
    reason = f"it is not there. Give {what}." if missing else f"it cannot be read ({words_of(error)})."
    return SourceLost(address, Why.MISSING, reason)
