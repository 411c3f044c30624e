"""A night's run on a real champion: rows, statuses, messages, and two runs at once."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipeline.core.disk_errors import DiskError
from pipeline.core.errors import NightshiftError
from pipeline.data.holdout_copy import copy_test_images
from pipeline.night import at_work
from pipeline.night.planning import ClassifyError
from pipeline.night.results import finish
from pipeline.night.rows import read_rows
from pipeline.night.workers import classify_shards
from pipeline.params.data import Tiles
from pipeline.params.file import Params, load_params
from pipeline.registry.store import Store
from pipeline.storage.folders import folder_at
from pipeline.storage.output_lock import LedgerError
from tests.fixtures.images import save_image
from tests.fixtures.nights import begun, classify, rows
from tests.fixtures.project import NIGHTSHIFT, REPOSITORY, nightshift


def test_good_and_bad_files_each_have_their_right_row(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    save_image(folder / "1-good.jpg", seed=1)
    (folder / "2-text.jpg").write_text("I am a text file")
    whole = save_image(folder / "3-cut.png", seed=2, width=300, height=200).read_bytes()
    (folder / "3-cut.png").write_bytes(whole[: len(whole) // 2])
    save_image(folder / "4-good.jpg", seed=3, width=60, height=90)
    done = nightshift("classify", str(folder), str(tmp_path / "out"), "--no-prefect", cwd=trained)
    assert "4 images" in done.stdout
    files = [line for line in done.stdout.splitlines() if line.startswith(f"{tmp_path}/out/")]
    assert [Path(file).name for file in files] == ["morning.html", "predictions.csv", "review.html"]
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


def test_each_row_is_its_own_images_answer(here: Params, night: Path, tmp_path: Path) -> None:
    classify(night, tmp_path / "all", here)
    for number, row in enumerate(rows(tmp_path / "all")):
        alone, output = tmp_path / f"alone-{number}", tmp_path / f"out-{number}"
        alone.mkdir()
        shutil.copy(night / row["path"], alone)
        classify(alone, output, here)
        (own,) = rows(output)
        assert {**own, "classified_at": ""} == {**row, "classified_at": ""}


def test_a_disk_without_room_for_the_rows_is_named_before_the_night_begins(
    here: Params, night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.night.planning.BYTES_A_ROW", 10**15)
    with pytest.raises(
        DiskError, match=r"MB free, and a night over 10 files takes about 10000000000 MB in .*Free some"
    ):
        classify(night, tmp_path / "out", here)
    assert not (tmp_path / "out" / "predictions.csv").exists()
    monkeypatch.setattr("pipeline.night.planning.BYTES_A_ROW", 800)
    assert classify(night, tmp_path / "out", here).listed == 10


def test_labels_filled_into_the_review_become_training_images(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    save_image(tmp_path / "night" / "=odd.png", seed=5, width=300, height=20)
    classify(tmp_path / "night", tmp_path / "out", load_params())
    review = tmp_path / "out" / "review.csv"
    heading, row = csv.reader(review.open(encoding="utf-8", newline=""))
    assert (heading[-2], row[-2]) == ("correct_label", "")
    with review.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([heading, [*row[:-2], "square", ""]])
    said = nightshift("data", "import", str(review), cwd=project).stdout
    assert "square" in said
    assert (project / "data/raw/square/=odd.png").read_bytes() == (tmp_path / "night/=odd.png").read_bytes()


def test_a_label_filled_in_between_two_runs_is_kept_and_another_input_is_refused(
    here: Params, night: Path, tmp_path: Path
) -> None:
    (night / "bad.png").write_text("no picture")
    classify(night, tmp_path / "out", here)
    review = tmp_path / "out" / "review.csv"
    heading, *lines = csv.reader(review.open(encoding="utf-8", newline=""))
    with review.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([heading, *([*line[:-2], f"label of {line[0]}", ""] for line in lines)])
    before = {line[0]: f"label of {line[0]}" for line in lines}
    assert "bad.png" in before
    classify(night, tmp_path / "out", here)
    after = {row["path"]: row["correct_label"] for row in read_rows(review)}
    assert after == before
    save_image(tmp_path / "other/a.png")
    with pytest.raises(ClassifyError, match="out holds the finished night over"):
        classify(tmp_path / "other", tmp_path / "out", here)
    assert {row["path"]: row["correct_label"] for row in read_rows(review)} == before


def test_a_file_that_is_gone_or_became_a_pipe_since_the_listing_has_a_row(
    here: Params, night: Path, tmp_path: Path
) -> None:
    with folder_at(tmp_path / "out").hold():
        run = begun(night, tmp_path / "out", here)
        (night / "3.png").unlink()
        (night / "5.png").unlink()
        os.mkfifo(night / "5.png")
        assert [*classify_shards(run, run.unfinished(), here)] == [(0, 3), (1, 3), (2, 3), (3, 1)]
        summary = finish(run, here).summary
    assert (summary.listed, summary.unreadable) == (10, 2)
    errors = {row["path"]: row["error"] for row in rows(tmp_path / "out") if row["error"]}
    assert errors == {
        "3.png": "the file is gone; it was there when the files were listed",
        "5.png": "no longer a regular file",
    }
    assert summary.gone == 1
    assert "Repair or replace the 1 unreadable file, or delete it." in (tmp_path / "out/morning.html").read_text()


def test_tiles_that_the_champion_did_not_learn_from_are_said(
    here: Params, night: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images = here.images.model_copy(update={"tiles": Tiles(size=64)})
    with folder_at(tmp_path / "out").hold():
        begun(night, tmp_path / "out", here.model_copy(update={"images": images}))
    assert "images.tiles in params.yaml is not what the champion was trained with" in caplog.text


def test_moving_the_champion_changes_the_next_runs_model_version(
    project: Path, night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    classify(night, tmp_path / "before", load_params())
    client = MlflowClient(Store.of_project().address)
    first = client.get_model_version("nightshift", "1")
    second = client.create_model_version("nightshift", str(first.source), first.run_id)
    client.set_registered_model_alias("nightshift", "champion", second.version)
    classify(night, tmp_path / "after", load_params())
    assert {row["model_version"] for row in rows(tmp_path / "before")} == {"1"}
    assert {row["model_version"] for row in rows(tmp_path / "after")} == {"2"}


def test_a_second_run_on_the_same_output_is_refused_with_the_holders_name(
    here: Params, night: Path, tmp_path: Path
) -> None:
    holder = f"""
