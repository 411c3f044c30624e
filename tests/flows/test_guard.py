"""What a command has started ends with it, however it ends."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from tests.fixtures.project import REPOSITORY
from tests.fixtures.up import wait_until

CODE = """
import subprocess, sys
from flows.cli.guard import end_together

end_together()
end_together()
stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); signal.pause()"
if sys.argv[1] != "killed":
    stubborn = "import signal; print(flush=True); signal.pause()"
ready = subprocess.Popen([sys.executable, "-c", stubborn], start_new_session=True, stdout=subprocess.PIPE)
ready.stdout.readline()
print(ready.pid, subprocess.Popen(["sleep", "60"], start_new_session=True).pid, flush=True)
if sys.argv[1] != "done":
    sys.stdin.read()
"""


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("how", ["its group is killed", "killed", "done"])
def test_nothing_that_a_command_has_started_outlives_it(how: str) -> None:
    pipe, words = subprocess.PIPE, [sys.executable, "-c", CODE, how]
    with subprocess.Popen(words, cwd=REPOSITORY, stdin=pipe, stdout=pipe, text=True, start_new_session=True) as command:
        assert command.stdout
        started = [int(pid) for pid in command.stdout.readline().split()]
        assert len(started) == 2
        guards = [one for one in psutil.Process(command.pid).children() if "guard.py" in " ".join(one.cmdline())]
        if how == "killed":
            command.kill()
        elif how != "done":
            os.killpg(command.pid, signal.SIGKILL)
        command.wait(20)
    wait_until(lambda: all(map(is_gone, started)), 30)
    wait_until(lambda: all(is_gone(one.pid) for one in guards), 30)
