"""Promise: a killed run resumes, and its CSV is byte for byte the undisturbed one's; one run never mixes two models."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.project import draw_shape, environment

FILES, SHARDS = 8, 3  # three files a shard, as the small project says

# Classifies as `nightshift classify --no-prefect` does, with the clock of the plan held still, and dies by SIGKILL
# at the moment that is asked for: while a part is being written, or after so many parts. Its child process, which
# classifies, runs this file too.
NIGHT = """
import multiprocessing, os, signal, sys
from pathlib import Path
import datetime
from pipeline.night import ledger, planning
from pipeline.night.options import NightOptions; from pipeline.night.run import night
from pipeline.params.file import load_params

def die():
    os.kill(multiprocessing.parent_process().pid, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)

source, output, die_after, how = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]

class Still(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2026, 1, 1, tzinfo=tz)

planning.datetime.datetime = Still
write_part, written = ledger.Run.write_part, 0

def dying_write_part(run, number, rows):
    global written
    if written == die_after and how == "writing":
        whole = [*rows]
        def half():
            yield whole[0]
            die()
        rows = half()
    write_part(run, number, rows)
    written += 1
    if written == die_after and how == "after":
        die()

ledger.Run.write_part = dying_write_part
if __name__ == "__main__":
    night(NightOptions(source, output), load_params())
"""


def night(project: Path, source: Path, output: Path, die_after: int = 99, how: str = "never", **env: str) -> int:
    script = output.with_name(f"{output.name}.py")
    script.write_text(NIGHT)
    words = [sys.executable, str(script), str(source), str(output), str(die_after), how]
    env = environment(PYTHONPATH=str(project), **env)
    return subprocess.run(words, cwd=project, env=env, check=False, stderr=subprocess.DEVNULL).returncode


@pytest.fixture(scope="module")
def undisturbed(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """The images, and the CSV of a run that nothing disturbs."""
    folder = tmp_path_factory.mktemp("undisturbed")
    for number in range(FILES - 1):
        draw_shape(folder / "night" / f"{number}.png", ("circle", "square")[number % 2], seed=number)
    (folder / "night" / "x.jpg").write_bytes(b"not a picture")
    assert night(trained, folder / "night", folder / "out") == 0
    return folder / "night", (folder / "out" / "predictions.csv").read_bytes()


@pytest.mark.parametrize("how", ["writing", "after"])
@pytest.mark.parametrize("die_after", range(SHARDS))
def test_a_killed_run_resumes_byte_for_byte(
    trained: Path, undisturbed: tuple[Path, bytes], tmp_path: Path, die_after: int, how: str
) -> None:
    source, expected = undisturbed
    die_after += how == "after"
    output = tmp_path / "out"
    assert night(trained, source, output, die_after, how) == -signal.SIGKILL
    assert not (output / "predictions.csv").exists()
    assert len(list((output / ".nightshift").glob("parts/*.csv"))) == die_after
    assert night(trained, source, output) == 0
    assert (output / "predictions.csv").read_bytes() == expected
    files = [".nightshift.lock", "morning.html", "predictions.csv", "review.csv", "review.html", "summary.json"]
    assert sorted(os.listdir(output)) == files


def test_a_resumed_run_keeps_the_model_it_began_with(
    trained: Path, undisturbed: tuple[Path, bytes], tmp_path: Path
) -> None:
    source, expected = undisturbed
    assert night(trained, source, tmp_path / "out", 1, "after") == -signal.SIGKILL
    nowhere = "http://127.0.0.1:9"
    assert night(trained, source, tmp_path / "out", MLFLOW_TRACKING_URI=nowhere) == 0, "it needs no registry"
    assert (tmp_path / "out" / "predictions.csv").read_bytes() == expected
