"""How fast a network is, and a duration in words."""

import pytest

from pipeline.search.embedded import in_words, undisturbed_rate


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
