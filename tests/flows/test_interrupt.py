"""Ctrl-C, SIGTERM and SIGHUP end a command within seconds, whatever it waits for, and it says what is kept."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipeline.night.ledger import Run
from pipeline.notices.messages import to_go_on
from pipeline.storage.folders import folder_at
from pipeline.storage.listing import Listed
from tests.fixtures.ledgers import plan_of
from tests.fixtures.project import REPOSITORY

CODE = """
import sys, threading
from flows.cli.interrupt import interruptible

def wait(how):
    try:
        print("begun", flush=True)
        threading.Event().wait()  # until the test interrupts it
    finally:
        if how == "slow":
            print("ending", flush=True)
            threading.Event().wait()
        if how == "server":
            raise RuntimeError("the server is gone")

with interruptible(lambda: "3 of 9 files are kept.", grace=1.0, tell=lambda how: print("told:", how, flush=True)):
    if sys.argv[1] == "child":
        import subprocess
        print(subprocess.Popen(["sleep", "60"], start_new_session=True).pid, flush=True)
        wait("slow")
    wait(sys.argv[1])
"""


def begun(how: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, how], cwd=REPOSITORY, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )
    assert process.stdout
    while process.stdout.readline() not in ("begun\n", ""):
        pass
    return process


@pytest.mark.parametrize("how", ["", "slow", "server"])
def test_a_command_ends_soon_and_in_one_line(how: str) -> None:
    process, began = begun(how), time.monotonic()
    process.send_signal(signal.SIGINT)
    told, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert time.monotonic() - began < 10
    assert said == "\nInterrupted. 3 of 9 files are kept.\n"
    assert "told:" not in told, "whoever presses Ctrl-C needs no message"


@pytest.mark.parametrize(
    ("number", "how", "words"),
    [(signal.SIGTERM, "server", "Stopped from outside (SIGTERM)."),
     (signal.SIGTERM, "slow", "Stopped from outside (SIGTERM)."),
     (signal.SIGHUP, "", "Stopped, as its terminal was closed (SIGHUP).")],
)  # fmt: skip
def test_what_stops_it_from_outside_does_so_in_one_line_too(number: signal.Signals, how: str, words: str) -> None:
    process = begun(how)
    for _ in range(2):
        process.send_signal(number)
    told, said = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert said == f"{words} 3 of 9 files are kept.\n"
    assert ("told:" in told) == (how != "slow")
    assert told.endswith({"slow": "ending\n"}.get(how, f"told: {words}\n"))


def test_a_command_that_nohup_began_goes_on_without_its_terminal() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = begun("")
    finally:
        signal.signal(signal.SIGHUP, before)
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM


def test_a_second_one_ends_it_at_once() -> None:
    process = begun("slow")
    process.send_signal(signal.SIGINT)
    assert process.stdout
    assert process.stdout.readline() == "ending\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130


def test_what_the_command_has_started_ends_with_it() -> None:
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, "child"], cwd=REPOSITORY, stdout=pipe, stderr=pipe, text=True
    )
    assert process.stdout
    child = int(process.stdout.readline())
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130
    process.communicate()
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_a_night_says_how_far_it_came_and_how_it_goes_on(tmp_path: Path) -> None:
    output = folder_at(tmp_path / "out")
    Run.begin(output, [Listed(f"{n}.png", 1, 1, 1) for n in range(3)], 1, lambda files, shards: plan_of(files, shards))
    assert to_go_on(output) == f"0 of 3 files are done and kept in {output}. The same command goes on from there."
