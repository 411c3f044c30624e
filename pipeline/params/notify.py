"""The parameters of messages by label: which answers somebody wants to know of at once. Reads nothing."""

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from pipeline.params.data import Section

SECONDS = {"s": 1, "second": 1, "min": 60, "minute": 60, "h": 3600, "hour": 3600, "day": 86400}
_RATE = re.compile(rf"(\d+) per (?:(\d+) )?({'|'.join(SECONDS)})s?")


class Rate(Section):
    """How many messages in how much time."""

    count: int = Field(ge=1)
    seconds: int = Field(ge=1)


class When(Section):
    """Answers that somebody wants to know of."""

    label: str = Field(min_length=1)
    camera: str | None = None  # the column `camera` of predictions.csv, or the first folder of the path; None: any
    # certified: the row is `ok`; a number: at least this confidence, whatever the row's status
    confidence: Literal["certified"] | Annotated[float, Field(ge=0, le=1)] = "certified"
    at_most: Rate | None = None  # messages about one camera; None: one a night, or one for each look of `collect`

    @field_validator("at_most", mode="before")
    @classmethod
    def _a_rate(cls, value: Any) -> Any:
        if value is None or isinstance(value, Rate):
            return value
        found = _RATE.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            raise ValueError(f"{value!r} is not a valid rate; write it as `1 per 10 min`, `3 per hour` or `5 per day`")
        return Rate(count=int(found[1]), seconds=int(found[2] or 1) * SECONDS[found[3]])


class Notify(Section):
    """Messages besides those about how a night ended."""

    when: list[When] = Field(default_factory=list)
