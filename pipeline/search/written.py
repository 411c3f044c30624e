"""Writes a trial's values into params.yaml, and nothing else of it. Chooses no trial."""

from typing import Any

from pipeline.core.errors import NightshiftError
from pipeline.core.paths import PARAMS
from pipeline.params.edit import with_values_written
from pipeline.params.file import Params, load_params
from pipeline.search.space import Values, value_of, with_values
from pipeline.storage.files import replacing

Changed = dict[str, tuple[Any, Any]]  # by the names of parameters: from what, to what


def write_values(before: Params, values: Values) -> Changed:
    """Change params.yaml, which was `before` when the trials began, to the values of one; returns what was changed.

    Raises NightshiftError when the file has changed since then, which could undo somebody's work, and when it lacks one
    of the parameters.
    """
    changed = {name: (value_of(before, name), value) for name, value in values.items()}
    changed = {name: (old, new) for name, (old, new) in changed.items() if new != old}
    new = {name: value for name, (_, value) in changed.items()}
    words = ", ".join(f"{name}: {value}" for name, value in new.items())
    if load_params() != before:
        raise NightshiftError(
            f"{PARAMS} has changed while the search ran, so the search does not write it. The best trial: {words}."
        )
    try:
        text = with_values_written(PARAMS.read_text(encoding="utf-8"), new)
    except KeyError as error:
        raise NightshiftError(
            f"{PARAMS} has no {error.args[0]}: add it, as in the params.yaml that Nightshift came with, and run the "
            f"same command again. The best trial: {words}."
        ) from None
    with replacing(PARAMS) as beside:
        beside.write_text(text, encoding="utf-8")
        if load_params(beside) != with_values(before, new):
            raise AssertionError("params.yaml would not hold the values that were tried")
    return changed
