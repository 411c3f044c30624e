"""What the environment of a process lacks or breaks, mended for it and its children before anything starts."""

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

LOOPBACK = ("127.0.0.1", "localhost", "::1")
PROXIES = ("http_proxy", "https_proxy", "all_proxy")
NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")  # where `getpass.getuser` looks before it asks the system


def mend() -> None:
    """Give the process what it lacks: standard streams that are open, and can be written to when nobody reads them any
    more, servers on this machine without a proxy, and a name and a home for a user whom the system does not know.
    """
    _open_standard_streams()
    sys.stdout, sys.stderr = outliving(sys.stdout), outliving(sys.stderr)
    _reach_this_machine()
    _name_the_user()


def _open_standard_streams() -> None:
    """Where one is closed (`2>&-`), Python has None, and the next file would get its number and a library's words."""
    for name, mode in {"stdin": "r", "stdout": "w", "stderr": "w"}.items():
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - until the process ends


def outliving(stream: TextIO) -> TextIO:
    """A stream to the same open file, for a standard stream of Python's own: it goes on when its reader has gone.

    So `nightshift classify … | head -1` neither stops a night nor makes it fail.
    """
    if stream not in (sys.__stdout__, sys.__stderr__) or not isinstance(stream, io.TextIOWrapper):
        return stream
    raw = Outliving(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        raw if stream.write_through else io.BufferedWriter(raw), stream.encoding, stream.errors,
        line_buffering=stream.line_buffering, write_through=stream.write_through,
    )  # fmt: skip


class Outliving(io.FileIO):
    """A pipe that drops what is written to it when nobody can read that."""

    FAULT: type[OSError] = BrokenPipeError  # what a write may raise

    def write(self, data: "Buffer") -> int:
        """Write, or drop it."""
        try:
            return super().write(data)
        except self.FAULT:
            return memoryview(data).nbytes


def _reach_this_machine() -> None:
    if not any(os.environ.get(spelling) for name in PROXIES for spelling in (name, name.upper())):
        return
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    hosts = [host for part in known.split(",") if (host := part.strip())]
    if "*" not in hosts:
        hosts += [host for host in LOOPBACK if host not in hosts]
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(hosts)  # of two spellings some libraries read one


def _name_the_user() -> None:
    """A container that is started with `--user 12345` has neither, and libraries end with a KeyError."""
    import pwd

    number = os.getuid()
    try:
        pwd.getpwuid(number)
    except KeyError:
        if not any(os.environ.get(name) for name in NAMES):
            os.environ["LOGNAME"] = f"uid {number}"
        os.environ.setdefault("HOME", str(Path.cwd()))
