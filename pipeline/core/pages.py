"""How pages are made: one Jinja environment for all templates, and images inside a page. Knows no page's content."""

import base64
import io
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment
    from matplotlib.figure import Figure

DOTS = 110  # of a figure, per inch


def render(template: str, **values: Any) -> str:
    """Render `template`, a path below `pipeline/` such as `night/morning.html`, with `values`.

    HTML templates escape every value; Markdown templates use the filter `cell`.
    Raises jinja2.UndefinedError when the template uses a value that is missing.
    """
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("pipeline", ""), autoescape=select_autoescape(["html"]), undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["cell"] = as_cell
    return environment


def as_cell(value: object) -> str:
    """`value` as text for one cell of a Markdown table: every character that would act as markup is escaped."""
    text = " ".join(str(value).split())
    for mark in ("\\", "|", "*", "_", "`", "<", "["):
        text = text.replace(mark, f"\\{mark}")
    return text


def data_uri(picture: bytes, form: str) -> str:
    """A `data:` address, which puts an image into a page. picture: its bytes, encoded as `form` (png, jpeg, webp)."""
    return f"data:image/{form};base64," + base64.b64encode(picture).decode("ascii")


def as_png(figure: "Figure", dots: int = DOTS) -> bytes:
    """A figure as a PNG; dots: per inch."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dots)
    return buffer.getvalue()


def figure_uri(figure: "Figure") -> str:
    """A figure as the address that stands in a page in its place."""
    return data_uri(as_png(figure), "png")
