"""The parameters of messages by label: which answers somebody wants to know of at once. Reads nothing."""

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from pipeline.params.data import Section
from pipeline.params.durations import seconds_in

_RATE = re.compile(r"(\d+) per (.+)")


class Rate(Section):
    """How many messages in how much time."""

    count: int = Field(ge=1)
    seconds: float = Field(gt=0)


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
        return Rate(count=int(found[1]), seconds=seconds_in(found[2]))


class Notify(Section):
    """Messages besides those about how a night ended."""

    when: list[When] = Field(default_factory=list)
