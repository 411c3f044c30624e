"""How a command logs and ends: an error that a person can fix as one message, every other one as a traceback."""

import logging
import os
import sys
from collections.abc import Callable

from tqdm.contrib.logging import logging_redirect_tqdm

from pipeline.core.disk_errors import disk_error
from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.core.stage_code import require_known_code
from pipeline.core.surroundings import mend


def run(main: Callable[[], None]) -> int:
    """Run `main` with the log on standard error; returns the exit status."""
    mend()
    log.setLevel(logging.INFO)
    log.propagate = False  # Prefect would print every line a second time
    if not log.handlers:
        log.addHandler(logging.StreamHandler())
    try:
        require_known_code()
        with logging_redirect_tqdm([log]):
            main()
    except NightshiftError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201 - the command's answer
        return error.status
    except OSError as error:
        if error.errno is None:
            raise
        place = f" ({error.filename})" if error.filename else ""
        words = disk_error(error) or f"{os.strerror(error.errno)}{place}."
        print(f"Error: {words}", file=sys.stderr)  # noqa: T201
        return 1
    return 0
