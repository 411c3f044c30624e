"""The pictures of a source that are kept: a file each, written whole, and a line in collected.csv. Decides nothing.

The file comes first and its line second. A collector that is killed between the two leaves a file without a line, and
the next one writes it.
"""

import csv
import io
import os
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image

from pipeline.collect.exif import NotJpegError, with_exif
from pipeline.collect.frame import Frame
from pipeline.collect.state import COLLECTED_COLUMNS, COLLECTED_CSV
from pipeline.core.cells import guarded_path, unguarded_path
from pipeline.storage.files import make_folder, replacing, sha256, sync

QUALITY = 92  # of JPEG, where a source sends none: no visible loss, a tenth of PNG
ENDING = ".jpg"
TIME = "%Y%m%dT%H%M%S"
TAIL = 65536  # bytes at the end of collected.csv, which show whether it is whole


@dataclass(frozen=True, slots=True)
class Kept:
    """A picture that was kept; a row of collected.csv."""

    path: str  # from the source's folder: <date>/<camera>_<UTC>.jpg
    source_time: str  # ISO 8601: the source's own clock, empty where it told none
    arrived_at: str  # ISO 8601, UTC: this machine's clock
    sha256: str  # of the file
    kept: str  # why: every, change, once; empty: its collector was killed before it could say
    clip: str = ""  # the name of the clip that it is from


class Album:
    """The folder of a source."""

    def __init__(self, folder: Path, camera: str) -> None:
        """folder: photos/<camera>; it is made if need be."""
        self.folder, self._camera = folder, camera
        self._last = ""

    def recover(self) -> int:
        """Mend what a killed collector left: half lines, files without a line. Returns how many lines were added."""
        make_folder(self.folder)
        for leftover in (*self.folder.glob(".*.tmp"), *self.folder.glob("*/.*.tmp")):
            for file in (*leftover.glob("*"), leftover):
                file.rmdir() if file.is_dir() else file.unlink()
        file = self.folder / COLLECTED_CSV
        if not file.is_file() or not file.stat().st_size:
            with replacing(file) as beside:
                beside.write_text(",".join(COLLECTED_COLUMNS) + "\r\n", encoding="utf-8")
        cut_half_line(file)
        known = {row.path for row in _rows(_end_of(file))}
        # A killed collector lacks one line; a look at the days of the last line and later finds it.
        since = max(known, default="").partition("/")[0]
        lacking = [found for found in self.files() if found[0] >= since and f"{found[0]}/{found[1]}" not in known]
        if len(known) and lacking:  # the end may not reach back to the beginning of that day
            every = {row.path for row in self.rows()}
            lacking = [found for found in lacking if f"{found[0]}/{found[1]}" not in every]
        for day, name, _ in lacking:
            at = _time_in(name)
            data = (self.folder / day / name).read_bytes()
            self._add(Kept(f"{day}/{name}", "", at.isoformat(timespec="milliseconds") if at else "", sha256(data), ""))
        return len(lacking)

    def keep(self, frame: Frame, why: str, clip: str = "") -> Kept:
        """Write a picture and its line. Raises OSError, and leaves nothing of it then.

        A live picture has the time of this machine's clock, as a camera's may be wrong by years; that of a clip the
        time of its own, as it may be read much later.
        """
        taken = frame.source_time if clip else frame.arrived_at
        named = (taken or frame.arrived_at).astimezone(UTC)
        path, data = self._free_path(named), jpeg_of(frame, self._camera, taken)
        with replacing(self.folder / path) as beside:
            beside.write_bytes(data)
        told = frame.source_time.isoformat(timespec="milliseconds") if frame.source_time else ""
        arrived = frame.arrived_at.astimezone(UTC).isoformat(timespec="milliseconds")
        kept = Kept(path, told, arrived, sha256(data), why, clip)
        try:
            self._add(kept)
        except OSError:
            (self.folder / path).unlink(missing_ok=True)
            cut_half_line(self.folder / COLLECTED_CSV)
            raise
        return kept

    def is_there(self) -> bool:
        """Whether anything was ever collected."""
        return (self.folder / COLLECTED_CSV).is_file()

    def rows(self) -> Iterator[Kept]:
        """The rows of collected.csv."""
        with (self.folder / COLLECTED_CSV).open(encoding="utf-8", newline="") as file:
            yield from _rows(file)

    def files(self) -> Iterator[tuple[str, str, int]]:
        """The pictures that are there, the oldest first: day, name, bytes."""
        for day in sorted(one for one in self.folder.glob("????-??-??") if one.is_dir()):
            with os.scandir(day) as entries:
                found = sorted((one.name, one.stat().st_size) for one in entries if one.name.endswith(ENDING))
            yield from ((day.name, name, size) for name, size in found if not name.startswith("."))

    def forget_deleted(self) -> None:
        """Write collected.csv again without the rows of pictures that are gone: in years it must not fill the disk."""
        there = {f"{day}/{name}" for day, name, _ in self.files()}
        with replacing(self.folder / COLLECTED_CSV) as beside, beside.open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(COLLECTED_COLUMNS)
            writer.writerows(_cells(row) for row in self.rows() if row.path in there)

    def _free_path(self, at: datetime) -> str:
        """The path of a picture taken then. Two of one millisecond have a number at their end."""
        name = f"{at:%Y-%m-%d}/{self._camera}_{at:{TIME}}.{at.microsecond // 1000:03d}Z"
        path, number = f"{name}{ENDING}", 2
        while (self.folder / path).exists():
            path, number = f"{name}-{number}{ENDING}", number + 1
        return path

    def _add(self, kept: Kept) -> None:
        line = io.StringIO(newline="")
        csv.writer(line).writerow(_cells(kept))
        with (self.folder / COLLECTED_CSV).open("ab") as file:
            file.write(line.getvalue().encode())
            file.flush()
            os.fsync(file.fileno())


