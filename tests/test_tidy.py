"""What is old goes, what is in use or young stays, and what takes room is named."""

import datetime
import os
import re
import sys
from pathlib import Path

import mlflow
import pytest

from pipeline import tidy
from pipeline.params.file import load_params
from pipeline.storage.files import read_json, write_json
from pipeline.storage.folders import folder_at
from pipeline.storage.output_lock import LedgerError
from tests.fixtures import forked
from tests.fixtures.in_process import QUICK
from tests.fixtures.nights import classify
from tests.fixtures.project import draw_shape, dvc, nightshift, run


@pytest.fixture
def nights(project: Path, night: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a night of today, and one that ended a hundred days ago."""
    monkeypatch.chdir(project)
    for name in ("young", "old"):
        classify(night, Path("predictions") / name, load_params())
    summary = Path("predictions/old/summary.json")
    ended = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=100)
    write_json(summary, read_json(summary) | {"finished_at": ended.isoformat(timespec="seconds")})
    return project


def test_an_old_night_goes_and_a_young_one_stays(nights: Path) -> None:
    said = forked.nightshift("tidy", "--nights", "90", cwd=nights).stdout
    assert "deleted predictions/old (" in said
    before, after, freed = (float(found[1]) for found in re.finditer(r"([\d.]+) MB (?:before|after|freed)", said))
    assert before == pytest.approx(after + freed, abs=0.11)
    assert sorted(os.listdir("predictions")) == ["index.html", "young"]
    page = Path("predictions/index.html").read_text()
    assert "old/morning.html" not in page
    assert "young/morning.html" in page
    assert "MB  predictions  (nights" in said
    assert "MB  mlartifacts  (MLflow" in said


def test_a_night_that_somebody_works_in_stays(nights: Path) -> None:
    with folder_at("predictions/old").hold(), pytest.raises(LedgerError, match="in use by process"):
        tidy.delete_night(Path("predictions/old"))
    assert Path("predictions/old/predictions.csv").is_file()


def test_a_deletion_that_was_interrupted_is_completed(nights: Path) -> None:
    Path("predictions/old").rename("predictions/.deleted.old")
    nightshift("tidy", cwd=nights)
    assert sorted(os.listdir("predictions")) == ["index.html", "young"]


def test_old_runs_of_nights_go_with_their_files_and_trainings_stay(
    nights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", QUICK)
    client = mlflow.MlflowClient()
    name = f"{load_params().register_.model_name}-nights"
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    before = client.search_runs([experiment.experiment_id])
    files = [Path(run.info.artifact_uri.removeprefix("file://")) for run in before]
    assert len(files) >= 2
    assert all(file.is_dir() for file in files)
    trainings = client.search_runs([e.experiment_id for e in client.search_experiments() if e.name != name])
    now = datetime.datetime.now(datetime.UTC)
    model = load_params().register_.model_name
    assert tidy.delete_runs(model, 30, now) == 0
    assert tidy.delete_runs(model, 30, now + datetime.timedelta(days=31)) == len(before)
    assert client.search_runs([experiment.experiment_id], run_view_type=mlflow.entities.ViewType.ALL) == []
    assert not any(file.is_dir() for file in files)
    left = client.search_runs([e.experiment_id for e in client.search_experiments() if e.name != name])
    assert [run.info.run_id for run in left] == [run.info.run_id for run in trainings] != []


def test_the_cache_keeps_what_a_commit_names(nights: Path) -> None:
    def cached() -> int:
        return sum(len(files) for _, _, files in os.walk(".dvc/cache/files"))

    run("git", "add", "-A", cwd=nights)
    run("git", "commit", "--quiet", "--allow-empty", "-m", "all", cwd=nights)
    named = cached()
    draw_shape(nights / "data/raw/circle/new.png", "circle", seed=77)
    dvc("add", "data/raw", cwd=nights)
    assert cached() > named
    (nights / "data/raw/circle/new.png").unlink()
    dvc("add", "data/raw", cwd=nights)
    would = re.search(r"--cache would free (\S+) MB", nightshift("tidy", cwd=nights).stdout)
    assert would is not None
    said = nightshift("tidy", "--cache", cwd=nights).stdout
    assert re.search(rf"deleted \d+ files \({would[1]} MB\) that no commit, stash or experiment uses", said)
    assert cached() <= named
    assert dvc("status", "data/raw.dvc", cwd=nights).stdout


def test_prefects_history_goes_when_it_is_asked_for_and_no_service_uses_it(nights: Path) -> None:
    history = nights / ".nightshift/prefect/prefect.db"
    history.parent.mkdir(parents=True, exist_ok=True)
    history.write_bytes(b"0" * 2_000_000)
    socket = nights / ".nightshift/supervisor.sock"
    socket.touch()
    refused = nightshift("tidy", "--prefect", cwd=nights, check=False, in_process=True)
    assert (refused.returncode, history.exists()) == (1, True)
    assert "`nightshift down` first" in refused.stderr
    socket.unlink()
    assert "deleted Prefect's history (2.0 MB)" in nightshift("tidy", "--prefect", cwd=nights, in_process=True).stdout
    assert not history.exists()
