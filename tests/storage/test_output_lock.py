"""One run at a time writes to an output, on this machine and, by a lease that expires, on others."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.night import ledger
from pipeline.night.ledger import LedgerError
from pipeline.storage import output_lock
from pipeline.storage.folders import folder_at
from pipeline.storage.listing import Listed
from tests.fixtures.ledgers import plan_of
from tests.fixtures.project import REPOSITORY

LEASE = 3.0  # seconds, in all processes here

# Holds the output. Then each line it is told is done: write part N, merge, or end.
HOLDER = f"""
import sys
from pathlib import Path
from pipeline.night import ledger; from pipeline.storage import output_lock
from pipeline.storage.folders import folder_at
output_lock.LEASE, output_lock.BEAT = {LEASE}, 0.2
output = Path(sys.argv[1])
try:
    with folder_at(output).hold():
        print("held", flush=True)
        run = ledger.Run.unfinished_in(folder_at(output))
        for word, *number in map(str.split, sys.stdin):
            if word == "end":
                break
            try:
                if word == "merge":
                    run.merge()
                else:
                    from tests.fixtures.ledgers import row
                    run.write_part(int(number[0]), [row(number[0])])
                print("done", flush=True)
            except ledger.LedgerError as error:
                print(error, flush=True)
except ledger.LedgerError as error:
    print(error, flush=True)
"""


@pytest.fixture(autouse=True)
def short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_lock, "LEASE", LEASE)
    monkeypatch.setattr(output_lock, "BEAT", 0.2)


class Run:
    """A process that holds the output, on a machine of its own if it is given a name."""

    def __init__(self, output: Path, machine: str = "") -> None:
        words = [sys.executable, "-c", HOLDER, str(output)]
        if machine:
            rights = [] if os.geteuid() == 0 else ["--map-root-user"]
            named = ["unshare", *rights, "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', machine]
            words = [*named, *words]
        self.process = subprocess.Popen(
            words, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self.said = self._line()

    def _line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def tell(self, words: str) -> str:
        """Its answer."""
        assert self.process.stdin
        self.process.stdin.write(f"{words}\n")
        self.process.stdin.flush()
        return self._line()

    def send(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)
        if number == signal.SIGKILL:
            self.process.wait(10)
        if number == signal.SIGSTOP:
            os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)


@contextlib.contextmanager
def running(output: Path, machine: str = "") -> Iterator[Run]:
    run = Run(output, machine)
    try:
        yield run
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.process.pid, signal.SIGKILL)
        run.process.communicate()


def hide_flock(output: Path) -> None:
    """As on a network disk that keeps locks to each machine: the next process does not see those of this one."""
    (output / output_lock.LOCK).unlink()


def let_it_expire(output: Path) -> None:
    """Whoever holds it is dead or stopped: put its last heartbeat back in time, instead of waiting."""
    os.utime(output / output_lock.HOLDER, (time.time() - LEASE - 0.5,) * 2)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """One with a plan of two shards."""
    ledger.Run.begin(folder_at(tmp_path), iter([Listed("0", 1, 1, 1), Listed("1", 1, 1, 1)]), 1, plan_of)
    return tmp_path


def test_a_second_run_on_the_same_output_is_refused_and_told_who_holds_it(output: Path) -> None:
    with running(output) as first:
        refused = pytest.raises(LedgerError, match=f"is in use by process {first.process.pid} on .*Wait until it has")
        with refused, folder_at(output).hold():
            pass
        with refused, folder_at(output).hold():
            pass  # a refused run does not free the output
        assert first.tell("part 0") == "done", "nor does it disturb the holder"


def test_an_output_is_free_at_once_when_its_holder_was_killed(output: Path) -> None:
    with running(output) as first:
        first.send(signal.SIGKILL)
        start = time.monotonic()
        with folder_at(output).hold():
            assert f"pid={os.getpid()}\n" in (output / output_lock.HOLDER).read_text()
        assert time.monotonic() - start < LEASE - 1
    assert not (output / output_lock.HOLDER).exists()


def test_an_output_is_free_after_a_failure_inside(tmp_path: Path) -> None:
    with pytest.raises(InterruptedError), folder_at(tmp_path / "new").hold():
        raise InterruptedError
    with folder_at(tmp_path / "new").hold():
        assert (tmp_path / "new" / output_lock.HOLDER).exists()


def test_a_failure_that_wrote_nothing_leaves_no_folder_that_it_made(tmp_path: Path) -> None:
    new = tmp_path / "a/b/new"
    with contextlib.suppress(InterruptedError), folder_at(new).hold():
        second = os.open(new / output_lock.LOCK, os.O_RDWR)  # of a command that tries while this one ends
        raise InterruptedError
    assert [*tmp_path.iterdir()] == []
    fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)  # it has a lock that no longer exists, and keeps nobody away
    with folder_at(new).hold(), pytest.raises(LedgerError, match="is in use by"), folder_at(new).hold():
        pass
    os.close(second)
    assert [file.name for file in new.iterdir()] == [output_lock.LOCK], "a refused run removes nothing of the holder's"


@pytest.mark.parametrize("there", ["the folder", "a file"])
def test_a_failure_removes_nothing_that_was_there_or_was_written(tmp_path: Path, there: str) -> None:
    new = tmp_path / "new"
    if there == "the folder":
        new.mkdir()
    with contextlib.suppress(InterruptedError), folder_at(new).hold():
        if there == "a file":
            (new / "written").touch()
        raise InterruptedError
    assert new.is_dir()
    assert (new / "written").exists() == (there == "a file")


def test_a_live_run_on_another_machine_keeps_its_output_however_long_it_takes(output: Path) -> None:
    with running(output, "otherhost") as first:
        assert first.said == "held"
        hide_flock(output)
        time.sleep(LEASE + 1)
        refused = pytest.raises(
            LedgerError, match=r"process \d+ on otherhost. If that process is dead, .* expires in [23] s"
        )
        with refused, folder_at(output).hold():
            pass
        hide_flock(output)
        assert first.tell("part 0") == "done"


def test_the_lease_of_a_machine_that_died_expires_and_its_run_is_taken_over(output: Path) -> None:
    with running(output, "otherhost") as first:
        first.send(signal.SIGKILL)
        with running(output) as second:
            assert "otherhost" in second.said
            assert "lease expires in" in second.said
        let_it_expire(output)
        with running(output) as third:
            assert third.said == "held"
            assert third.tell("part 0") == "done"


@pytest.mark.parametrize("act", ["part 0", "merge"])
def test_who_lost_the_lease_writes_nothing_more(output: Path, act: str) -> None:
    with running(output, "otherhost") as first:
        if act == "merge":
            assert (first.tell("part 0"), first.tell("part 1")) == ("done", "done")
        first.send(signal.SIGSTOP)  # as a network that is gone, or a machine that sleeps
        hide_flock(output)
        let_it_expire(output)
        with running(output) as second:
            assert second.said == "held"
            first.send(signal.SIGCONT)
            said = first.tell(act)
            assert f"Another run (process {second.process.pid} on" in said
            assert not (output / "predictions.csv").exists()
            assert len(list(output.glob(".nightshift/parts/*"))) == (2 if act == "merge" else 0)
            assert first.tell("part 1") == said
            first.tell("end")
            first.process.wait(10)
            assert second.tell("part 1") == "done", "its end does not free what is another's"


def test_two_machines_that_take_over_at_the_same_time_do_not_both_get_it(output: Path) -> None:
    with running(output, "otherhost") as first:
        first.send(signal.SIGKILL)
    let_it_expire(output)
    hide_flock(output)
    script = f"""
