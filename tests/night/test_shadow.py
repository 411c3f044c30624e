"""The challenger beside the champion, and what stays of a night in MLflow."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline.params.file import load_params
from pipeline.registry import versions
from pipeline.registry.store import Store
from tests.fixtures.nights import classify
from tests.fixtures.project import nightshift


@pytest.fixture
def night(night: Path) -> Path:
    """Ten images of shapes and one that is none."""
    (night / "bad.png").write_bytes(b"no")
    return night


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def test_a_challenger_that_answers_alike_agrees_on_every_file(
    registry_project: Path, night: Path, tmp_path: Path
) -> None:
    said = nightshift("classify", str(night), str(tmp_path / "out"), "--shadow", "--no-prefect", cwd=registry_project)
    assert "version 2 as a shadow agrees on 11 of 11 files" in said.stdout
    assert rows(tmp_path / "out/shadow/disagreements.csv") == []
    assert {row["model_version"] for row in rows(tmp_path / "out/predictions.csv")} == {"1"}
    assert {row["model_version"] for row in rows(tmp_path / "out/shadow/predictions.csv")} == {"2"}


def test_where_they_differ_is_listed_and_the_night_is_untouched(
    registry_project: Path, night: Path, tmp_path: Path
) -> None:
    plain = classify(night, tmp_path / "plain", load_params())
    MlflowClient(Store.of_project().address).set_registered_model_alias(
        "nightshift", "challenger", "3"
    )  # says circle, always
    summary = classify(night, tmp_path / "out", load_params(), with_shadow=True)
    squares = [row["path"] for row in rows(tmp_path / "plain/predictions.csv") if row["label"] == "square"]
    found = rows(tmp_path / "out/shadow/disagreements.csv")
    assert squares
    assert sorted(row["path"] for row in found) == squares
    assert {(row["label"], row["shadow_label"]) for row in found} == {("square", "circle")}
    sure = [min(float(row["confidence"]), float(row["shadow_confidence"])) for row in found]
    assert sure == sorted(sure, reverse=True)
    assert summary.shadow is not None
    assert summary.shadow.agreed == 11 - len(squares)
    assert summary.labels == plain.labels
    assert json.loads((tmp_path / "out/summary.json").read_text())["shadow"] == summary.shadow.model_dump(mode="json")


def test_without_a_challenger_there_is_nothing_to_compare(trained: Path, night: Path, tmp_path: Path) -> None:
    said = nightshift("classify", str(night), str(tmp_path / "out"), "--shadow", "--no-prefect", cwd=trained)
    why = "version 1 of nightshift is @champion and @challenger at once"
    assert f"--shadow compared nothing: {why}" in said.stdout
    assert f"This night has no shadow: {why}" in said.stderr
    assert said.returncode == 0, "the rows are all there"
    assert json.loads((tmp_path / "out/summary.json").read_text())["no_shadow"].startswith(why)
    assert f"--shadow compared nothing: {why}" in (tmp_path / "out/morning.html").read_text()
    assert not (tmp_path / "out/shadow/predictions.csv").exists()


def test_a_challenger_that_cannot_be_fetched_does_not_keep_the_night_from_its_rows(
    registry_project: Path, night: Path, tmp_path: Path
) -> None:
    client = MlflowClient(Store.of_project().address)
    files = client.get_model_version_download_uri("nightshift", "2")
    shutil.rmtree(files.removeprefix("file://"))
    said = nightshift("classify", str(night), str(tmp_path / "out"), "--shadow", "--no-prefect", cwd=registry_project)
    assert "The night continues without its shadow" in said.stderr
    assert "--shadow compared nothing: " in said.stdout
    assert len(rows(tmp_path / "out/predictions.csv")) == 11


def nights(client: MlflowClient) -> dict[str, Run]:
    experiment = client.get_experiment_by_name("nightshift-nights")
    return {run.info.run_id: run for run in client.search_runs([experiment.experiment_id])} if experiment else {}


def test_a_night_is_a_run_in_mlflow(registry_project: Path, night: Path, tmp_path: Path) -> None:
    client = MlflowClient(Store.of_project().address)
    before = nights(client)  # the project was copied from one in which others may have had their nights
    summary = classify(night, tmp_path / "out", load_params())
    (run,) = (run for run_id, run in nights(client).items() if run_id not in before)
    assert run.info.run_name == "out"
    assert run.info.status == "FINISHED"
    assert run.data.metrics["listed"] == 11
    assert run.data.metrics["unreadable"] == 1
    assert run.data.metrics["share.circle"] == summary.labels["circle"] / 10
    assert run.data.tags["nightshift.model_version"] == "1"
    assert run.data.tags["mlflow.note.content"].startswith("11 images: ")
    with Store.of_project().connected() as connected:
        used = versions.by_number(connected, "nightshift", 1)
    inputs = client.get_run(run.info.run_id).inputs  # a search does not return them
    assert [one.model_id for one in inputs.model_inputs] == [used.model_id] != [""]
    assert run.data.params["batch.shard_size"] == "3"
    assert (run.data.params["model_version"], run.data.params["input"]) == ("1", str(night))
    kept = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert kept == {"summary.json", "review.csv", "review.html", "morning.html", "model_card.html"}
