"""What is wrong with a summary.json, in words: it is damaged, or another program's. Opens no file."""

from collections.abc import Collection

from pydantic import ValidationError

from pipeline.core.errors import NightshiftError
from pipeline.core.text import shown

QUOTED = 40  # characters of a value


class SummaryError(NightshiftError):
    """A summary.json cannot be read."""


class ForeignSummaryError(SummaryError):
    """A summary.json has nothing of a night's: another program has written it."""


def fault_in(file: object, error: ValidationError, required: Collection[str]) -> SummaryError:
    """The error to raise for a file that is not a night's summary. required: the keys that every night's has."""
    faults = error.errors()
    missing = {fault["loc"][0] for fault in faults if fault["type"] == "missing" and len(fault["loc"]) == 1}
    first = faults[0]
    key, value = ".".join(map(str, first["loc"])), first["input"]
    kind: type[SummaryError] = SummaryError
    match first["type"]:
        case "model_type" if not first["loc"]:
            kind, why = ForeignSummaryError, "another program has written it: it is not a JSON object"
        case "missing" if missing >= set(required):
            kind, why = ForeignSummaryError, "another program has written it: it has none of the keys"
        case "json_invalid":
            why = "the text in it is not whole JSON" if value else "it is empty"
        case "missing":
            why = f"{key} is missing"
        case "value_error":
            why = f"{key}: {first['ctx']['error']}"
        case _:
            why = f"{key} cannot be “{shown(str(value)[:QUOTED])}”"
    return kind(f"{file} is not the summary of a night ({why}). Restore the file, or run the night again.")
