"""The pages in reports/: how each is written, and the index that leads to those that are there. Knows nothing of them.

DVC keeps most of them, and an output follows from a stage's inputs alone. So a page links to the index, and to pages
that were made before it or with it; the index, which DVC does not keep, is written again with every page.
"""

from pathlib import Path
from urllib.parse import quote

from pipeline.core.pages import REPORTS, Link, links_from, render
from pipeline.core.paths import AUTO_REPORT, PREDICTIONS, REPORTS_INDEX
from pipeline.storage.files import replacing

TEMPLATE = "core/reports.html"
INDEX = ("All reports", REPORTS_INDEX)
OTHERS = (("Automatic training", AUTO_REPORT), ("All nights", PREDICTIONS / "index.html"))  # of some projects


def write_page(file: Path, page: str) -> None:
    """Write a page into reports/, and the index again."""
    with replacing(file) as beside:
        beside.write_text(page, encoding="utf-8")
    listed = [(one, links_from(REPORTS_INDEX.parent, [(one.words, one.file)])) for one in REPORTS]
    index = render(TEMPLATE, pages=listed, others=links_from(REPORTS_INDEX.parent, OTHERS))
    with replacing(REPORTS_INDEX) as beside:
        beside.write_text(index, encoding="utf-8")


def links_to(*files: Path) -> list[Link]:
    """Links from a page in reports/ to the index, and to these pages, which are made before it or with it."""
    beside = (Link(one.words, quote(one.file.name)) for one in REPORTS if one.file in files)
    return [Link(INDEX[0], REPORTS_INDEX.name), *beside]
