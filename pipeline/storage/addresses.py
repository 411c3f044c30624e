"""Addresses such as `s3://bucket/folder`, through fsspec, with clear errors. Knows nothing of images."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from pipeline.core.errors import NightshiftError
from pipeline.core.text import shown
from pipeline.storage.stores import Place, backend_errors

if TYPE_CHECKING:  # only addresses need them, and they are slow to import
    import fsspec

EXTRAS = {"s3": "nightshift[s3]", "s3a": "nightshift[s3]"}  # protocol -> what to install
CREDENTIALS = (
    "Check the address, the credentials (for S3: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; for a "
    "public bucket FSSPEC_S3_ANON=true) and the network."
)


class AddressError(NightshiftError):
    """An address that cannot be opened or read; says why and what to do."""


def is_address(source: str) -> bool:
    """Whether `source` starts with a protocol; everything else is a path on this machine."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", source) is not None


def filesystem(address: str) -> "tuple[fsspec.AbstractFileSystem, str]":
    """The fsspec file system for `address`, and the path within it.

    Raises AddressError for an unknown protocol, or one whose package is not installed.
    """
    import fsspec

    protocol = address.partition("://")[0]
    if "::" in address and "://" in address.rpartition("::")[2]:
        raise AddressError(
            f"{address}: addresses chained with `::` are not supported. Give the address of the archive or "
            "folder itself."
        )
    with explained(address):
        try:
            fs, path = fsspec.core.url_to_fs(address)
        except ImportError as error:
            install = f"pip install '{EXTRAS[protocol]}'" if protocol in EXTRAS else "its package"
            raise AddressError(
                f"{address}: reading {protocol}:// needs a package that is not installed ({error}). Install it: "
                f"{install}."
            ) from error
        except ValueError as error:
            known = "s3, gs, abfs, https, file" if "not known" in str(error) else f"an address like {protocol}://…/…"
            raise AddressError(f"{address} cannot be opened: {error}. Use, for example, {known}.") from error
    return fs, path


def local_path(source: str) -> Path | None:
    """The local file or folder of `source`, including `file://`; None for all other addresses."""
    if not is_address(source):
        return Path(source).expanduser()
    if source.partition("://")[0] in ("file", "local"):
        from fsspec.implementations.local import LocalFileSystem

        return Path(LocalFileSystem._strip_protocol(source))
    return None


def place(source: str | Path) -> Place:
    """The place of a path or an address. Raises AddressError for a protocol whose package is not installed."""
    file = local_path(str(source))
    if file is not None:
        return file
    from upath import UPath

    filesystem(str(source))
    # Others write there too, so a cached listing may be out of date.
    return UPath(str(source).rstrip("/"), use_listings_cache=False)


def size_of(about: dict[str, Any]) -> int | None:
    """The length of a remote file in bytes; None if the server does not report it."""
    size = about.get("size")
    return None if size is None else int(size)


def modified_ns_of(about: dict[str, Any]) -> int | None:
    """When a remote file was written, in whole nanoseconds since 1970; None if the server does not report it."""
    for key in ("LastModified", "last_modified", "mtime", "updated", "modified"):
        value = about.get(key)
        if isinstance(value, datetime):
            return int(value.timestamp() * 1_000_000) * 1000
        if isinstance(value, int | float):
            return int(value * 1_000_000) * 1000
    return None


@contextmanager
def explained(address: str) -> Iterator[None]:
    """Turn a server's errors into AddressError with a clear message."""
    try:
        yield
    except FileNotFoundError as error:
        raise AddressError(
            f"{shown(address)} does not exist, or its server does not answer ({shown(str(error))}). {CREDENTIALS}"
        ) from error
    except PermissionError as error:
        raise AddressError(f"{shown(address)}: access denied ({shown(str(error))}). {CREDENTIALS}") from error
    except backend_errors() as error:
        raise AddressError(f"{shown(address)} cannot be read ({shown(str(error))}). {CREDENTIALS}") from error


class Stream(io.RawIOBase):
    """A remote file that raises AddressError. Closes the file that it wraps."""

    def __init__(self, address: str, opened: BinaryIO) -> None:
        """Read `opened`, which came from `address`."""
        self._address, self._opened = address, opened

    def read(self, size: int = -1) -> bytes:
        """Read the next bytes."""
        with explained(self._address):
            return self._opened.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a position in the file."""
        return self._opened.seek(offset, whence)

    def tell(self) -> int:
        """The position in the file."""
        return self._opened.tell()

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Whether the server supports reading parts of a file."""
        return self._opened.seekable()

    def close(self) -> None:
        """Close this file and the one it wraps."""
        self._opened.close()
        super().close()


def open_remote(address: str) -> BinaryIO:
    """The bytes at `address`. Raises AddressError."""
    fs, path = filesystem(address)
    with explained(address):
        return cast("BinaryIO", Stream(address, fs.open(path, "rb")))
