"""YAML as values, read by the C library where it is there: the Python one takes a tenth of a second for params.yaml."""

from typing import Any

import yaml

QUICK = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parsed(text: str) -> Any:
    """The values in `text`. Raises yaml.YAMLError, which shows the line."""
    try:
        return yaml.load(text, Loader=QUICK)  # noqa: S506 - both are safe
    except yaml.YAMLError:
        return yaml.safe_load(text)  # the C library's errors do not show it
