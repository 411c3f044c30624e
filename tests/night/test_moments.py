"""Times on pages and in messages are for people."""

import datetime

import pytest

from pipeline.night.moments import spoken


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        ("2026-01-01T21:41:49.630000+00:00", "", "2026-01-01 22:41:49 UTC+01:00"),
        ("2026-01-01T21:41:49.1+00:00", "2026-01-01T21:41:49.9+00:00", "2026-01-01 22:41:49 UTC+01:00"),
        (
            "2026-01-01T22:41:49+00:00",
            "2026-01-02T00:00:01+01:00",
            "2026-01-01 23:41:49 to 2026-01-02 00:00:01 UTC+01:00",
        ),
        ("2026-01-01T21:41:49.25", "2026-01-01T21:42:00", "2026-01-01 21:41:49 to 21:42:00"),
        ("", "", ""),
    ],
)
def test_a_time_is_shown_to_the_second_in_one_form(start: str, end: str, words: str) -> None:
    assert spoken(start, end, datetime.timezone(datetime.timedelta(hours=1))) == words
