"""The headline numbers in words."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.evaluation.findings import Findings, headline_rows, in_words, with_suspects
from pipeline.evaluation.results import Interval
from pipeline.evaluation.slices import SLICE_COLUMNS
from pipeline.model.answers import Answers, Judged
from tests.fixtures.evaluations import an_evaluation

EVALUATION = an_evaluation(
    accuracy=Interval(value=0.874, low=0.82, high=0.918),
    balanced_accuracy=Interval(value=0.8, low=0.7, high=0.9),
    log_loss=Interval(value=0.3, low=0.2, high=0.4),
    roc_auc=None,
)


def test_an_evaluation_in_words() -> None:
    first, second = in_words(EVALUATION, 0.95)
    assert "about 87 correctly; with 95% confidence between 82 and 92" in first
    assert "most frequent class would get 75 right" in first
    assert second == "It marks 20 of 100 as unsure; of the others 95.0 % are right."


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"unsure_share": 1.0, "accuracy_when_sure": None}, "unsure of every image", id="never sure"),
        pytest.param({"unsure_share": 0.0}, "sure of every image", id="always sure"),
        pytest.param(
            {"accuracy_when_sure": Interval(value=0.95, low=0.83, high=0.99)},
            "of the others 95.0 % are right (95% interval 83.0 % to 99.0 %).",
            id="the interval of the sure ones",
        ),
    ],
)
def test_words_for_the_ends_of_the_scale(changes: dict[str, Any], words: str) -> None:
    assert words in in_words(EVALUATION.model_copy(update=changes), 0.95)[-1]


def test_headlines_are_those_that_are_defined_with_what_guessing_gives() -> None:
    rows = {row.title: row for row in headline_rows(EVALUATION)}
    assert list(rows) == ["Accuracy", "Balanced accuracy", "Log loss"]
    assert (rows["Accuracy"].value, rows["Accuracy"].interval) == ("87.4 %", "82.0 % to 91.8 %")
    assert (rows["Log loss"].value, rows["Log loss"].interval) == ("0.300", "0.200 to 0.400")
    few = EVALUATION.model_copy(update={"metrics": {"log_loss": Interval(value=0.3)}})
    assert headline_rows(few)[0].interval == "too few images"
    assert "50.0 %" in rows["Balanced accuracy"].meaning
    assert "0.693" in rows["Log loss"].meaning


def test_worse_slices_are_the_flagged_ones() -> None:
    rows = [("site", "x", 30, 0.5, 0.4, 0.6, 0.5, 0.1, 0.001, True), ("site", "y", 30, 0.9, 0.8, 1, 0.9, 0.1, 1, False)]
    findings = Findings(EVALUATION, pd.DataFrame(rows, columns=list(SLICE_COLUMNS)), None, None)
    assert [one["value"] for one in findings.worse_slices] == ["x"]


@pytest.mark.parametrize(
    ("wrong", "suspected", "words"),
    [
        pytest.param(range(5), (1, 3, 9), ["Of 5 mistakes 2 have a label that is probably wrong."], id="some"),
        pytest.param([4], (4,), ["Of 1 mistake 1 has a label that is probably wrong."], id="the only one"),
        pytest.param(range(5), (8, 9), [], id="none of them"),
        pytest.param([], (8, 9), [], id="no mistake"),
    ],
)
def test_mistakes_may_be_the_labels(wrong: Iterable[int], suspected: Iterable[int], words: list[str]) -> None:
    labels = np.zeros(10, np.int64)
    said = np.isin(np.arange(10), list(wrong)).astype(np.float32)
    answers = Answers(labels, np.stack([0.9 - 0.8 * said, 0.1 + 0.8 * said], axis=1))
    judged = Judged(answers, answers, ("a", "b"), 0.5, np.arange(10))
    rows = [{"path": f"{row}.png", "label": "a", "suggested": "b"} for row in suspected]
    nothing = Findings(EVALUATION, pd.DataFrame([], columns=list(SLICE_COLUMNS)), None, None)
    found = with_suspects(nothing, judged, [f"{row}.png" for row in range(10)], rows)
    assert found.mislabelled == words
