"""Start a server in the place of this process, once nothing is left of its predecessor.

    python -m flows.services.restart NAME WORD...

A server that was killed may leave a child that still has its port: the next one would end at once, again and again.
"""

import os
import sys
from contextlib import suppress

import psutil

NAME = "NIGHTSHIFT_SERVICE"  # in the environment of a server and its children: which one, of which project


def end_predecessor(name: str) -> None:
    """Kill what carries `name`: supervisord starts this process only when the server itself is gone."""
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
