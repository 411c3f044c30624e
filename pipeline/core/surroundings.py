"""What the environment of a process lacks or breaks, mended for it and its children before anything starts."""

import os
import sys
from pathlib import Path

LOOPBACK = ("127.0.0.1", "localhost", "::1")
PROXIES = ("http_proxy", "https_proxy", "all_proxy")
NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")  # where `getpass.getuser` looks before it asks the system


def mend() -> None:
    """Give the process what it lacks: standard streams that are open, servers on this machine without a proxy, and a
    name and a home for a user whom the system does not know.
    """
    _open_standard_streams()
    _reach_this_machine()
    _name_the_user()


def _open_standard_streams() -> None:
    """Where one is closed (`2>&-`), Python has None, and the next file would get its number and a library's words."""
    for name, mode in {"stdin": "r", "stdout": "w", "stderr": "w"}.items():
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - until the process ends


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
