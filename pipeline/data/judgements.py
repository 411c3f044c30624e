"""What people have judged of images, kept for ever in data/labels.jsonl: a line a judgement, and none is ever changed.

A judgement belongs to an image's bytes. Of each reader the latest one counts, by its time: git may merge the lines of
two people in any order. One that is withdrawn leaves the reader without any. Readers who differ are shown side by side:
an image has an answer where all its readers agree.

`path` and `folder` say where the bytes were, so that an import finds them: both are written as a path in a CSV
(`core.cells.csv_path`). `folder_as_kept` gives `folder`, `place_of` the file or address of both.
"""

import getpass
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from filelock import FileLock
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline.core.cells import csv_path, listed_path
from pipeline.core.disk_errors import explained
from pipeline.core.errors import NightshiftError
from pipeline.core.paths import JUDGEMENTS
from pipeline.data.labels import sameness
from pipeline.storage.addresses import is_address

MERGE_MARKS = (b"<<<<<<<", b"=======", b">>>>>>>", b"|||||||")  # with which git begins the lines of a conflict
LOCK = Path(".nightshift/labels.lock")
Source = Literal["night", "audit", "test", "import", "unlabelled"]  # what put the image before the reader
Chosen = Literal["", "random", "doubt", "sweep"]  # how it was chosen; random: a fair draw, which measures the model


class JudgementsError(NightshiftError):
    """The file holds something that is not a judgement; the message names the line and says what to do."""


class Judgement(BaseModel):
    """What one reader said of an image at one time: a label, that it is of no use, that one cannot tell, or nothing."""

    model_config = ConfigDict(frozen=True, extra="allow")  # a later version's fields stay

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    path: str  # as the reader saw it, below `folder`; written as in a CSV
    label: str = ""
    reject: bool = False  # of no use: it belongs to none of the classes, or shows nothing
    cannot_tell: bool = False
    withdrawn: bool = False
    reader: str = Field(min_length=1)
    at: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))
    source: Source
    model_version: str = ""  # of the model that proposed
    proposed: str = ""  # its label
    seconds: float | None = Field(default=None, ge=0)  # that the image was looked at
    chosen: Chosen = ""
    folder: str = ""  # of the images: from the project's folder where it lies in it, else absolute, or an address

    @model_validator(mode="after")
    def _says_one_thing(self) -> "Judgement":
        if (said := sum([bool(self.label), self.reject, self.cannot_tell, self.withdrawn])) != 1:
            raise ValueError(f"it must say one of label, reject, cannot_tell, withdrawn, and says {said}")
        return self

    @property
    def said(self) -> tuple[str, str]:
        """What two readers agree on, or not: the kind and the label."""
        return ("label", sameness(self.label)) if self.label else ("reject" if self.reject else "cannot_tell", "")

    @property
    def line(self) -> str:
        """The judgement as its line of the file, with what it does not say left out."""
        return self.model_dump_json(exclude_defaults=True, exclude={"at"}).removesuffix("}") + (
            f',"at":"{self.at.astimezone(UTC).isoformat(timespec="milliseconds")}"}}\n'
        )


def this_reader() -> str:
    """The name of whoever runs this program, as the operating system has it."""
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # a container may run under a number without a name
        return "unknown"


def folder_as_kept(folder: str | Path, project: Path = Path()) -> str:
    """How a judgement names a folder of images, or an address: a project that moves takes its own folders along."""
    name = str(folder)
    if not is_address(name):
        here = os.path.relpath(name, project)
        name = os.path.abspath(name) if Path(here).parts[:1] == (os.pardir,) else here  # noqa: PTH100 - follows no link
    return csv_path(name)


def place_of(judgement: Judgement, project: Path = Path()) -> str:
    """The file or address where the reader saw the image; it may be gone, or hold other bytes by now."""
    folder, path = listed_path(judgement.folder), listed_path(judgement.path)
    return f"{folder.rstrip('/')}/{path}" if is_address(folder) else str(project / folder / path)


