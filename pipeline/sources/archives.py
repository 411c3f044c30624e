"""Read images from a zip or tar file, member by member. Writes nothing, and never trusts a member's name.

If a member's name or link leads out of the archive, we refuse the whole archive: this does not happen by mistake.
"""

import bz2
import errno
import gzip
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import IO, BinaryIO, TypeVar, cast

from pipeline.core.hidden import is_hidden
from pipeline.core.text import shown
from pipeline.data.judgements import Judgement
from pipeline.images.formats import MAGIC_BYTES
from pipeline.sources import zip_names
from pipeline.sources.foreign.opened import Opened
from pipeline.sources.layout import Found, Item, SourceError, lay_out
from pipeline.sources.members import Member, images_in, inside, linked
from pipeline.storage.listing import is_image

T = TypeVar("T")
LONGEST_READ = 1 << 24  # bytes tarfile may read at once: a header that claims gigabytes would fill the memory
PIECE = 1 << 20  # bytes read at once
ENCRYPTED = 0x1  # a bit in a zip member's flags
COMPRESSIONS: Mapping[bytes, Callable[..., object]] = {
    b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open,
}  # fmt: skip
ZIP = b"PK"
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, UnicodeDecodeError, OSError)
ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")


@dataclass
class Archive:
    """A zip or tar file as a source of images."""

    name: str  # for messages
    file: BinaryIO  # seekable
    max_bytes: int
    known: Collection[str] = ()  # the project's labels
    names: str = ""  # the encoding of members' names that is given by hand
    labels_in: Callable[["Archive", list[Found]], Opened | None] = lambda *_: None  # another tool's labels
    local: bool = field(default=False, init=False)
    typed: bool = field(default=False, init=False)
    items: list[Item] = field(init=False)
    left_aside: int = field(init=False)
    notes: tuple[str, ...] = field(init=False)
    differing: tuple[Item, ...] = field(default=(), init=False)
    judged: tuple[Judgement, ...] = field(default=(), init=False)
    _members: dict[str, zipfile.ZipInfo | tarfile.TarInfo] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """Read the table of contents; for a tar file this reads the whole file."""
        with _explained(self.name), self._opened() as archive:
            members = _zipped(self, archive) if isinstance(archive, zipfile.ZipFile) else _tarred(self, archive)
            found, left_aside = images_in(members)
        if told := self.labels_in(self, found):
            self.items, self.differing, self.left_aside, self.notes = (
                told.items,
                told.differing,
                told.left_out,
                told.notes,
            )
            return
        laid_out = lay_out(found, self.name, self.known)
        self.items, self.notes = laid_out.items, (*laid_out.notes, *left_aside.lines)
        self.left_aside = sum(left_aside.files.values()) + left_aside.links

    def visit(self, items: Iterable[Item], act: Callable[[Item, BinaryIO], T]) -> Iterator[tuple[Item, T]]:
        """Call `act` with each item and its bytes, in the order of the archive, which is read once."""
        wanted: dict[str, list[Item]] = {}
        for item in items:
            wanted.setdefault(item.file.place, []).append(item)
        with _explained(self.name), self._opened() as archive:
            for place in sorted(wanted, key=self._offset):
                with _member(archive, self._members[place]) as stream:
                    same = wanted[place]
                    for item, again in zip(same, _copies(stream, len(same)), strict=True):
                        yield item, act(item, again)

    def paths(self) -> list[str]:
        """All files, by path."""
        return [*self._members]

    def read(self, path: str) -> bytes:
        """The bytes of a file. Raises KeyError without it."""
        with _explained(self.name), self._opened() as archive, _member(archive, self._members[path]) as stream:
            return stream.read(self.max_bytes)

    def record(self, path: str, member: zipfile.ZipInfo | tarfile.TarInfo) -> None:
        """Store how to open `path`."""
        self._members[path] = member

    def _offset(self, place: str) -> int:
        member = self._members[place]
        return member.header_offset if isinstance(member, zipfile.ZipInfo) else member.offset

    @contextmanager
    def _opened(self) -> Iterator[zipfile.ZipFile | tarfile.TarFile]:
        self.file.seek(0)
        start = self.file.read(6)
        self.file.seek(0)
        if start.startswith(ZIP):
            with zipfile.ZipFile(self.file) as zipped:  # its names: see `zip_names`
                yield zipped
        else:
            opener = next((opens for magic, opens in COMPRESSIONS.items() if start.startswith(magic)), None)
            stream = cast("BinaryIO", opener(self.file) if opener else self.file)
            with tarfile.open(
                fileobj=cast("IO[bytes]", _BoundedReads(stream)), mode="r:", encoding=self.names or "utf-8"
            ) as tar:
                yield tar


def is_archive(file: BinaryIO) -> bool:
    """Whether the first bytes are those of a zip file, of a tar file, or of a compressed file that may hold one."""
    file.seek(0)
    start = file.read(512)
    if start.startswith((ZIP, *COMPRESSIONS)) or start[257:262] == b"ustar":
        return True
    file.seek(0)
    with suppress(tarfile.TarError):  # the oldest tar files have no signature except the checksum of their first header
        return tarfile.open(fileobj=cast("IO[bytes]", _BoundedReads(file)), mode="r:").next() is not None
    return False


