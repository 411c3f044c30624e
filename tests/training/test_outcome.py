"""What is said of a fitted network; whole trainings are in test_training.py."""

import logging

import pytest

from pipeline.core.log import log
from pipeline.core.terminal import MARKED
from pipeline.model.certificate import Certificate
from pipeline.training.calibration import Calibration
from pipeline.training.outcome import report_threshold, warn_of_gap
from tests.fixtures.certificates import CERTIFIED, UNCERTAIN


@pytest.mark.parametrize(("gap", "warned"), [(0.11, True), (0.1, False), (-0.3, False)])
def test_a_network_that_learnt_by_heart_is_warned_about(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, gap: float, warned: bool
) -> None:
    monkeypatch.setattr(log, "propagate", True)
    warn_of_gap(gap, max_gap=0.1)
    assert ("Overfitting" in caplog.text and "`augment`" in caplog.text) == warned


@pytest.mark.parametrize(
    ("certificate", "level", "words"),
    [
        pytest.param(CERTIFIED, logging.INFO, CERTIFIED.words, id="certified"),
        pytest.param(UNCERTAIN, logging.WARNING, UNCERTAIN.words, id="not certified"),
        pytest.param(None, logging.INFO, "Not certified: train.target_confidence is null.", id="not asked for"),
    ],
)
def test_the_log_says_whether_the_threshold_is_certified(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, certificate: Certificate | None, level: int,
    words: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(log, "propagate", True)
    caplog.set_level(logging.INFO)
    report_threshold(Calibration(1.0, 0.625, {}, certificate))
    [said] = caplog.records
    assert said.levelno == level
    assert said.getMessage() == f"Answers with a confidence below 0.625 are unsure. {words}"
    caplog.clear()
    monkeypatch.setenv(MARKED, "lines")
    report_threshold(Calibration(1.0, 0.625, {}, certificate))
    again = "\n".join(one.getMessage() for one in caplog.records)
    assert (words in again) == (certificate is None), "`nightshift train` says it at its end"
