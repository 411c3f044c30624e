"""A burst is what one camera takes with small gaps; what a picture does not say is not guessed."""

import numpy as np
import pandas as pd
import pytest

from pipeline.data.bursts import burst_numbers, bursts_of, camera_of


@pytest.mark.parametrize(
    ("camera", "path", "expected"),
    [
        ("gate-2", "north/1.jpg", "gate-2"),
        ("", "north/1.jpg", "north"),
        ("", "north/2026-11-26/100/1.jpg", "north"),
        ("", "site 3/cam 1/1.jpg", "site 3/cam 1"),
        ("", "2026-11-26/1.jpg", ""),
        ("", "1.jpg", ""),
    ],
)
def test_a_picture_without_a_camera_has_its_folder_unless_that_is_a_date(camera: str, path: str, expected: str) -> None:
    assert camera_of(camera, path) == expected


def test_gaps_under_the_limit_join_whatever_the_order_and_clocks_that_cannot_be_compared_never_do() -> None:
    taken = [
        ("a", "2026-11-26T10:00:58+01:00"),  # 29 s after the second
        ("a", "2026-11-26T09:00:29+00:00"),
        ("a", "2026-11-26T09:01:28+00:00"),  # 30 s after the first
        ("b", "2026-11-26T09:00:29+00:00"),
        ("a", "2026-11-26T09:00:29"),  # nobody knows where
        ("a", ""),
        ("a", "yesterday"),
    ]
    numbers = burst_numbers(*zip(*taken, strict=True), 30)
    assert numbers[0] == numbers[1]
    assert len({*numbers[1:5].tolist()}) == 4
    assert numbers[5:].tolist() == [-1, -1]


def test_a_table_without_times_has_no_bursts_and_a_class_is_no_camera() -> None:
    table = pd.DataFrame({"path": ["cat/1.jpg", "dog/2.jpg"]})
    assert bursts_of(table, 30).tolist() == [-1, -1]
    timed = table.assign(camera=[None, ""], taken_at=["2026-11-26T09:00:00", "2026-11-26T09:00:10.5"])
    assert bursts_of(timed, 30).tolist() == [0, 0]
    assert bursts_of(timed.assign(taken_at=[np.nan, "2026-11-26T09:00:00"]), 30).tolist() == [-1, 0]
