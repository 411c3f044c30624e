"""Pages of a night that need no other file: their look, their parts, and how a template becomes one. Judges nothing."""

from pathlib import Path
from typing import Any


def render(template: str, **values: Any) -> str:
    """The page that `template`, a file beside this module, makes of `values`; no value becomes markup."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(template).render(**values)
