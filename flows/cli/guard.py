"""What a command has started ends with it, even when the command is killed and can end nothing itself.

A small process waits until the command is gone, then ends what still carries the command's mark: a Prefect server of
its own, a stage of a training.
"""

import os
import subprocess
import sys
import uuid

MARK = "NIGHTSHIFT_COMMAND"  # environment variable of a command and of all that it starts
GRACE = 5.0  # seconds to end in an orderly way

_pipe: int | None = None  # never written to: the system closes it when this process ends, however it ends


def end_together() -> None:
    """From now on, what this process starts ends with it. Once a process; a command inside another's is its part."""
    global _pipe
    if _pipe is not None or MARK in os.environ:
        return
    os.environ[MARK] = uuid.uuid4().hex
    reading, _pipe = os.pipe()
    # Not as a module: the guard needs neither the project nor its libraries. `-P`: nor the modules beside this one.
    words = [sys.executable, "-P", __file__, os.environ[MARK]]
    # In a session of its own, so that what ends the command at its terminal does not end the guard.
    subprocess.Popen(words, stdin=reading, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    os.close(reading)


def _end_all(mark: str) -> None:
    import psutil  # only now: until then the guard is small

    def left() -> list[psutil.Process]:
        return [one for one in psutil.process_iter() if one.pid != os.getpid() and _has(one)]

    def _has(one: psutil.Process) -> bool:
        try:
            return bool(one.environ().get(MARK) == mark)
        except (psutil.Error, OSError):
            return False

    for signal in ("terminate", "kill"):
        found = left()
        for one in found:
            try:
                getattr(one, signal)()
            except psutil.Error:
                continue
        psutil.wait_procs(found, timeout=GRACE)


if __name__ == "__main__":
    while os.read(0, 1):
        continue
    _end_all(sys.argv[1])
