"""Results come in order, few are in flight, and an error ends the work."""

import threading
import time

import pytest

from pipeline.core.parallel import IN_FLIGHT, ordered_map


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_results_come_in_the_order_of_the_items(workers: int) -> None:
    def slow_for_some(number: int) -> int:
        time.sleep(0.002 if number % 3 == 0 else 0)
        return number * number

    assert list(ordered_map(slow_for_some, range(50), workers)) == [number * number for number in range(50)]


def test_no_more_are_begun_than_can_be_held() -> None:
    begun = 0
    lock = threading.Lock()

    def count(_: int) -> None:
        nonlocal begun
        with lock:
            begun += 1

    results = ordered_map(count, range(10_000), 2)
    for _ in range(5):
        next(results)
    time.sleep(0.1)
    assert begun <= 5 + 2 * IN_FLIGHT


def test_an_error_comes_out_and_what_was_not_begun_stays_so() -> None:
    done = []

    def fails_at_three(number: int) -> None:
        if number == 3:
            raise ValueError("three")
        done.append(number)

    with pytest.raises(ValueError, match="three"):
        list(ordered_map(fails_at_three, range(1000), 2))
    assert len(done) < 3 + 3 * IN_FLIGHT
