"""How a command ends: errors that a person can mend as words, everything else as a traceback."""

import logging
import os
import sys
from collections.abc import Callable

from pipeline.errors import NightshiftError


def run(main: Callable[[], None]) -> int:
    """Run `main` with the log on standard error; returns the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    for chatty in ("great_expectations", "mlflow", "alembic", "absl", "matplotlib", "openvino"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        main()
    except NightshiftError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201 - the command's answer
        return 1
    except OSError as error:
        if error.errno is None:
            raise
        place = f" ({error.filename})" if error.filename else ""
        print(f"Error: {os.strerror(error.errno)}{place}.", file=sys.stderr)  # noqa: T201
        return 1
    return 0
