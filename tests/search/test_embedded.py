"""How fast a network is, how long its features take, and a duration in words."""

import itertools
import time

import pytest

from pipeline.core.terminal import progress_bar
from pipeline.search.candidates import Base
from pipeline.search.embedded import TooSlow, in_time, in_words, undisturbed_rate


@pytest.mark.parametrize(
    ("calls", "rate"),
    [
        ([(32, 1.0)], 32),
        ([(32, 9.0), (32, 0.1)], 320),
        ([(32, 9.0), *[(32, 0.1)] * 20, *[(32, 5.0)] * 20], 320),
        ([(32, 9.0), *[(32, 0.1)] * 20, (8, 0.025)], 320),
    ],
    ids=["one call", "the first warms up", "other work beside", "a last, smaller batch"],
)
def test_a_networks_speed_is_what_it_reaches_undisturbed(calls: list[tuple[int, float]], rate: float) -> None:
    assert undisturbed_rate(calls) == pytest.approx(rate)


@pytest.mark.parametrize(("seconds", "words"), [(3.2, "3 s"), (89.4, "89 s"), (100, "2 minutes"), (3599, "60 minutes")])
def test_a_duration_is_said_in_the_unit_that_fits(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_features_that_fit_into_the_time_are_computed_and_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten images each ten seconds, and one hundred of them: about 100 s. No terminal, so nobody sees the bar."""
    base = Base("efficientnet_lite0", "package", 224, 224)
    monkeypatch.setattr(time, "monotonic", itertools.count(0.0, 10.0).__next__)
    with progress_bar(total=100) as bar:
        fitting = in_time(bar, 100, base, began=0.0, longest=150.0)
        for _ in range(10):
            fitting(10)
    monkeypatch.setattr(time, "monotonic", itertools.count(0.0, 10.0).__next__)
    with progress_bar(total=100) as bar, pytest.raises(TooSlow, match="would take about 2 minutes"):
        in_time(bar, 100, base, began=0.0, longest=60.0)(10)
