"""Processes that die in the middle of a night: the file that kills its decoder is a row, and nothing else is lost."""

import json
from pathlib import Path

import psutil
import pytest

from tests.fixtures.commands import deadly_night
from tests.fixtures.forked import forking
from tests.fixtures.project import NIGHTSHIFT, draw_shape, rows_of


@pytest.fixture(scope="module")
def before(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """The rows of a night in which nothing dies."""
    folder = tmp_path_factory.mktemp("before")
    draw_night(folder / "night")
    done = deadly_night(folder / "night", folder / "out", cwd=trained)
    assert done.returncode == 0, done.stderr
    return rows_of(folder / "out")


def draw_night(folder: Path) -> None:
    for number in range(10):
        draw_shape(folder / f"{number}.png", ("circle", "square")[number % 2], seed=number)


def test_a_file_that_kills_its_decoder_costs_its_own_row(
    trained: Path, before: list[dict[str, str]], tmp_path: Path
) -> None:
    """The last of a shard, the first two of the next, and one that is alone in its shard."""
    deadly = ["2.png", "3.png", "4.png", "9.png"]
    draw_night(tmp_path / "night")
    for path in deadly:
        (tmp_path / "night" / path).write_bytes(b"KILL")
    done = deadly_night(tmp_path / "night", tmp_path / "out", cwd=trained)
    assert done.returncode == 0, done.stderr
    after = rows_of(tmp_path / "out")
    assert [row["path"] for row in after if row["status"] == "unreadable"] == deadly
    assert {row["error"] for row in after if row["error"]} == {
        "its decoder crashed; the file is damaged, or made to do harm"
    }
    assert [row for row in after if row["path"] not in deadly] == [row for row in before if row["path"] not in deadly]
    assert json.loads((tmp_path / "out/summary.json").read_text())["reconciled"]


def test_nothing_outlives_a_night_that_is_killed(trained: Path, night: Path, tmp_path: Path) -> None:
    words = [str(NIGHTSHIFT), "classify", str(night), str(tmp_path / "out"), "--no-prefect"]
    with forking(*words, cwd=trained) as process:
        children: list[psutil.Process] = []
        while process.poll() is None and not (children := psutil.Process(process.pid).children(recursive=True)):
            pass
        process.kill()
        _, alive = psutil.wait_procs(children, timeout=60)
    assert children
    assert alive == []
