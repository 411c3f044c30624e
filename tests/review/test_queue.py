"""Two pages get different images, and what nobody looks at any more is free again."""

from pipeline.review.queue import LEASE, Queue

NOTHING = frozenset[str]()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def everything(_image: str) -> bool:
    return True


def test_two_pages_get_different_images_and_each_its_own_again() -> None:
    queue = Queue("abcdef")
    assert queue.take("one", 2, everything, NOTHING) == ["a", "b"]
    assert queue.take("two", 2, everything, NOTHING) == ["c", "d"]
    assert queue.take("one", 2, everything, NOTHING) == ["a", "b"], "as after loading the page again"
    assert queue.take("three", 9, everything, NOTHING) == ["e", "f"]


def test_a_page_that_takes_others_gives_up_its_first() -> None:
    queue = Queue("abcd")
    queue.take("one", 1, everything, NOTHING)
    assert queue.take("one", 1, everything, frozenset("a")) == ["b"]
    assert queue.take("two", 2, everything, NOTHING) == ["a", "c"]


def test_what_a_page_holds_is_free_after_its_last_sign_of_life() -> None:
    clock = Clock()
    queue = Queue("ab", clock)
    queue.take("one", 1, everything, NOTHING)
    clock.now = LEASE - 1
    queue.alive("one")
    clock.now = LEASE + 1
    assert queue.take("two", 1, everything, NOTHING) == ["b"]
    clock.now = 2 * LEASE
    assert queue.take("two", 2, everything, NOTHING) == ["a", "b"]


def test_closed_images_are_passed_over_until_they_are_opened_again() -> None:
    queue, closed = Queue("abc"), {"a", "b"}
    assert queue.take("one", 3, lambda image: image not in closed, NOTHING) == ["c"]
    closed.clear()
    queue.reopened()
    assert queue.take("one", 3, lambda image: image not in closed, NOTHING) == ["a", "b", "c"]


def test_a_new_order_keeps_who_looks_at_what() -> None:
    queue = Queue("abc")
    queue.take("one", 1, everything, NOTHING)
    queue.reorder("cba")
    assert queue.take("two", 3, everything, NOTHING) == ["c", "b"]
