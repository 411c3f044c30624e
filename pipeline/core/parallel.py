"""A map on many threads: results in order, a bounded number of items in flight. Knows nothing about the work."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

IN_FLIGHT = 4  # items begun per worker: enough to hide one slow file, few enough to hold in memory


def ordered_map(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Yield `function(item)` for each item, in the order of the items; `workers` threads compute ahead.

    However many items there are, at most IN_FLIGHT per worker are begun and not yet yielded.
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
        finally:  # after an error, or when the caller stops early, begin no further item
            for future in begun:
                future.cancel()
