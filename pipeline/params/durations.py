"""Durations as people write them -> seconds. Reads nothing."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0  # seconds
UNITS = {"s": 1.0, "second": 1.0, "min": MINUTE, "minute": MINUTE, "h": HOUR, "hour": HOUR, "d": DAY, "day": DAY}
LONGEST = 100 * 365.25 * DAY
_DURATION = re.compile(rf"(\d+(?:\.\d+)?)? *(?:({'|'.join(UNITS)})s?)?")


def seconds_in(value: Any) -> float:
    """A duration as seconds: `10s`, `5 min`, `2 hours`, `day`, or a number of seconds. Raises ValueError."""
    found = -1.0
    if isinstance(value, int | float) and not isinstance(value, bool):
        found = float(value)
    elif isinstance(value, str) and value.strip() and (parts := _DURATION.fullmatch(value.strip())):
        found = float(parts[1] or 1) * UNITS[parts[2] or "s"]
    if not 0 < found <= LONGEST:
        raise ValueError(
            f"{value!r} is not a valid duration; it must be like 10s, 5 min, 2 hours or 1 day, above 0 and at most 100 "
            "years"
        )
    return found


Seconds = Annotated[float, BeforeValidator(seconds_in)]
