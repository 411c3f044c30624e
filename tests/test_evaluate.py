"""Whatever the answers are like, an evaluation ends with numbers and pages, the same ones every time."""

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import pytest

from pipeline import evaluate as stage
from pipeline.core.paths import (
    EVALUATION,
    EVALUATION_REPORT,
    FEW_NUMBERS,
    FIGURES,
    MODEL,
    MODEL_CARD,
    ROBUSTNESS,
    SLICES,
    TEST_PREDICTIONS,
)
from pipeline.evaluation import headlines
from pipeline.evaluation.headlines import HeadlineMetric, in_percent
from pipeline.evaluation.metrics import Labels, Metric, Probabilities, Values, Weights
from pipeline.evaluation.results import read_evaluation
from pipeline.params.file import Params
from pipeline.params.gate import Gate
from pipeline.registry.gate import decide
from pipeline.registry.runs import on_test_images
from tests.fixtures.evaluations import write_colour_model, write_images
from tests.fixtures.project import REPOSITORY, change_params


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of colours, sure and never sure, made once."""
    folder = tmp_path_factory.mktemp("colours")
    write_colour_model(folder / "sure" / MODEL, unsure_below=0.4)
    write_colour_model(folder / "unsure" / MODEL, unsure_below=1.0)
    return folder


def run_stage(folder: Path, models: Path, labels: Sequence[int], shown: Sequence[int], **params: Any) -> dict[str, Any]:
    """The stage, in the working folder `folder`; reports/evaluation.json."""
    shutil.copytree(models, folder, dirs_exist_ok=True)
    shutil.copy(REPOSITORY / "params.yaml", folder)
    change_params(folder, {"images": {"width": 16, "height": 16}, "evaluate": {"resamples": 100, **params}})
    change_params(folder, {"model": {"backbone": "cnn", "weights": "none"}})
    write_images(labels, shown)
    stage.main()

    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{constant} is no JSON")

    found: dict[str, Any] = json.loads(EVALUATION.read_text(), parse_constant=refuse)
    return found


@pytest.mark.parametrize(
    ("labels", "shown", "models"),
    [
        pytest.param([0, 1] * 4, [0, 1] * 3 + [0, 0], "sure", id="a class is missing"),
        pytest.param([0, 1, 2], [0, 1, 1], "sure", id="one image of each class"),
        pytest.param([0], [0], "sure", id="one image"),
        pytest.param([1] * 6, [1] * 5 + [0], "sure", id="one class"),
        pytest.param([0, 1, 2] * 3, [0, 1, 2] * 3, "sure", id="all right"),
        pytest.param([0, 1, 2] * 3, [1, 2, 0] * 3, "sure", id="all wrong"),
        pytest.param([0, 1, 2] * 3, [0, 1, 2] * 3, "unsure", id="all unsure"),
    ],
)
def test_whatever_the_answers_are_like_there_are_numbers_and_pages(
    labels: list[int],
    shown: list[int],
    models: str,
    colours: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    found = run_stage(tmp_path, colours / models, labels, shown)
    assert_numbers_and_pages(found, labels, shown)
    assert found["unsure_share"] == (1.0 if models == "unsure" else 0.0)


def assert_numbers_and_pages(found: dict[str, Any], labels: list[int], shown: list[int]) -> None:
    right = float(np.mean(np.array(labels) == shown))
    assert found["accuracy"]["value"] == pytest.approx(right)
    assert json.loads(FEW_NUMBERS.read_text()) == {
        "accuracy": found["accuracy"]["value"],
        "balanced_accuracy": found["balanced_accuracy"]["value"],
        "unsure_share": found["unsure_share"],
        "images": len(labels),
    }
    assert [one["images"] for one in found["classes"].values()] == [labels.count(number) for number in range(3)]
    assert len(pd.read_csv(TEST_PREDICTIONS)) == len(labels)
    assert not pd.read_csv(ROBUSTNESS).isna().any(axis=None)
    assert not pd.read_csv(SLICES).isna().any(axis=None)
    drawn = {file.stem for file in FIGURES.glob("*.png")}
    assert {"confusion_matrix", "reliability", "coverage", "rank_curves", "robustness", "evidence"} <= drawn
    assert ("mistakes" in drawn) == (right < 1)
    assert ("doubtful_hits" in drawn) == (right > 0)
    for page in (EVALUATION_REPORT.read_text(), MODEL_CARD.read_text()):
        assert not re.search(r"\bnan\b|\bNone\b|Undefined", re.sub(r"base64,[^\"]*", "", page))
        assert f"{len(labels)} test images" in page


def test_the_same_run_gives_the_same_files(colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    labels, shown = [0, 1, 2] * 3, [0, 1, 2] * 2 + [1, 2, 0]
    found = run_stage(tmp_path, colours / "sure", labels, shown)
    assert_numbers_and_pages(found, labels, shown)
    assert found["unsure_share"] == 0.0
    files = (EVALUATION, EVALUATION_REPORT, MODEL_CARD, ROBUSTNESS, SLICES, TEST_PREDICTIONS)
    before = [file.read_bytes() for file in files]
    stage.main()
    assert [file.read_bytes() for file in files] == before


def test_what_is_not_asked_for_is_not_done(colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pipeline.evaluation.measure.explain", None)
    found = run_stage(tmp_path, colours / "sure", [0, 1], [0, 1], robustness=False, explained=0, slices=[])
    assert "corrupted_balanced_accuracy" not in found
    assert found["slices"] == {"compared": 0, "worse": 0}
    assert not {file.stem for file in FIGURES.glob("*.png")} & {"robustness", "corruptions", "evidence", "slices"}
    assert "Not measured" in EVALUATION_REPORT.read_text()
    assert "Robustness was not measured" in MODEL_CARD.read_text()
    assert list(pd.read_csv(ROBUSTNESS).columns)[:2] == ["corruption", "strength"]


@Metric
def share_of_red(labels: Labels, probabilities: Probabilities, weights: Weights) -> Values:
    """How often it says red."""
    return weights @ (probabilities.argmax(axis=1) == 0) / weights.sum(axis=1)


class GateOnRed(Gate):
    """A limit more: a field that is named after the metric."""

    max_said_red: float


def test_a_new_entry_of_the_table_is_in_report_card_mlflow_and_gate(
    colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, defaults: Params
) -> None:
    monkeypatch.chdir(tmp_path)
    entry = HeadlineMetric("said_red", share_of_red, "answers", "Says red", in_percent, "How fond it is of red.")
    monkeypatch.setattr(headlines, "METRICS", (*headlines.METRICS, entry))
    run_stage(tmp_path, colours / "sure", [0, 1, 2] * 8, [0, 1, 2] * 8, robustness=False, explained=0)
    evaluation = read_evaluation()
    said = evaluation.of("said_red")
    assert said.low < said.value < said.high
    assert said.value == pytest.approx(1 / 3)
    for page in (EVALUATION_REPORT.read_text(), MODEL_CARD.read_text()):
        assert "Says red" in page
        assert "How fond it is of red." in page
        assert f"{in_percent(said.low)} to {in_percent(said.high)}" in page
    logged = on_test_images(evaluation)
    assert (logged["test_said_red"], logged["test_said_red_low"]) == (said.value, said.low)
    for limit, passed in ((0.3, False), (0.4, True)):
        gate = GateOnRed(**defaults.register_.gate.model_dump(), max_said_red=limit)
        checks = {check.name: check for check in decide(evaluation, 0.0, None, gate, 0.95).checks}
        assert checks["max_said_red"].passed == passed
        assert checks["max_said_red"].found == "said red on the test images is 0.333"
