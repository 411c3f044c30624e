"""Every page can be read on a phone, in the dark and without a network, and its links lead somewhere."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import Request

from pipeline.core.paths import DATA_REPORT, EVALUATION_REPORT, MODEL_CARD_PAGE, REGISTRATION_PAGE
from pipeline.params.file import Params
from tests.fixtures.browser import browser
from tests.fixtures.nights import classify

pytestmark = pytest.mark.browser
BODY = "getComputedStyle(document.body)."
PHONE = {"width": 390, "height": 844}  # CSS pixels


def channels(colour: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", colour)[:3]]


def test_pages_fit_a_phone_ask_no_server_and_lead_somewhere(
    untouched: Path, here: Params, night: Path, tmp_path: Path
) -> None:
    (night / "a file with a long name that is not an image, as they come from cameras and exports.png").write_text("x")
    classify(night, tmp_path / "out", here)
    asked: list[str] = []

    def note(request: Request) -> None:
        if urlsplit(request.url).scheme not in ("file", "data"):
            asked.append(request.url)

    with browser("http://127.0.0.1") as page:
        page.on("request", note)
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        of_night = [tmp_path / "out" / name for name in ("morning.html", "review.html", "model_card.html")]
        reports = (DATA_REPORT, EVALUATION_REPORT, MODEL_CARD_PAGE, REGISTRATION_PAGE)
        for file in (*(untouched / report for report in reports), *of_night):
            page.goto(file.as_uri())
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                ground, ink = (sum(channels(page.evaluate(BODY + name))) for name in ("backgroundColor", "color"))
                assert (ground > ink) == (scheme == "light"), file.name
            for link in page.evaluate("[...document.links].map(link => link.href.split('#')[0])"):
                assert not link.startswith("file:") or Path(unquote(urlsplit(link).path)).is_file(), (file.name, link)
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], file.name
            assert page.evaluate("[...document.images].every(image => image.complete || image.loading == 'lazy')")
    assert asked == []
