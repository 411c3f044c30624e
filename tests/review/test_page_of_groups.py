"""The page on which a person names groups of images without labels, in a browser."""

import re
from collections import Counter
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from pipeline.model.engine import openvino_network
from pipeline.params.file import load_params
from pipeline.review.backbone import Backbone
from pipeline.review.of_folder import open_folder
from pipeline.storage.folders import folder_at
from tests.fixtures.browser import keep_picture
from tests.fixtures.colours import SIDE, draw_folder, label_of, write_network
from tests.fixtures.project import REPOSITORY
from tests.fixtures.reader import enter, kept
from tests.fixtures.review_server import serving

pytestmark = pytest.mark.browser


def test_images_without_labels_become_classes(page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    params = load_params(REPOSITORY / "params.yaml")
    params = params.model_copy(update={"images": params.images.model_copy(update={"width": SIDE, "height": SIDE})})
    network = openvino_network(write_network(tmp_path / "colours.xml"), 1)
    folder = draw_folder(tmp_path / "photos", each=20)
    review = open_folder(folder_at(folder), params, load=lambda: Backbone("colours", params.images, network))
    tiles, heading = page.locator(".groupgrid .tile"), page.get_by_role("heading", level=2)
    late: list[Route] = []

    def has_group() -> None:
        expect(page.locator(".groupgrid[aria-busy=false]")).to_be_visible()
        expect(heading.first).to_have_text(re.compile("alike|random|first"))

    with serving(review, tmp_path) as address:
        enter(page, address, "Ann")
        expect(page.get_by_text("1 file cannot be read")).to_be_visible()
        page.get_by_role("button", name="later").click()  # what came first, before anything was compared
        has_group()
        page.route("**/part/name", lambda route: late.append(route), times=1)
        with page.expect_request("**/part/name"):  # the server answers when the group that is meant has gone
            page.get_by_label("label", exact=True).fill("not of the next group")
            page.keyboard.press("Enter")
        page.get_by_role("button", name="later").click()
        has_group()
        late[0].continue_()
        labels = set[str]()
        while len(labels) < 2:  # without proposals: the label of most, by its name, then by its digit
            has_group()
            paths = [str(one.get_attribute("alt")) for one in tiles.locator("img").all()]
            most = Counter(map(label_of, paths)).most_common(1)[0][0]
            for place, path in enumerate(paths):
                if label_of(path) != most:
                    tiles.nth(place).click()
            if most in labels:
                page.keyboard.press(str(1 + sorted(labels).index(most)))
            else:
                page.get_by_label("label", exact=True).fill(most)
                page.keyboard.press("Enter")
            labels |= {most}
            expect(page.locator(".classes-made li").filter(has_text=most)).to_be_visible()
            expect(tiles.locator(f"img[alt='{paths[-1]}']")).to_have_count(0)
        keep_picture(page, "review_groups")
        page.get_by_label("label", exact=True).fill(most[:2])  # never a longer one that nobody asked for
        expect(page.locator(".found [aria-selected=true]")).to_have_text(f"new label “{most[:2]}”")
        expect(page.locator(".found button").nth(1)).to_have_text(most)
        page.get_by_label("label", exact=True).fill(most.upper())
        expect(page.locator(".found [aria-selected=true]")).to_have_text(most)
        page.keyboard.press("Escape")
        before = len(kept(tmp_path))
        page.keyboard.press("Control+z")
        expect(page.locator("#note")).to_contain_text("Taken back")
        expect(page.locator(".classes-made li").filter(has_text=most)).to_have_count(0)
        page.locator(".classes-made li").first.get_by_role("button", name="rename").click()
        page.get_by_label("new name").fill("Colour")
        page.keyboard.press("Enter")
        expect(page.locator(".classes-made li").filter(has_text="Colour")).to_be_visible()
    after = [one.label for one in kept(tmp_path)][before:]
    assert set(after) == {"", "Colour"}
    assert {one.label for one in kept(tmp_path)} == {*labels, "", "Colour"}
    assert {one.reader for one in kept(tmp_path)} == {"Ann"}