import sys, time
from pathlib import Path
from filelock import FileLock
from pipeline.night import ledger; from pipeline.storage import output_lock
from pipeline.storage.folders import folder_at
output_lock.LEASE, output_lock.BEAT = {LEASE}, 0.2
output_lock.LOCK += sys.argv[2]
try:
    with folder_at(sys.argv[1]).hold():
        print("held", flush=True)
        sys.stdin.read()
except ledger.LedgerError as error:
    print("refused", flush=True)
"""
    both = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(output), name],
            cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for name in "ab"
    ]  # fmt: skip
    said = [run.stdout.readline() for run in both if run.stdout]  # who holds it does so until its input ends
    rest = [run.communicate(timeout=60)[0] for run in both]
    assert sorted(said) == [b"held\n", b"refused\n"]
    assert rest == [b"", b""]


def test_a_holder_file_that_a_power_cut_emptied_is_no_obstacle_for_long(output: Path) -> None:
    (output / output_lock.HOLDER).touch()
    os.utime(output / output_lock.HOLDER, (time.time() - 60,) * 2)
    with folder_at(output).hold():
        pass


def test_a_clock_that_is_ahead_of_the_disks_does_not_end_another_machines_lease(output: Path) -> None:
    with running(output, "otherhost") as first:
        hide_flock(output)
        ahead = f"""
import time
real = time.time
time.time = lambda: real() + 600
{HOLDER}"""
        said = subprocess.run(
            [sys.executable, "-c", ahead, str(output)], cwd=REPOSITORY, capture_output=True, text=True, check=True
        ).stdout
        assert "The clock of this machine is 600 s ahead of the disk's" in said
        assert "on otherhost is still running" in said
        assert first.tell("part 0") == "done"
