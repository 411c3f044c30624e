"""What is said of a fitted network; whole trainings are in test_training.py."""

import pytest

from pipeline.core.log import log
from pipeline.training.outcome import warn_of_gap


@pytest.mark.parametrize(("gap", "warned"), [(0.11, True), (0.1, False), (-0.3, False)])
def test_a_network_that_learnt_by_heart_is_warned_about(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, gap: float, warned: bool
) -> None:
    monkeypatch.setattr(log, "propagate", True)
    warn_of_gap(gap, max_gap=0.1)
    assert ("Overfitting" in caplog.text and "`augment`" in caplog.text) == warned
