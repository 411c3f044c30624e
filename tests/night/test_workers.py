"""Processes that die in the middle of a night: the file that kills its decoder is a row, and nothing else is lost."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.fixtures.project import environment, rows_of

# A night whose decoder dies, as native code does, from files that begin with KILL. Child processes run this file too.
NIGHT = """
import os, signal, sys
from pathlib import Path

from pipeline.images.decode import decode as images

real = images.decode

def decode(data, rules):
    if data.startswith(b"KILL"):
        os.kill(os.getpid(), signal.SIGSEGV)
    return real(data, rules)

images.decode = decode

from pipeline.night.options import NightOptions
from pipeline.night.run import Steps, night
from pipeline.params.file import load_params
from pipeline.core.command import run

if __name__ == "__main__":
    options = NightOptions(Path(sys.argv[1]), Path(sys.argv[2]))
    sys.exit(run(lambda: print(night(options, load_params(), Steps()).unreadable)))
"""


@pytest.fixture
def night(night: Path) -> Path:
    """Ten images of shapes, and beside them the night that dies of some files."""
    night.with_suffix(".py").write_text(NIGHT)
    return night


def words(night: Path, output: Path) -> list[str]:
    return [sys.executable, str(night.with_suffix(".py")), str(night), str(output)]


@pytest.mark.parametrize("deadly", [["0.png"], ["4.png", "5.png"], ["2.png", "3.png", "9.png"]])
def test_a_file_that_kills_its_decoder_costs_its_own_row(
    trained: Path, night: Path, tmp_path: Path, deadly: list[str]
) -> None:
    env = environment(PYTHONPATH=str(trained))
    subprocess.run(words(night, tmp_path / "before"), cwd=trained, env=env, check=True, capture_output=True)
    for path in deadly:
        (night / path).write_bytes(b"KILL")
    done = subprocess.run(words(night, tmp_path / "out"), cwd=trained, env=env, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    before, after = rows_of(tmp_path / "before"), rows_of(tmp_path / "out")
    assert [row["path"] for row in after if row["status"] == "unreadable"] == deadly
    assert {row["error"] for row in after if row["error"]} == {
        "its decoder crashed; the file is damaged, or made to do harm"
    }
    assert [row for row in after if row["path"] not in deadly] == [row for row in before if row["path"] not in deadly]
    assert json.loads((tmp_path / "out/summary.json").read_text())["reconciled"]


def test_nothing_outlives_a_night_that_is_killed(trained: Path, night: Path, tmp_path: Path) -> None:
    with subprocess.Popen(
        words(night, tmp_path / "out"), cwd=trained, env=environment(PYTHONPATH=str(trained)), stderr=subprocess.DEVNULL
    ) as process:
        children: list[psutil.Process] = []
        while process.poll() is None and not (children := psutil.Process(process.pid).children(recursive=True)):
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(children, timeout=60)
    assert children
    assert alive == []
