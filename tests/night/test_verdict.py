"""What a night's numbers say: whether a person must look, and why."""

import pytest

from pipeline.night.verdict import alarms
from tests.fixtures.summaries import BATCH, DRIFT, summary_of


@pytest.mark.parametrize(
    ("outliers", "images", "p_value"),
    [(2, 8, 0.05), (4, 8, 0.001), (1, 1, 0.0001)],
    ids=["by chance", "half", "one"],
)
def test_outliers_that_false_alarms_explain_are_no_alarm(outliers: int, images: int, p_value: float) -> None:
    test = {"images": images, "expected": 0.4, "p_value": p_value}
    assert alarms(summary_of(outliers=outliers, outlier_test=test), BATCH) == []


def test_a_night_by_an_earlier_version_does_not_know_which_classes_are_sure() -> None:
    assert alarms(summary_of(labels={"good": 34}), BATCH) == []


def test_strangers_come_before_every_other_alarm() -> None:
    strangers = {"outliers": 7, "outlier_test": {"images": 8, "expected": 0.4, "p_value": 0.0}}
    first, *others = alarms(summary_of(drift=DRIFT, unreadable=6, **strangers), BATCH)
    assert first.startswith("7 of 8 images are unlike the training images (false alarms explain about 0)")
    assert len(others) == 2


def test_folders_that_could_not_be_read_are_an_alarm() -> None:
    unread = summary_of(left_aside={"folders": 2, "folder_names": ["b", "c"]})
    assert any("2 folders could not be read" in alarm and "b, c" in alarm for alarm in alarms(unread, BATCH))
    assert "left_aside" not in summary_of().model_dump(exclude_none=True)
