"""The headline numbers in words."""

from typing import Any

import pandas as pd
import pytest

from pipeline.evaluation.findings import Results, headline_rows, in_words
from pipeline.evaluation.slices import COLUMNS

METRICS: dict[str, Any] = {
    "images": 40,
    "accuracy": {"value": 0.874, "low": 0.82, "high": 0.918},
    "balanced_accuracy": {"value": 0.8, "low": 0.7, "high": 0.9},
    "log_loss": {"value": 0.3, "low": 0.2, "high": 0.4},
    "roc_auc": None,
    "unsure_share": 0.2,
    "accuracy_when_sure": 0.95,
    "classes": {"cat": {"images": 30}, "dog": {"images": 10}},
}


def test_an_evaluation_in_words() -> None:
    first, second = in_words(METRICS, 0.95)
    assert "about 87 right; with 95% confidence between 82 and 92" in first
    assert "most frequent class would get 75 right" in first
    assert second == "It says “unsure” of 20 of 100; of the others 95.0 % are right."


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"unsure_share": 1.0, "accuracy_when_sure": None}, "unsure of every image", id="never sure"),
        pytest.param({"unsure_share": 0.0}, "sure of every image", id="always sure"),
        pytest.param(
            {"accuracy": {"value": 1.0, "low": 1.0, "high": 1.0}}, "says less than it seems to", id="no mistakes"
        ),
    ],
)
def test_words_for_the_ends_of_the_scale(changes: dict[str, Any], words: str) -> None:
    assert words in in_words(METRICS | changes, 0.95)[-1]


def test_headlines_are_those_that_are_defined_with_what_guessing_gives() -> None:
    rows = {row.title: row for row in headline_rows(METRICS)}
    assert list(rows) == ["Accuracy", "Balanced accuracy", "Log loss"]
    assert (rows["Accuracy"].value, rows["Accuracy"].interval) == ("87.4 %", "82.0 % to 91.8 %")
    assert (rows["Log loss"].value, rows["Log loss"].interval) == ("0.300", "0.200 to 0.400")
    assert "50.0 %" in rows["Balanced accuracy"].meaning
    assert "0.693" in rows["Log loss"].meaning


def test_worse_slices_are_the_flagged_ones() -> None:
    rows = [("site", "x", 30, 0.5, 0.4, 0.6, 0.5, 0.1, 0.001, True), ("site", "y", 30, 0.9, 0.8, 1, 0.9, 0.1, 1, False)]
    results = Results(METRICS, pd.DataFrame(rows, columns=list(COLUMNS)), None, None)
    assert [one["value"] for one in results.worse_slices] == ["x"]
