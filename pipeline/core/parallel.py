"""Work on many threads whose results come in order, with a bounded number in flight. Knows nothing of the work."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

IN_FLIGHT = 4  # items begun for each worker: enough to hide one slow file, few enough to hold in memory


def ordered_map(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """`function` of each item, in the order of the items, computed ahead by `workers` threads.

    However many items there are, at most IN_FLIGHT a worker are begun and not yet taken.
    """
    with ThreadPoolExecutor(workers) as pool:
        begun: deque[Future[Result]] = deque()
        try:
            for item in items:
                begun.append(pool.submit(function, item))
                if len(begun) >= IN_FLIGHT * workers:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:  # after an error, or when nobody takes the rest, nothing more is begun
            for future in begun:
                future.cancel()
