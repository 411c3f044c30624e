"""Great Expectations' pages, made to work without a network. Judges nothing.

As written they fetch styles and scripts from six servers, and their index is a table that a script fills: on a closed
network it stays empty. Here each page keeps its words, gets its style from within, and the index is plain links.
"""

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

STYLE = """
  body { font: 15px/1.5 system-ui, sans-serif; color: #1d2733; margin: 0 auto; max-width: 1100px; padding: 1rem; }
  a { color: #1f5fa8; } ol, ul { padding-left: 1.2rem; } table { border-collapse: collapse; margin: .3rem 0 1rem; }
  td, th { border: 1px solid #e1e6ea; padding: .25rem .6rem; text-align: left; vertical-align: top; }
  .badge { background: #e7ebef; border-radius: .25rem; padding: 0 .3rem; }
  .alert { background: #f3f5f7; border-left: .3rem solid #4c86c6; margin: 1.2rem 0 .4rem; padding: .3rem .8rem; }
  .h6, h5 { font-size: 1rem; margin: 0; font-weight: 600; } .text-success { color: #23803f; }
  .missed, .text-danger, .text-warning { color: #b3261e; }
  .fa-check-circle::before { content: "\\2713"; font-style: normal; }
  .fa-times::before, .fa-times-circle::before { content: "\\2717"; font-style: normal; }
  .fa-exclamation-triangle::before { content: "!"; font-style: normal; } .collapse { display: block; }
  nav.navbar ol { list-style: none; padding: 0; display: flex; gap: 1rem; } nav.navbar { height: auto !important; }
  .navbar-brand, .modal, footer, .sticky > .card:first-child { display: none; }
"""


def make_offline(folder: Path, met: Sequence[tuple[str, int, int]]) -> None:
    """Rewrite the pages in `folder`; `met`: table, expectations met, expectations, for the index."""
    for page in folder.rglob("*.html"):
        page.write_text(without_network(page.read_text(encoding="utf-8")), encoding="utf-8")
    results = "".join(
        f'<li><a href="{escape(page.relative_to(folder).as_posix())}">{escape(table)}</a>: '
        f'<span class="{"text-success" if count == total else "missed"}">{count} of {total} met</span></li>'
        for table, count, total in met
        for page in sorted((folder / "validations" / table).rglob("*.html"))
    )
    suites = "".join(
        f'<li><a href="expectations/{escape(page.name)}">{escape(page.stem)}</a></li>'
        for page in sorted((folder / "expectations").glob("*.html"))
    )
    (folder / "index.html").write_text(
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Data Docs</title>'
        f"<style>{STYLE}</style></head><body><h1>Data Docs</h1><h2>Validation results</h2><ul>{results}</ul>"
        f"<h2>Expectation suites</h2><ul>{suites}</ul></body></html>\n",
        encoding="utf-8",
    )


def without_network(page: str) -> str:
    """A page of Great Expectations without scripts and without anything that lies on a server."""
    page = re.sub(r"<script\b.*?</script>", "", page, flags=re.DOTALL | re.IGNORECASE)
    page = re.sub(r"<(?:link|img)\b[^>]*\bhttps?://[^>]*>", "", page, flags=re.IGNORECASE)
    page = re.sub(r'<div class="modal.*?(?=<nav\b|<div class="container-fluid)', "", page, flags=re.DOTALL)
    return page.replace("</head>", f"<style>{STYLE}</style></head>", 1)