@dataclass(frozen=True, slots=True)
class Judgements:
    """All that counts, by image and reader."""

    by_image: Mapping[str, Mapping[str, Judgement]] = field(default_factory=dict)  # SHA-256 -> reader -> the latest one

    def of(self, sha256: str) -> list[Judgement]:
        """What each reader says of an image; the latest comes last."""
        return sorted(self.by_image.get(sha256, {}).values(), key=lambda one: one.at)

    def agreed(self, sha256: str) -> Judgement | None:
        """The latest judgement of an image, where all its readers say the same; those who cannot tell do not count.

        None without a judgement, and where readers differ.
        """
        every = self.of(sha256)
        told = [one for one in every if not one.cannot_tell] or every
        return told[-1] if len({one.said for one in told}) == 1 else None

    def label_of(self, sha256: str) -> str:
        """The label on which all its readers agree; empty without one."""
        return agreed.label if (agreed := self.agreed(sha256)) else ""

    def differing(self) -> Iterator[str]:
        """SHA-256 of the images whose readers differ."""
        return (sha256 for sha256, of in self.by_image.items() if of and self.agreed(sha256) is None)


def readers_of(judgements: Judgements, labels: Mapping[str, str]) -> dict[str, int]:
    """Who has said of images what a dataset says, and of how many; the most first. labels: SHA-256 -> label."""
    found = Counter(
        one.reader
        for sha256, label in labels.items()
        for one in judgements.of(sha256)
        if one.label and sameness(one.label) == sameness(label)
    )
    return dict(found.most_common())


def read_judgements(file: Path = JUDGEMENTS) -> Judgements:
    """All judgements that count; none without the file.

    A last line that a power cut left unfinished was never acknowledged and is not read. Raises JudgementsError for any
    other line that is not a judgement, DiskError.
    """
    return counting(every_judgement(file))


def every_judgement(file: Path = JUDGEMENTS) -> Iterator[Judgement]:
    """Each line of the file, in order, also those that a later one of the same reader replaces. Raises as above."""
    with explained(file):
        data = file.read_bytes() if file.is_file() else b""
    *lines, unfinished = data.split(b"\n")
    if _is_judgement(unfinished):
        lines.append(unfinished)
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _parsed(line, file, number)


def counting(every: Iterable[Judgement]) -> Judgements:
    """Those of `every` that count; of two with the same time the later one in `every`."""
    latest: defaultdict[str, dict[str, Judgement]] = defaultdict(dict)
    for one in every:
        before = latest[one.sha256].get(one.reader)
        if before is None or one.at >= before.at:
            latest[one.sha256][one.reader] = one
    said = {sha: {who: one for who, one in of.items() if not one.withdrawn} for sha, of in latest.items()}
    return Judgements({sha: of for sha, of in said.items() if of})


def keep(judgements: Iterable[Judgement], file: Path = JUDGEMENTS) -> None:
    """Append judgements; they are on the disk when this returns. Raises DiskError, and then none of them counts."""
    lines = "".join(one.line for one in judgements).encode()
    if not lines:
        return
    with explained(file), _alone(file):
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                size = _ended(descriptor, size)
            try:
                if os.write(descriptor, lines) != len(lines):
                    raise OSError(28, os.strerror(28))  # ENOSPC: what fitted is no whole line
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)


def _ended(descriptor: int, size: int) -> int:
    """End the last line where a person's editor has not, and take away one that a power cut left unfinished."""
    last = os.pread(descriptor, size, 0).rpartition(b"\n")[2]
    if _is_judgement(last):
        os.write(descriptor, b"\n")
        return size + 1
    os.ftruncate(descriptor, size - len(last))
    return size - len(last)


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Only one process at a time appends."""
    lock = file.parent.parent / LOCK
    lock.parent.mkdir(exist_ok=True)
    file.parent.mkdir(exist_ok=True)
    with FileLock(lock):
        yield


def _is_judgement(line: bytes) -> bool:
    try:
        Judgement.model_validate_json(line)
    except ValidationError:
        return False
    return True


def _parsed(line: bytes, file: Path, number: int) -> Judgement:
    if line.startswith(MERGE_MARKS):
        raise JudgementsError(
            f"Line {number} of {file} is a mark of a git merge conflict ({line[:7].decode()}). Keep the lines of both "
            "sides, in any order, and delete the marks (<<<<<<<, =======, >>>>>>>)."
        )
    try:
        return Judgement.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the line"
        raise JudgementsError(
            f"Line {number} of {file} is not a judgement: {place}: {first['msg']}. Restore the file from git "
            f"(`git diff {file}` shows what has changed), or correct that line."
        ) from None
