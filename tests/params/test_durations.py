"""Durations as people write them, the same for cameras and for messages."""

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.params.collect import Source
from pipeline.params.notify import When

SPELT = [("10s", 10), ("10 seconds", 10), ("1.5min", 90), ("5 min", 300), ("minute", 60), ("2h", 7200), ("hour", 3600),
         ("2 hours", 7200), ("1d", 86400), ("3 days", 259200), ("90", 90), ("0.5 s", 0.5)]  # fmt: skip


@pytest.mark.parametrize(("text", "seconds"), SPELT)
def test_a_camera_and_a_message_read_one_spelling_alike(text: str, seconds: float) -> None:
    rate = When.model_validate({"label": "fire", "at_most": f"3 per {text}"}).at_most
    assert rate is not None
    assert (Source(name="a", address="x", every=text).every, rate.seconds, rate.count) == (seconds, seconds, 3)


@pytest.mark.parametrize(
    "value", ["soon", "1 week", "-5s", "0s", "1e3s", "9" * 400, "", 0, True, (), float("inf"), float("nan")]
)
def test_what_is_not_a_duration_is_refused_with_the_same_words(value: Any) -> None:
    words = "is not a valid duration; it must be like 10s, 5 min, 2 hours or 1 day, above 0 and at most 100 years"
    with pytest.raises(ValidationError, match=words):
        Source.model_validate({"name": "a", "address": "x", "gap": value})
    if isinstance(value, str) and value:
        with pytest.raises(ValidationError, match=words):
            When.model_validate({"label": "fire", "at_most": f"1 per {value}"})
