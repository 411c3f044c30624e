"""The pages' frame: what becomes markup and what does not, and that all pages have one look of their own."""

import os
import re
import time
from pathlib import Path
from urllib.parse import unquote

import pytest

from pipeline.core.pages import address_of, as_cell, as_figure, links_from, local_time, with_code
from tests.fixtures.project import REPOSITORY

FRAME = REPOSITORY / "pipeline" / "core" / "base.html"
SERVED = REPOSITORY / "pipeline" / "review"  # its pages are served, and so may have files of their own beside them
OF_SERVED = (
    r'<link rel="icon" href="data:,">|<(link rel="stylesheet" href|script type="module" src)="static/\w+\.(css|js)">'
)
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
    assert not re.search(r"<style|<head\b|<body", text)


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_no_page_asks_another_place_for_anything(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    own = re.sub(OF_SERVED, "", text) if file.parent == SERVED else text
    assert not re.search(r"https?:|//cdn|<script|<link|@import|url\(", own)


def test_a_page_styles_only_what_the_frame_knows() -> None:
    styles = FRAME.read_text(encoding="utf-8").split("</style>")[0], (SERVED / "static/review.css").read_text()
    known = set(re.findall(r"\.([a-z_]+)", " ".join(styles)))
    used = {
        name
        for file in TEMPLATES
        for names in re.findall(r'class="([^"]*)"', re.sub(r"{%.*?%}|{{.*?}}", " ", file.read_text(encoding="utf-8")))
        for name in names.split()
    }
    assert used <= known | {"head"}


@pytest.mark.parametrize(
    ("value", "shown"),
    [(25_090.0, "25,090"), (1234.5, "1,234"), (152.46, "152.5"), (0.09836, "0.09836"), (300.0, "300"), (0.0, "0"),
     (2.5e-05, "0.000025")],
)  # fmt: skip
def test_a_figure_has_no_exponent(value: float, shown: str) -> None:
    assert as_figure(value) == shown


def test_moments_are_told_by_the_clock_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert local_time("2026-07-01T23:30:00+00:00") == "Thursday 2 July 2026, 01:30 CEST"
        night = local_time("2026-01-02T22:30:00+00:00", "2026-01-03T03:05:00+00:00")
        assert night == "Friday 2 January 2026, 23:30 to Saturday 04:05 CET"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_what_stands_between_backticks_is_code_and_nothing_becomes_markup() -> None:
    assert with_code("Run `<b>` & see.") == "Run <code>&lt;b&gt;</code> &amp; see."
    assert with_code("one ` alone") == "one ` alone"


def test_links_inside_a_project_move_with_it_and_those_outside_are_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project/reports").mkdir(parents=True)
    (tmp_path / "project/reports/a b.html").touch()
    monkeypatch.chdir(tmp_path / "project")
    pages = [("A", Path("reports/a b.html")), ("B", Path("reports/missing.html"))]
    assert links_from(Path("predictions/night"), pages) == [("A", "../../reports/a%20b.html")]
    (outside,) = links_from(tmp_path / "out", pages)
    assert outside.address == (tmp_path / "project/reports/a b.html").as_uri()


@pytest.mark.parametrize(
    "name", ["猫 ñ.png", "a#1?.png", "100%41.png", "c:d.png", '"><b>.png', os.fsdecode(b"\xff.png")]
)
def test_an_address_leads_to_a_file_of_any_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for file, start in ((tmp_path / "photos" / name, "../photos/"), (tmp_path.parent / name, "file:///")):
        address = address_of(file, Path("reports"))
        assert address.startswith(start)
        assert re.fullmatch(r"(file://)?[\w./%~-]*", address, re.ASCII), "no markup, and no other part of an address"
        path = tmp_path / "reports" / unquote(address.removeprefix("file://"), errors="surrogateescape")
        assert os.path.normpath(path) == str(file)
