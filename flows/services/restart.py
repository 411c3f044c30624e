"""Start a server in place of this process, after killing what its predecessor left behind.

    python -m flows.services.restart NAME WORD...

A killed server may leave a child that still holds its port: the next server would fail at once, again and again.
"""

import os
import sys
from contextlib import suppress

import psutil

NAME = "NIGHTSHIFT_SERVICE"  # environment variable of a server and its children: which server of which project


def end_predecessor(name: str) -> None:
    """Kill all processes that carry `name`. supervisord starts this process only after the server itself has ended."""
    left = []
    for one in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if one.pid != os.getpid() and one.environ().get(NAME) == name:
                one.kill()
                left.append(one)
    psutil.wait_procs(left, timeout=10)


if __name__ == "__main__":
    _, service, *words = sys.argv
    end_predecessor(service)
    os.execve(words[0], words, {**os.environ, NAME: service})  # noqa: S606 - supervisord's own configuration
