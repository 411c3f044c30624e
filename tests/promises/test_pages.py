"""Every page that is written can be read on a phone and without a network."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Request

from pipeline.core.paths import DATA_REPORT, EVALUATION_REPORT
from pipeline.params.file import Params
from tests.fixtures.browser import browser
from tests.fixtures.nights import classify

pytestmark = pytest.mark.browser
PHONE = {"width": 390, "height": 844}  # CSS pixels


def test_pages_fit_a_phone_and_ask_no_server(untouched: Path, here: Params, night: Path, tmp_path: Path) -> None:
    (night / "a file with a long name that is not an image, as they come from cameras and exports.png").write_text("x")
    classify(night, tmp_path / "out", here)
    asked: list[str] = []

    def note(request: Request) -> None:
        if urlsplit(request.url).scheme not in ("file", "data"):
            asked.append(request.url)

    with browser("http://127.0.0.1") as page:
        page.on("request", note)
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        of_night = (tmp_path / "out" / name for name in ("morning.html", "review.html"))
        for file in (untouched / DATA_REPORT, untouched / EVALUATION_REPORT, *of_night):
            page.goto(file.as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], file.name
            assert page.evaluate("[...document.images].every(image => image.complete || image.loading == 'lazy')")
    assert asked == []
