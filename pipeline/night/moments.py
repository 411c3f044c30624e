"""Moments as the files of a night hold them: ISO 8601 with a time zone."""

import datetime
from typing import Annotated

from pydantic import AfterValidator


def _is_moment(text: str) -> str:
    if datetime.datetime.fromisoformat(text).tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return text


Moment = Annotated[str, AfterValidator(_is_moment)]
