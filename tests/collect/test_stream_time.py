"""How far behind a live stream we read."""

import pytest

from pipeline.collect.stream_time import Lag


@pytest.mark.parametrize(
    ("read", "late"),
    [
        ([(0.0, 100.0), (1.0, 101.0), (2.0, 102.9), (3.0, 104.1), (4.0, 104.2)], [False, False, False, True, False]),
        ([(0.0, 100.0), (1.0, 103.0), (2.0, 104.0), (5.0, 105.0)], [False, True, True, False]),
        ([(0.0, 100.0), (3600.0, 3700.5), (7200.0, 7301.0), (7201.0, 7302.0)], [False] * 4),
        ([(500.0, 100.0), (501.0, 101.0), (0.0, 101.1), (1.0, 102.1), (2.0, 104.2)], [False] * 4 + [True]),
        ([(None, 100.0), (1.0, 100.0), (None, 300.0)], [False] * 3),
    ],
    ids=["late-and-up-again", "a-stall", "a-slow-clock", "counts-again-from-0", "no-stamps"],
)
def test_we_are_late_when_frames_are_read_a_second_after_they_could_be(
    read: list[tuple[float | None, float]], late: list[bool]
) -> None:
    lag = Lag()
    assert [lag.is_late(stamp, at) for stamp, at in read] == late
