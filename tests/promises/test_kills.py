"""Promise: kill the night at any moment, as often as you like; its CSV stays the same. In small; fifty by hand."""

import importlib
import re
from pathlib import Path

import pytest

from tests.fixtures.forked import QUICK_NIGHT, Forked
from tests.fixtures.project import NIGHTSHIFT, REPOSITORY, environment

KILLS = 4


def test_killed_nights_end_with_the_undisturbed_csv(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the benchmark does, with processes that have their libraries already: more of the kills hit the night."""
    monkeypatch.chdir(trained)
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    kills = importlib.import_module("kills")

    def start(night: "kills.Night", output: Path) -> Forked:  # type: ignore[name-defined]
        words = [str(NIGHTSHIFT), "classify", "images", str(output), "--no-prefect"]
        return Forked(words, night.room, environment(MLFLOW_TRACKING_URI=kills.STORE), QUICK_NIGHT)

    monkeypatch.setattr(kills.Night, "start", start)
    kills.main(trained / "data/raw", KILLS, seed=3, files=40, shard_size=8)
    said = capsys.readouterr().out
    assert re.search(rf"^{KILLS} kills, .* runs finished$", said, re.M)
    assert re.search(r"^all \d+ CSVs are byte for byte the undisturbed one$", said, re.M)
    assert not list(trained.glob(".kills.*"))
