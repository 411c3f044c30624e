"""Promise: a killed run resumes, and its CSV is byte for byte the undisturbed one's; one run never mixes two models."""

import os
from pathlib import Path

import pytest

from tests.fixtures.commands import csv_of, kill_at, parts
from tests.fixtures.forked import nightshift
from tests.fixtures.undisturbed import SHARDS

NOWHERE = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(SHARDS))
def test_a_killed_run_resumes_byte_for_byte(
    trained: Path, undisturbed: tuple[Path, list[list[str]]], tmp_path: Path, number: int, when: str
) -> None:
    """Killed while a part is being written, or when it is; the process that classifies with it."""
    output, words = tmp_path / "out", ("classify", str(undisturbed[0]), str(tmp_path / "out"), "--no-prefect")
    kill_at(f"{when} {number:05d}.csv", *words, cwd=trained)
    assert not (output / "predictions.csv").exists()
    assert len(parts(output)) == number + (when == "after")
    nightshift(*words, cwd=trained)
    assert csv_of(output) == csv_of(undisturbed[0].with_name("out"))
    files = [
        ".nightshift.lock", "model_card.html", "morning.html", "predictions.csv", "review.csv", "review.html",
        "summary.json",
    ]  # fmt: skip
    assert sorted(os.listdir(output)) == files


def test_a_resumed_run_keeps_the_model_it_began_with(
    trained: Path, undisturbed: tuple[Path, list[list[str]]], tmp_path: Path
) -> None:
    output, words = tmp_path / "out", ("classify", str(undisturbed[0]), str(tmp_path / "out"), "--no-prefect")
    kill_at("after 00000.csv", *words, cwd=trained)
    nightshift(*words, cwd=trained, **NOWHERE)  # it needs no registry
    assert csv_of(output) == csv_of(undisturbed[0].with_name("out"))