def jpeg_of(frame: Frame, camera: str, taken: datetime | None) -> bytes:
    """The bytes of the file: the JPEG that the source sent, or the pixels as one, with its time and camera as EXIF."""
    if frame.jpeg:
        try:
            return with_exif(frame.jpeg, camera, taken)
        except NotJpegError:
            pass
    out = io.BytesIO()
    Image.fromarray(frame.pixels).save(out, "JPEG", quality=QUALITY)
    return with_exif(out.getvalue(), camera, taken)


def _cells(kept: Kept) -> list[str]:
    return [*astuple(kept)[:-1], guarded_path(kept.clip)]


def _rows(lines: Iterator[str] | io.StringIO | io.TextIOBase) -> Iterator[Kept]:
    for row in csv.reader(lines):
        if len(row) == len(COLLECTED_COLUMNS) and row[0] != COLLECTED_COLUMNS[0]:
            path, source_time, arrived_at, digest, why, clip = row
            yield Kept(path, source_time, arrived_at, digest, why, unguarded_path(clip))


def _end_of(file: Path) -> io.StringIO:
    """The whole lines at the end of collected.csv."""
    with file.open("rb") as opened:
        size = opened.seek(0, os.SEEK_END)
        opened.seek(max(0, size - TAIL))
        data = opened.read()
    if size > TAIL:
        data = data.partition(b"\n")[2]
    return io.StringIO(data.decode("utf-8", "replace"), newline="")


def cut_half_line(file: Path) -> None:
    """Cut off a line that a power cut or a full disk left without its end."""
    with file.open("r+b") as opened:
        size = opened.seek(0, os.SEEK_END)
        start = max(0, size - TAIL)
        opened.seek(start)
        data = opened.read()
        whole = start + data.rfind(b"\n") + 1
        if whole < size:
            opened.truncate(whole)
            os.fsync(opened.fileno())
    sync(file.parent)


def _time_in(name: str) -> datetime | None:
    """When a file was taken, by its name."""
    text = name.removesuffix(ENDING).rpartition("_")[2].partition("Z")[0]
    try:
        return datetime.strptime(text, f"{TIME}.%f").replace(tzinfo=UTC)
    except ValueError:
        return None
