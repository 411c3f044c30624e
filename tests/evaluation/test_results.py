"""The results on disk: the same keys and digits as ever, and refused with words where they cannot be read."""

import json
from pathlib import Path

import pytest

from pipeline.core.errors import NightshiftError
from pipeline.core.paths import EVALUATION, TRAINING_METRICS
from pipeline.evaluation.results import (
    Interval,
    read_evaluation,
    read_training,
    write_evaluation,
    write_training,
)
from tests.fixtures.evaluations import an_evaluation
from tests.fixtures.project import REPOSITORY


def test_the_files_are_written_as_they_were_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    before = [file.read_bytes() for file in (EVALUATION, TRAINING_METRICS)]
    evaluation, training = read_evaluation(), read_training()
    monkeypatch.chdir(tmp_path)
    write_evaluation(evaluation)
    write_training(training)
    assert [file.read_bytes() for file in (EVALUATION, TRAINING_METRICS)] == before


def test_a_metric_is_a_key_like_any_other_and_stands_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    evaluation = an_evaluation(accuracy=Interval(value=0.9, low=0.8, high=1.0), roc_auc=None)
    write_evaluation(evaluation)
    found = json.loads(EVALUATION.read_text())
    assert list(found)[:4] == ["images", "accuracy", "roc_auc", "expected_calibration_error_without_temperature"]
    assert found["roc_auc"] is None
    assert "corrupted_balanced_accuracy" not in found, "nobody asked for it"
    assert read_evaluation() == evaluation


def test_numbers_of_earlier_versions_without_intervals_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    evaluation = an_evaluation(accuracy=Interval(value=0.9, low=0.8, high=1.0))
    write_evaluation(evaluation)
    found = json.loads(EVALUATION.read_text())
    assert found["accuracy_when_sure"] == 0.95
    assert list(found["classes"]["cat"]) == ["precision", "recall", "f1", "roc_auc", "average_precision", "images"]
    assert read_evaluation() == evaluation


def test_a_metric_is_shown_with_its_doubt() -> None:
    assert str(Interval(value=0.87654, low=0.8, high=0.9123)) == "0.877 [0.800, 0.912]"
    assert str(Interval(value=0.87654)) == "0.877 [too few images]"


def test_a_metric_that_is_not_defined_is_not_taken_for_one() -> None:
    with pytest.raises(KeyError, match="roc_auc"):
        an_evaluation(roc_auc=None).of("roc_auc")


@pytest.mark.parametrize("content", [None, "{}", "no JSON", '{"accuracy": 0.9}'])
def test_a_file_that_cannot_be_read_is_named_with_the_way_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    EVALUATION.parent.mkdir()
    if content is not None:
        EVALUATION.write_text(content)
    with pytest.raises(NightshiftError, match=r"reports/evaluation\.json.*nightshift train"):
        read_evaluation()