class _BoundedReads:
    """The stream that tarfile reads from. It refuses reads so long that only a malicious header causes them."""

    def __init__(self, stream: BinaryIO) -> None:
        self.seek, self.tell, self._read = stream.seek, stream.tell, stream.read

    def read(self, size: int) -> bytes:
        if size > LONGEST_READ:
            raise tarfile.ReadError(f"a header claims {size:,} bytes")
        return self._read(size)


def _zipped(archive: Archive, zipped: zipfile.ZipFile) -> Iterator[Member]:
    odd: list[bytes] = []  # images whose names are in an unknown encoding
    encoding = archive.names or zip_names.encoding_of(zipped.infolist())
    for info in zipped.infolist():
        decoded = zip_names.name_of(info, encoding)
        if decoded is None:
            name = info.orig_filename.replace("\\", "/")
            if not any(map(is_hidden, name.split("/"))) and not name.endswith("/") and _is_image(zipped, name, info):
                odd.append(name.encode("cp437", "replace"))
            continue
        name = decoded.replace("\\", "/")  # some archivers on Windows write backslashes
        path = inside(archive.name, name, name)
        if name.endswith("/"):  # a folder
            continue
        if not path:
            raise zipfile.BadZipFile("a member has no name")
        if info.flag_bits & ENCRYPTED:
            raise SourceError(
                f"{archive.name} is encrypted (its member {shown(name)!r}). Unpack it by hand with its password, and "
                "import the folder."
            )
        archive.record(path, info)
        if stat.S_ISLNK(info.external_attr >> 16):
            with zipped.open(info) as stream:
                target = stream.read(LONGEST_READ).decode("utf-8", "surrogateescape")
            yield Member(path, 0, is_image(path, lambda: b""), linked(archive.name, name, target))
        else:
            yield Member(path, info.file_size, _is_image(zipped, path, info))
    if odd:
        raise SourceError(zip_names.refusal(archive.name, odd))


def _tarred(archive: Archive, tar: tarfile.TarFile) -> Iterator[Member]:
    total, odd = 0, []
    for info in tar:
        path = inside(archive.name, info.name, info.name)
        total += info.size
        if total > archive.max_bytes:
            raise SourceError(
                f"{archive.name} unpacks to more than {archive.max_bytes / 1e9:g} GB. If that is right, set a higher "
                "limit with --max-gb."
            )
        archive.record(path, info)
        if info.issym():
            yield Member(path, 0, is_image(path, lambda: b""), linked(archive.name, info.name, info.linkname))
        elif info.islnk():
            yield Member(path, 0, is_image(path, lambda: b""), inside(archive.name, info.name, info.linkname))
        elif info.isreg():
            image = _is_image(tar, path, info)
            if image and not path.isascii() and os.fsencode(path).decode("utf-8", "ignore") != path:
                odd.append(os.fsencode(path))
            yield Member(path, info.size, image)
    # tarfile takes any invalid block after the first member for the end; the true end is a block of zeros.
    fileobj = cast("BinaryIO", tar.fileobj)
    fileobj.seek(tar.offset)
    if fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("its end is missing")
    while (rest := fileobj.read(PIECE)) and total <= archive.max_bytes:  # a compressed file has its checksum at its end
        total += len(rest)
    if odd:
        raise SourceError(zip_names.refusal(archive.name, odd))


def _is_image(archive: zipfile.ZipFile | tarfile.TarFile, path: str, info: zipfile.ZipInfo | tarfile.TarInfo) -> bool:
    def first_bytes() -> bytes:
        with _member(archive, info) as stream:
            return stream.read(MAGIC_BYTES)

    name = path.rpartition("/")[2]
    return not is_hidden(name) and is_image(name, first_bytes)


def _member(archive: zipfile.ZipFile | tarfile.TarFile, info: zipfile.ZipInfo | tarfile.TarInfo) -> BinaryIO:
    opened = (
        archive.open(cast("zipfile.ZipInfo", info))
        if isinstance(archive, zipfile.ZipFile)
        else archive.extractfile(cast("tarfile.TarInfo", info))
    )
    return cast("BinaryIO", opened)


def _copies(stream: BinaryIO, times: int) -> Iterator[BinaryIO]:
    """The same bytes, `times` times: seeking back in a compressed file would decompress it again from the start."""
    if times == 1:
        yield stream
        return
    with SpooledTemporaryFile(max_size=LONGEST_READ) as kept:
        while data := stream.read(PIECE):
            kept.write(data)
        for _ in range(times):
            kept.seek(0)
            yield cast("BinaryIO", kept)


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn the errors of archive readers into SourceError with a clear message."""
    try:
        yield
    except NotImplementedError as error:  # zipfile raises it for a compression that Python does not have
        raise SourceError(f"{name} cannot be unpacked: {error}. Unpack it by hand, and import the folder.") from error
    except DAMAGE as error:
        # An error number comes from the disk or the network, except for a seek to an impossible position.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise SourceError(f"{name} is damaged or truncated: {error}. Download or pack it again.") from error
