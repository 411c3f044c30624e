"""The pages' frame: what becomes markup and what does not, and that all pages have one look of their own."""

import re
from pathlib import Path

import pytest

from pipeline.core.pages import as_cell
from tests.fixtures.project import REPOSITORY

FRAME = REPOSITORY / "pipeline" / "core" / "base.html"
TEMPLATES = sorted((REPOSITORY / "pipeline").rglob("*.html"))
PAGES = [file for file in TEMPLATES if file != FRAME and file.name != "parts.html"]


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("cat", "cat"), ("a|b", "a\\|b"), ("two\nlines", "two lines"), ("*bold* _it_", "\\*bold\\* \\_it\\_"),
        ("<b>", "\\<b>"), ("[link](x)", "\\[link](x)"), (3, "3"), ("\\|", "\\\\\\|"),
    ],
)  # fmt: skip
def test_a_cell_holds_its_text(value: object, cell: str) -> None:
    assert as_cell(value) == cell


@pytest.mark.parametrize("file", PAGES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_a_page_stands_in_the_one_frame_and_has_no_style_of_its_own(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.startswith('{% extends "core/base.html" %}')
    assert not re.search(r"<style|<head|<body", text)


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_no_page_asks_another_place_for_anything(file: Path) -> None:
    assert not re.search(r"https?:|//cdn|<script|<link|@import|url\(", file.read_text(encoding="utf-8"))


def test_a_page_styles_only_what_the_frame_knows() -> None:
    known = set(re.findall(r"\.([a-z_]+)", FRAME.read_text(encoding="utf-8").split("</style>")[0]))
    used = {
        name
        for file in TEMPLATES
        for names in re.findall(r'class="([^"]*)"', re.sub(r"{%.*?%}|{{.*?}}", " ", file.read_text(encoding="utf-8")))
        for name in names.split()
    }
    assert used <= known | {"head"}
