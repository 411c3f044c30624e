"""The project's only logger. Libraries have their own loggers, whose levels it does not change."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger("nightshift")


@contextmanager
def quiet() -> Iterator[None]:
    """Log only warnings in this block, where a progress bar shows the rest."""
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(level)
