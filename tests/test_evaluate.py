"""The numbers of an evaluation, and that whatever the answers are like it ends with numbers and pages."""

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
    FIGURES,
    MODEL,
    MODEL_CARD,
    ROBUSTNESS,
    SLICES,
    TEST_PREDICTIONS,
)
from pipeline.data.units import unit_numbers
from pipeline.evaluate import evaluate, headlines, per_class
from pipeline.params.model import Intervals
from tests.fixtures.evaluations import PARAMS, judge, tables, write_colour_model, write_images
from tests.fixtures.project import REPOSITORY, change_params

# Two a right, one a taken for a b (sure of it), one b right but unsure; no c among the images.
JUDGED = judge([0, 0, 0, 1], [[0.9, 0.1, 0], [0.8, 0.1, 0.1], [0.05, 0.95, 0], [0.3, 0.4, 0.3]])


def test_every_number_of_a_small_case_worked_by_hand() -> None:
    found = evaluate(JUDGED, PARAMS, seed=1)
    assert found["images"] == 4
    assert found["accuracy"]["value"] == 0.75
    assert found["balanced_accuracy"]["value"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["macro_precision"]["value"] == pytest.approx((1 + 1 / 2) / 2)
    assert found["macro_f1"]["value"] == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert found["log_loss"]["value"] == pytest.approx(-np.log([0.9, 0.8, 0.05, 0.4]).mean(), rel=1e-6)
    assert found["top_2_accuracy"]["value"] == 1.0
    assert "top_3_accuracy" not in found, "there are no more than three classes"
    # Of a: 0.9 and 0.8 are above b's 0.3, 0.05 is not. Of b: 0.4 is above 0.1 and 0.1, not above 0.95.
    assert found["roc_auc"]["value"] == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert found["unsure_share"] == 0.25
    assert found["accuracy_when_sure"] == pytest.approx(2 / 3)
    assert found["classes"]["a"] == {
        "precision": 1.0, "recall": pytest.approx(2 / 3), "f1": 0.8, "roc_auc": pytest.approx(2 / 3),
        "average_precision": pytest.approx(1 / 3 + 1 / 3 + 1 / 3 * 3 / 4), "images": 3,
    }  # fmt: skip
    assert found["classes"]["b"]["precision"] == 0.5
    assert found["classes"]["c"] == {
        "precision": 0.0, "recall": 0.0, "f1": 0.0, "roc_auc": None, "average_precision": None, "images": 0,
    }  # fmt: skip


def test_when_nothing_is_sure_there_is_no_accuracy_of_the_sure() -> None:
    unsure = judge(JUDGED.answers.labels, JUDGED.answers.probabilities, unsure_below=1.0)
    assert evaluate(unsure, PARAMS, seed=1)["accuracy_when_sure"] is None


def test_the_mean_of_the_classes_is_the_headline() -> None:
    rng = np.random.default_rng(0)
    labels, probabilities = rng.integers(0, 4, 60), rng.dirichlet(np.ones(4), 60)
    judged = judge(labels, probabilities)
    found = headlines(judged.answers, PARAMS, 1, judged.groups)
    classes = per_class(judged.answers, judged.class_names).values()
    pairs = {"balanced_accuracy": "recall", "macro_precision": "precision", "macro_f1": "f1"}
    for headline, of_class in {**pairs, "roc_auc": "roc_auc", "average_precision": "average_precision"}.items():
        assert found[headline]["value"] == pytest.approx(np.mean([one[of_class] for one in classes]), abs=1e-6)


def test_images_of_one_scene_are_no_independent_evidence() -> None:
    rng = np.random.default_rng(0)
    labels, probabilities = np.repeat(rng.integers(0, 2, 40), 5), np.repeat(rng.dirichlet([1, 1], 40), 5, axis=0)
    table = tables(["a"] * 200).assign(cluster=np.repeat(np.arange(40), 5).astype(str))
    params = Intervals(interval_level=0.95, resamples=1000)

    def width(groups: Any) -> float:
        metric = headlines(judge(labels, probabilities).answers, params, 1, groups)["accuracy"]
        return float(metric["high"] - metric["low"])

    assert width(unit_numbers(table)) > 1.8 * width(np.arange(200))


def test_a_large_test_split_ranks_fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, int] = {}

    def counting(*known: Any) -> dict[str, None]:
        asked.update(dict.fromkeys(known[2], known[3].resamples))
        return {}

    monkeypatch.setattr(stage, "intervals", counting)
    monkeypatch.setattr(stage, "RANKED_WORK", 300 * 4 * 3)
    headlines(JUDGED.answers, Intervals(interval_level=0.95, resamples=2000), 1, JUDGED.groups)
    assert (asked["accuracy"], asked["roc_auc"]) == (2000, 300)


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
        pytest.param([0, 1, 2] * 3, [0, 1, 2] * 2 + [1, 2, 0], "sure", id="some wrong"),
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
    right = float(np.mean(np.array(labels) == shown))
    assert found["accuracy"]["value"] == pytest.approx(right)
    assert found["unsure_share"] == (1.0 if models == "unsure" else 0.0)
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
    run_stage(tmp_path, colours / "sure", [0, 1, 2] * 3, [0, 1, 2] * 2 + [1, 2, 0])
    files = (EVALUATION, EVALUATION_REPORT, MODEL_CARD, ROBUSTNESS, SLICES, TEST_PREDICTIONS)
    before = [file.read_bytes() for file in files]
    stage.main()
    assert [file.read_bytes() for file in files] == before


def test_what_is_not_asked_for_is_not_done(colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stage, "explain", None)
    found = run_stage(tmp_path, colours / "sure", [0, 1], [0, 1], robustness=False, explained=0, slices=[])
    assert "corrupted_balanced_accuracy" not in found
    assert found["slices"] == {"compared": 0, "worse": 0}
    assert not {file.stem for file in FIGURES.glob("*.png")} & {"robustness", "corruptions", "evidence", "slices"}
    assert "Not asked" in EVALUATION_REPORT.read_text()
    assert "Worse pictures were not tried" in MODEL_CARD.read_text()
    assert list(pd.read_csv(ROBUSTNESS).columns)[:2] == ["corruption", "strength"]
