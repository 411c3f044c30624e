"""A night's run on a real champion: rows, statuses, messages, and two runs at once."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import save_image
from tests.project import NIGHTSHIFT, draw_shape, environment, nightshift

RUN = ("--no-prefect",)


def rows(output: Path) -> list[dict[str, str]]:
    with (output / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def night(tmp_path: Path) -> Path:
    """Ten images of shapes: four shards of at most three."""
    for number in range(10):
        draw_shape(tmp_path / "night" / f"{number}.png", ("circle", "square")[number % 2], seed=number)
    return tmp_path / "night"


def test_good_and_bad_files_each_have_their_right_row(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    save_image(folder / "1-good.jpg", seed=1)
    (folder / "2-text.jpg").write_text("I am a text file")
    whole = save_image(folder / "3-cut.png", seed=2, width=300, height=200).read_bytes()
    (folder / "3-cut.png").write_bytes(whole[: len(whole) // 2])
    save_image(folder / "4-good.jpg", seed=3, width=60, height=90)
    done = nightshift("classify", str(folder), str(tmp_path / "out"), *RUN, cwd=trained)
    assert "4 images" in done.stdout
    first, text, cut, last = rows(tmp_path / "out")
    assert [row["path"] for row in (first, text, cut, last)] == ["1-good.jpg", "2-text.jpg", "3-cut.png", "4-good.jpg"]
    assert first["status"] in ("ok", "unsure")
    assert (text["status"], text["label"], text["error"]) == ("unreadable", "", "not an image in a known format")
    assert cut["status"] == "unreadable"
    assert "damaged" in cut["error"]
    assert (last["width"], last["height"]) == ("60", "90")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["unreadable"] == 2
    assert summary["reconciled"]


def test_each_row_is_its_own_images_answer(trained: Path, night: Path, tmp_path: Path) -> None:
    nightshift("classify", str(night), str(tmp_path / "all"), *RUN, cwd=trained)
    for row in rows(tmp_path / "all")[::4]:
        alone = tmp_path / "alone" / row["path"]
        alone.parent.mkdir(exist_ok=True)
        alone.write_bytes((night / row["path"]).read_bytes())
        output = tmp_path / f"out-{row['path']}"
        nightshift("classify", str(alone.parent), str(output), *RUN, cwd=trained)
        (own,) = rows(output)
        assert {**own, "classified_at": ""} == {**row, "classified_at": ""}
        alone.unlink()


def test_moving_the_champion_changes_the_next_runs_model_version(project: Path, night: Path, tmp_path: Path) -> None:
    code = """
from mlflow import MlflowClient
client = MlflowClient("sqlite:///mlflow.db")
first = client.get_model_version("nightshift", "1")
second = client.create_model_version("nightshift", first.source, first.run_id)
client.set_registered_model_alias("nightshift", "champion", second.version)
"""
    nightshift("classify", str(night), str(tmp_path / "before"), *RUN, cwd=project)
    subprocess.run([sys.executable, "-c", code], cwd=project, env=environment(), check=True)
    nightshift("classify", str(night), str(tmp_path / "after"), *RUN, cwd=project)
    assert {row["model_version"] for row in rows(tmp_path / "before")} == {"1"}
    assert {row["model_version"] for row in rows(tmp_path / "after")} == {"2"}


def test_a_second_run_on_the_same_output_is_refused_with_the_holders_name(
    trained: Path, night: Path, tmp_path: Path
) -> None:
    holder = f"""
import time
from pathlib import Path
from pipeline.ledger import held
with held(Path({str(tmp_path / "out")!r})):
    print("held", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE) as first:
        assert first.stdout
        first.stdout.readline()
        second = nightshift("classify", str(night), str(tmp_path / "out"), *RUN, cwd=trained, check=False)
        first.kill()
    assert second.returncode == 1
    assert f"process {first.pid}" in second.stderr
    nightshift("classify", str(night), str(tmp_path / "out"), *RUN, cwd=trained)
    assert len(rows(tmp_path / "out")) == 10


def test_known_labels_are_compared(trained: Path, tmp_path: Path) -> None:
    nightshift("data", "holdout", str(tmp_path / "holdout"), cwd=trained)
    words = ["classify", str(tmp_path / "holdout"), str(tmp_path / "out"), "--labels", "data/manifest.parquet", *RUN]
    said = nightshift(*words, cwd=trained).stdout
    evaluation = json.loads((trained / "reports/evaluation.json").read_text())
    right = round(evaluation["accuracy"]["value"] * evaluation["images"])
    assert f"{right} of the {evaluation['images']} whose label is known are right" in said


@pytest.mark.parametrize(
    ("source", "output", "message"),
    [
        ("nowhere", "out", "nowhere does not exist"),
        ("empty", "out", "empty holds no images"),
        ("night/0.png", "out", "0.png is a file; a folder of images is expected"),
        ("night", "night/out", "lies inside"),
        ("night", "result.csv", "is to be a folder"),
    ],
)
def test_a_run_that_cannot_start_says_why(
    trained: Path, night: Path, tmp_path: Path, source: str, output: str, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    done = nightshift("classify", str(tmp_path / source), str(tmp_path / output), *RUN, cwd=trained, check=False)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_champion_it_says_how_to_get_one(trained: Path, night: Path, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'empty.db'}"
    words = ["classify", str(night), str(tmp_path / "out"), *RUN]
    done = nightshift(*words, cwd=trained, check=False, MLFLOW_TRACKING_URI=store)
    assert done.returncode == 1
    assert "No version of nightshift is @champion" in done.stderr


def test_outside_a_project_it_says_where_to_go(tmp_path: Path) -> None:
    done = nightshift("classify", ".", "out", *RUN, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert "Change to the folder of your Nightshift project" in done.stderr


def test_the_command_starts_in_well_under_a_second() -> None:
    times = []
    for _ in range(3):
        before = os.times()
        subprocess.run([NIGHTSHIFT, "--help"], check=True, stdout=subprocess.DEVNULL)
        after = os.times()
        times.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert min(times) < 1, "seconds of processor time"
