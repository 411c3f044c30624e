"""The thread that reads, and the times at which a frame is wanted."""

import numpy as np
import pytest

from pipeline.collect.address import read_address
from pipeline.collect.frame import Frame, SourceLost, Timeouts, Why, now
from pipeline.collect.newest import Newest, newest_frames, next_due

ADDRESS = read_address("rtsp://user:geheim@cam/live")


@pytest.mark.parametrize(
    ("due", "taken", "every", "then"),
    [
        (100.0, 100.2, 10.0, 110.0),
        (100.0, 109.9, 10.0, 110.0),
        (100.0, 125.0, 10.0, 135.0),
        (100.0, 100.5, 0.0, 100.5),
    ],
    ids=["on-the-grid", "late", "a-step-was-missed", "all"],
)
def test_frames_are_wanted_on_a_grid_that_begins_again_after_a_missed_step(
    due: float, taken: float, every: float, then: float
) -> None:
    assert next_due(due, taken, every) == then


def frame_of(number: int) -> Frame | None:
    return Frame(np.full((1, 1, 3), number, np.uint8), None, None, now()) if number >= 0 else None


def test_what_the_thread_has_read_last_is_given_before_why_it_ended() -> None:
    def read(newest: Newest[int]) -> SourceLost:
        for number in (1, 2, -3, 4):
            newest.put(number)
        return SourceLost(ADDRESS, Why.ENDED, "it closed the connection to geheim.")

    source = newest_frames(ADDRESS, read, frame_of, every=0.0, timeouts=Timeouts(), stop=None)
    given: list[int] = []
    with pytest.raises(SourceLost, match=r"^rtsp://user:\*\*\*@cam/live: it closed the connection to \*\*\*\.$"):
        given.extend(int(frame.pixels[0, 0, 0]) for frame in source)
    assert given
    assert given[-1] == 4
    assert given == sorted(set(given) & {1, 2, 4})


def test_an_unforeseen_error_of_the_thread_is_raised_where_frames_are_taken() -> None:
    def read(newest: Newest[int]) -> SourceLost:
        raise ZeroDivisionError("a mistake of ours")

    with pytest.raises(ZeroDivisionError, match="a mistake of ours"):
        next(newest_frames(ADDRESS, read, frame_of, every=0.0, timeouts=Timeouts(), stop=None))


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_timeouts_that_wait_for_ever_or_not_at_all_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="must be above 0 seconds"):
        Timeouts(read=value)
