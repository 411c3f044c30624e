"""How pages are made: one Jinja environment for all templates, and images inside a page. Knows no page's content."""

import base64
import datetime
import io
import os
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from pipeline.core.paths import DATA_REPORT, EVALUATION_REPORT, MODEL_CARD_PAGE, REGISTRATION_PAGE
from pipeline.core.text import counted

if TYPE_CHECKING:
    from jinja2 import Environment
    from matplotlib.figure import Figure

DOTS = 110  # of a figure, per inch


class Report(NamedTuple):
    """A page of a training."""

    words: str  # of a link to it
    file: Path
    about: str  # which question it answers


REPORTS = (  # in the order in which a person wants them
    Report("Decision", REGISTRATION_PAGE, "May it be used, and is it better than the version in use?"),
    Report("Evaluation", EVALUATION_REPORT, "Is it good, and where is it wrong?"),
    Report("Model card", MODEL_CARD_PAGE, "What is it for, and what is it not for?"),
    Report("Data", DATA_REPORT, "Are the images and their labels good enough to learn from?"),
)


class Link(NamedTuple):
    """A page beside this one."""

    words: str
    address: str


class Picture(NamedTuple):
    """A small picture on a page, which leads to the image that it shows."""

    source: str  # a `data:` address
    address: str = ""  # of the image; empty where a browser cannot open it, as in a store


def render(template: str, **values: Any) -> str:
    """Render `template`, a path below `pipeline/` such as `night/morning.html`, with `values`.

    HTML templates escape every value; Markdown templates use the filter `cell`.
    Raises jinja2.UndefinedError when the template uses a value that is missing.
    """
    return _environment().get_template(template).render(**values)


def prepare(*templates: str) -> None:
    """Compile templates that `render` will be asked for: each takes some hundredths of a second."""
    for template in templates:
        _environment().get_template(template)


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("pipeline", ""), autoescape=select_autoescape(["html"]), undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters |= {
        "cell": as_cell,
        "code": with_code,
        "counted": counted,
        "figure": as_figure,
        "day": local_day,
        "local": local_time,
    }
    return environment


def links_from(folder: Path, pages: Iterable[tuple[str, Path]]) -> list[Link]:
    """A link from a page in `folder` to each of these files that exists."""
    return [Link(words, address_of(file, folder)) for words, file in pages if file.is_file()]


def address_of(file: Path, folder: Path) -> str:
    """The address of `file` for a page in `folder`, percent-encoded, whatever the bytes of its name.

    Relative where both are in the project, which can be moved then; else the file's own.
    """
    there, here, project = file.absolute(), folder.absolute(), Path.cwd()
    if here.is_relative_to(project) and there.is_relative_to(project):
        return quote(os.fsencode(os.path.relpath(there, here)))
    return there.as_uri()


def as_figure(value: float) -> str:
    """A measured number for a reader: four digits, thousands with commas, and no exponent."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    text = f"{value:.4g}"
    return f"{value:.6f}".rstrip("0").rstrip(".") if "e" in text else text


def local_day(moment: str) -> str:
    """The day of an ISO 8601 moment by this machine's clock."""
    start = datetime.datetime.fromisoformat(moment).astimezone()
    return f"{start:%A} {start.day} {start:%B %Y}"


def local_time(moment: str, end: str = "") -> str:
    """An ISO 8601 moment as this machine's clock shows it; with `end`, from one to the other."""
    start = datetime.datetime.fromisoformat(moment).astimezone()
    words = f"{local_day(moment)}, {start:%H:%M}"
    if not end:
        return f"{words} {start:%Z}".strip()
    last = datetime.datetime.fromisoformat(end).astimezone()
    day = "" if last.date() == start.date() else f"{last:%A} "
    return f"{words} to {day}{last:%H:%M} {last:%Z}".strip()


def with_code(sentence: str) -> str:
    """A sentence as HTML: what stands between backticks is a command or a file's name."""
    from markupsafe import Markup, escape

    parts = re.split(r"`([^`]*)`", sentence)
    return Markup().join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts)
    )


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
