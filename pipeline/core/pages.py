"""The pages' frame: one Jinja environment for all templates, and pictures inside a page. Judges nothing."""

import base64
from typing import Any


def render(template: str, **values: Any) -> str:
    """The page that `template`, such as `night/morning.html` below `pipeline/`, makes of `values`.

    In HTML no value becomes markup; Markdown has the filter `cell`.
    Raises jinja2.UndefinedError for a value that the template lacks.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("pipeline", ""), autoescape=select_autoescape(["html"]), undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["cell"] = as_cell
    return environment.get_template(template).render(**values)


def as_cell(value: object) -> str:
    """Text that stands in a Markdown table as it is: no column ends in it, and nothing in it is markup."""
    text = " ".join(str(value).split())
    for mark in ("\\", "|", "*", "_", "`", "<", "["):
        text = text.replace(mark, f"\\{mark}")
    return text


def data_uri(picture: bytes, form: str) -> str:
    """A picture's bytes, encoded as `form` (png, jpeg, webp), as the address that stands in a page in their place."""
    return f"data:image/{form};base64," + base64.b64encode(picture).decode("ascii")
