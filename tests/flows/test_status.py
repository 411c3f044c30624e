"""What `nightshift status` says of the last night, also of a review that a spreadsheet saved, and of the last model."""

import csv
import io
import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from flows.status import mlflow_lines, status_lines, versions_table
from pipeline.core.paths import CHECKPOINTS
from pipeline.night.counts import feed
from pipeline.night.review import Candidates, write_review
from pipeline.night.rows import read_rows, to_row, write_rows
from pipeline.params.data import Images
from pipeline.registry.versions import TEST_IMAGES_TAG, Registered
from pipeline.storage.folders import folder_at
from pipeline.storage.images_lock import working_on_images
from pipeline.storage.training_record import FILE, Recorder
from tests.fixtures.models import write_colour_model
from tests.fixtures.project import REPOSITORY
from tests.fixtures.reviews import CONTRACT, NIGHT
from tests.fixtures.rows import STAMP
from tests.fixtures.summaries import SUMMARY


@pytest.fixture
def review(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The review of the only night of a project, of which nine rows are to be looked at."""
    monkeypatch.chdir(tmp_path)
    output = tmp_path / "predictions/monday"
    output.mkdir(parents=True)
    write_rows(output / "predictions.csv", [to_row(outcome, STAMP) for outcome in NIGHT])
    candidates = Candidates(500)
    feed(read_rows(output / "predictions.csv"), [candidates])
    write_review(folder_at(output), candidates.found(), {}, CONTRACT, None)
    (output / "summary.json").write_text(json.dumps(SUMMARY))
    return output / "review.csv"


@pytest.mark.parametrize("separator", [";", "\t", ","])
@pytest.mark.parametrize("encoding", ["cp1252", "utf-8-sig", "utf-16"])
def test_rows_without_a_correction_are_counted(review: Path, separator: str, encoding: str) -> None:
    with review.open(encoding="utf-8", newline="") as file:
        heading, first, *others = csv.reader(file)
    out = io.StringIO()
    judged = [*(dict(zip(heading, first, strict=True)) | {"correct_label": "k\u00e4fer"}).values()]
    csv.writer(out, delimiter=separator).writerows([heading, judged, *others])
    review.write_bytes(out.getvalue().encode(encoding))
    expected = f"{len(others)} rows of predictions/monday/review.csv have no correct_label yet"
    assert any(expected in line for line in status_lines())


def test_a_review_that_is_none_any_more_is_one_line(review: Path) -> None:
    review.write_text("something,else\n1,2\n")
    assert any("review.csv is not a night's review: it has no columns path" in line for line in status_lines())


def test_the_page_to_read_first_is_named_first(review: Path) -> None:
    assert not [line for line in status_lines() if "morning.html" in line], "it is not there"
    review.with_name("morning.html").touch()
    files = [line.strip() for line in status_lines() if line.startswith("  predictions/monday/")]
    assert [Path(file).name for file in files] == ["morning.html", "predictions.csv", "review.html"]


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What git brings of the demo's training: its lock and its reports, and no model."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(REPOSITORY / "dvc.lock", tmp_path)
    shutil.copytree(REPOSITORY / "reports", tmp_path / "reports", ignore=shutil.ignore_patterns("*.html", "figures"))
    return tmp_path


def test_a_clone_shows_no_numbers_of_a_model_that_is_not_here(clone: Path) -> None:
    said = "\n".join(status_lines())
    assert said == (
        "Last training:\n  none here: no model is in models/current, so the files of a model in reports/ are of a "
        "training elsewhere"
    )


def test_a_new_project_says_nothing_of_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert status_lines() == []


@pytest.mark.parametrize(
    ("change", "checkpoint", "expected"),
    [
        ({}, True, r"A training is at work .* [\d:]+: fine-tuning, step 120 of 300, about 4 min left \(process \d+\)"),
        ({"steps": 0, "doing": "writing the model"}, True, r"A training is at work .* [\d:]+: writing the model \(.*"),
        (
            {"seen": 1e9}, True,  # another process has its number now
            "The last training was interrupted while fine-tuning, at step 120 of 300. `nightshift train` goes on from "
            "step 90, if images, parameters and Nightshift are as they were.",
        ),
        ({"seen": 1e9, "kept": 0}, True, ".* goes on from the first step of that, if images.*"),
        ({"folder": "/a/copy"}, False, ".*, at step 120 of 300. `nightshift train` starts it again."),
        ({"host": "elsewhere"}, True, r"A training is at work since .*\(process \d+ on elsewhere\)"),
        ({"host": "elsewhere", "seen": 1e9}, True, "The last training was interrupted .*"),
    ],
    ids=["at work", "no steps", "killed", "killed early", "a copy", "another machine", "killed there"],
)  # fmt: skip
def test_a_training_at_work_or_interrupted_is_shown_and_a_dead_one_is_not_believed(
    clone: Path, rules: Images, change: dict[str, object], checkpoint: bool, expected: str
) -> None:
    recorder = Recorder(CHECKPOINTS, "key")
    (CHECKPOINTS / "key").mkdir(parents=True)
    recorder.note("fine-tuning", 120, 300, 90, 250.0)
    file = CHECKPOINTS / FILE
    found = json.loads(file.read_text())
    process = {**found["process"], **{key: value for key, value in change.items() if key in found["process"]}}
    file.write_text(json.dumps({**found, **{key: change[key] for key in change if key in found}, "process": process}))
    if checkpoint:
        (CHECKPOINTS / "key/fine_tune.npz").touch()
    [said] = status_lines()
    assert re.fullmatch(expected, said), said
    with working_on_images("nightshift train") as doing:
        doing("the stage embed")
        [said] = status_lines()
        assert said.startswith("A training is at work since ")
    write_colour_model(Path("models/current"), rules, ("a", "b"), [[1, 0]] * 3, [0, 0])
    assert ("at work" in status_lines()[0]) == ("at work" in expected), "where a model is, there was another since"
    shutil.rmtree("models/current")
    recorder.forget()
    assert status_lines()[0] == "Last training:"


def test_accuracies_of_different_test_images_are_not_side_by_side_without_a_word() -> None:
    def version(number: int, images: str) -> Registered:
        tags = {"nightshift.accuracy": "0.9", **({TEST_IMAGES_TAG: images} if images else {})}
        return Registered("nightshift", number, f"run{number}", (), tags=tags)

    assert versions_table([version(2, "a"), version(1, "a")])[1] == []
    [note] = versions_table([version(4, "b"), version(3, "a"), version(2, "b"), version(1, "")])[1]
    release = "version 1 (of an earlier release, which did not record them)"
    assert note.startswith(
        f"These accuracies may be of different test images: versions 2, 4; version 3; {release}. The"
    )
    [note] = versions_table([version(2, "b"), version(1, "a")])[1]
    assert note.startswith("These accuracies are of different test images: version 2; version 1. The gate")


@pytest.mark.parametrize("evaluated", [True, False])
def test_numbers_of_an_earlier_model_are_not_the_last_ones(clone: Path, rules: Images, evaluated: bool) -> None:
    write_colour_model(Path("models/current"), rules, ("a", "b"), [[1, 0]] * 3, [0, 0])
    if not evaluated:  # the training was stopped between its stages
        lock = yaml.safe_load(Path("dvc.lock").read_text())
        next(out for out in lock["stages"]["train"]["outs"] if out["path"] == "models/current")["md5"] = "0.dir"
        Path("dvc.lock").write_text(yaml.safe_dump(lock))
    said = "\n".join(status_lines())
    assert "  not registered: `nightshift train` puts it before the gate" in said
    assert ("accuracy on the test images" in said) == evaluated
    assert ("not evaluated yet" in said) != evaluated


@pytest.mark.parametrize(
    ("store", "expected"),
    [
        ("https://me:secret@mlflow.example.com/", ["MLflow:", "  https://mlflow.example.com/#/models/old%20leaves"]),
        ("postgresql://me:secret@db/mlflow", ["  then open http://127.0.0.1:5000/#/models/old%20leaves"]),
    ],
)
def test_the_models_page_is_named_without_a_password(
    store: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    lines = mlflow_lines("old leaves")
    assert lines[-len(expected) :] == expected
    assert "secret" not in "".join(lines)