import signal
from pathlib import Path
from pipeline.storage.folders import folder_at
with folder_at({str(tmp_path / "out")!r}).hold():
    print("held", flush=True)
    signal.pause()
"""
    with subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE) as first:
        assert first.stdout
        first.stdout.readline()
        with pytest.raises(LedgerError, match=f"in use by process {first.pid} on"):
            classify(night, tmp_path / "out", here)
        first.kill()
    classify(night, tmp_path / "out", here)
    assert len(rows(tmp_path / "out")) == 10


def test_an_unfinished_run_over_another_folder_is_not_taken_over(here: Params, night: Path, tmp_path: Path) -> None:
    with folder_at(tmp_path / "out").hold():
        begun(night, tmp_path / "out", here)
    other = tmp_path / "other"
    save_image(other / "1.jpg")
    with pytest.raises(ClassifyError, match="holds an unfinished run over"):
        classify(other, tmp_path / "out", here)


def test_known_labels_are_compared(here: Params, trained: Path, tmp_path: Path) -> None:
    copy_test_images(tmp_path / "holdout")
    compared = classify(tmp_path / "holdout", tmp_path / "out", here, labels=Path("data/manifest.parquet")).compared
    evaluation = json.loads((trained / "reports/evaluation.json").read_text())
    assert compared is not None
    assert compared.known == evaluation["images"]
    assert compared.right == round(evaluation["accuracy"]["value"] * evaluation["images"])


@pytest.mark.parametrize(
    ("source", "output", "message"),
    [
        ("nowhere", "out", "nowhere does not exist"),
        ("empty", "out", "empty contains no image files"),
        ("night/0.png", "out", "0.png is a file; it must be a folder of images"),
        ("night", "night/out", "lies inside"),
        ("night", "result.csv", "must be a folder"),
    ],
)
def test_a_run_that_cannot_start_says_why(
    here: Params, night: Path, tmp_path: Path, source: str, output: str, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NightshiftError, match=message):
        classify(tmp_path / source, tmp_path / output, here)
    assert not (tmp_path / output).exists()
    assert not any(str(tmp_path) in note.read_text() for note in at_work.NIGHTS.glob("*.json"))


@pytest.mark.parametrize("output", ["data/raw", "models/../reports/night", "."])
def test_a_night_never_writes_where_training_does(here: Params, night: Path, output: str) -> None:
    with pytest.raises(NightshiftError, match="belongs to the project: training reads and writes there"):
        classify(night, Path(output), here)
    assert not Path(output, "predictions.csv").exists()


def test_another_programs_summary_is_not_replaced(here: Params, night: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "out" / "summary.json"
    theirs.parent.mkdir()
    theirs.write_text('{"status": "theirs"}')
    with pytest.raises(NightshiftError, match=r"summary.json is another program's, and a night would replace it\."):
        classify(night, theirs.parent, here)
    assert theirs.read_text() == '{"status": "theirs"}'
    assert not (theirs.parent / "predictions.csv").exists()


def test_without_a_champion_it_says_how_to_get_one(
    here: Params, night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'empty.db'}")
    with pytest.raises(NightshiftError, match="No version of nightshift is @champion"):
        classify(night, tmp_path / "out", here)


def test_outside_a_project_the_command_says_where_to_go(tmp_path: Path) -> None:
    done = nightshift("classify", ".", "out", "--no-prefect", cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert "Change to the folder of your Nightshift project" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_starts_in_well_under_a_second() -> None:
    times = []
    for _ in range(3):
        before = os.times()
        subprocess.run([NIGHTSHIFT, "--help"], check=True, stdout=subprocess.DEVNULL)
        after = os.times()
        times.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert min(times) < 1, "seconds of processor time"


@pytest.mark.usefixtures("here")
def test_a_small_night_imports_nothing_that_it_does_not_need(night: Path, tmp_path: Path) -> None:
    words = ["nightshift", "classify", str(night), str(tmp_path / "out"), "--no-prefect"]
    code = (
        f"import atexit, sys; sys.argv = {words}; atexit.register(lambda: print(*sys.modules)); "
        "from flows.cli.start import main; main()"
    )
    around = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    run = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True, env=around)
    assert (tmp_path / "out/morning.html").is_file()
    found = {name.partition(".")[0] for name in run.stdout.splitlines()[-1].split()}
    assert {"numpy", "PIL", "jinja2"} <= found, "for the counts, the pictures and the pages"
    unneeded = (
        "faiss fsspec keras mlflow openvino pandas prefect pyarrow pydicom requests scipy sklearn sqlalchemy upath"
    )
    assert not found & set(unneeded.split())
    client = MlflowClient(Store.of_project().address)
    experiment = client.get_experiment_by_name("nightshift-nights")
    assert "out" in [one.info.run_name for one in client.search_runs([experiment.experiment_id])], "it is recorded"


def test_a_night_by_a_model_of_another_name(trained: Path, night: Path, tmp_path: Path) -> None:
    nightshift("classify", str(night), str(tmp_path / "a"), "--no-prefect", "--model", "nightshift", cwd=trained)
    assert len(list(read_rows(tmp_path / "a/predictions.csv"))) == 10
    words = ("classify", str(night), str(tmp_path / "b"), "--no-prefect", "--model", "nobody")
    done = nightshift(*words, cwd=trained, check=False)
    assert done.returncode == 1
    assert "No version of nobody is @champion" in done.stderr
    assert not (tmp_path / "b/predictions.csv").exists()
