"""A person at the page, in Chromium: three ways to work, two people, a server that is killed, a telephone."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from pipeline.core.paths import CHECKPOINTS
from pipeline.data.judgements import read_judgements
from pipeline.review.opened import Opened
from pipeline.review.training_process import Trainer
from pipeline.storage.images_lock import working_on_images
from pipeline.storage.training_record import Recorder
from tests.fixtures.browser import keep_picture
from tests.fixtures.reader import CLICK_FAST, REFUSED, enter, is_judged, is_shown, kept, window
from tests.fixtures.review_server import COMMAND, MANY, serving, start, training_is_quick
from tests.fixtures.waiting import LABELS, opened

pytestmark = pytest.mark.browser


@pytest.fixture
def other(chromium: Page) -> Iterator[Page]:
    yield from window(chromium)


@pytest.fixture
def review(tmp_path: Path) -> Opened:
    return opened(tmp_path)


def test_sweep_confirms_a_class_by_one_key_but_for_the_wrong_ones(page: Page, review: Opened, tmp_path: Path) -> None:
    with serving(review, tmp_path) as address:
        enter(page, address, "Ann")
        expect(page.locator(".tile")).to_have_count(6)
        page.locator(".tile").nth(1).click()
        expect(page.locator(".tile").nth(1)).to_contain_text("dog")
        expect(page.get_by_role("button", name=re.compile("confirm 5 shown as cat, correct 1"))).to_be_visible()
        keep_picture(page, "review_sweep")
        page.locator(".tile").nth(2).dblclick()
        page.keyboard.press("Enter")  # closes the large picture: it hides the others, so nothing is confirmed
        expect(page.locator(".overlay")).to_have_count(0)
        assert not kept(tmp_path)
        page.keyboard.press("Enter")
        is_judged(page, 6)
        expect(page.get_by_text("All of these are judged.")).to_be_visible()
        page.get_by_role("tab", name=re.compile("^dog")).click()  # and now by keyboard alone
        page.reload()  # which stays at this class
        expect(page.get_by_role("button", name=re.compile("confirm 6 shown as dog"))).to_be_visible()
        for key in ("ArrowRight", "3", "ArrowRight", "Delete", "ArrowRight", "Space", "Space", "Enter"):
            page.keyboard.press(key)
        is_judged(page, 12)
        assert Counter((one.label or "reject", one.chosen) for one in kept(tmp_path)) == {
            ("cat", "sweep"): 5, ("dog", "sweep"): 5, (LABELS[2], "sweep"): 1, ("reject", "sweep"): 1
        }  # fmt: skip
        page.keyboard.press("Control+z")
        is_judged(page, 6)
        expect(page.locator(".tile")).to_have_count(6)
        page.get_by_role("tab", name=re.compile("^cat")).click()
        page.reload()  # an earlier judgement, seen again and corrected: undo gives the earlier one back
        page.get_by_label("judged ones too").check()
        page.locator(".tile").nth(0).click()
        page.keyboard.press("Enter")
        expect(page.locator("#note")).to_contain_text("1 corrected")
        page.get_by_role("button", name="Undo").click()
        expect(page.locator("#note")).to_contain_text("Taken back")
        expect(page.get_by_role("button", name="Undo")).not_to_be_focused()  # Enter shall not press it again
        is_judged(page, 6)
    found = read_judgements(tmp_path / "data/labels.jsonl")
    assert Counter(found.label_of(sha256) for sha256 in found.by_image) == {"cat": 5, "dog": 1}


def test_one_by_one_takes_digits_letters_and_the_models_word_and_goes_back(
    page: Page, review: Opened, tmp_path: Path
) -> None:
    paths = [one.path for one in review.waiting]
    with serving(replace(review, drawn=(review.waiting[9].sha256,)), tmp_path) as address:
        enter(page, address, "Ann", "One by one")
        for path, keys in zip(paths, (["Enter"], ["2"], ["d", "Enter"], ["0"], ["Backspace"]), strict=False):
            expect(page.locator(".path")).to_have_text(path)
            is_shown(page)
            for key in keys:
                page.keyboard.press(key)
        is_judged(page, 5)
        page.keyboard.press("ArrowLeft")
        expect(page.locator(".path")).to_have_text(paths[4])
        expect(page.locator(".words")).to_contain_text("Judged: rejected (Ann)")
        is_shown(page)
        page.keyboard.press("1")
        expect(page.locator(".path")).to_have_text(paths[5])
        page.keyboard.press("Control+z")  # takes only the second word on it back
        expect(page.locator(".path")).to_have_text(paths[4])
        expect(page.locator(".words")).to_contain_text("Judged: rejected (Ann)")
        is_judged(page, 5)
        page.keyboard.press("ArrowRight")
        expect(page.locator(".path")).to_have_text(paths[5])
        is_shown(page)
        page.get_by_label("label", exact=True).fill("ΣΚΎ")  # as one types it, in capitals
        page.keyboard.press("Enter")
        is_judged(page, 6)
        page.reload()  # a reader who comes back goes on where they were
        expect(page.locator(".path")).to_have_text(paths[6])
        page.get_by_label("order").select_option("random draw")
        expect(page.locator(".path")).to_have_text(paths[9])
        page.get_by_label("order").select_option("what teaches most")
        expect(page.locator(".path")).to_have_text(paths[6])
        page.evaluate(REFUSED)  # one that the server refuses is said, and stops no other
        expect(page.locator("#warnings")).to_contain_text("its image is not in this review")
        page.locator("#reader").click()  # another person at this page: what Ann did is not theirs to take back
        page.get_by_label("Name").fill("Ben")
        page.keyboard.press("Enter")
        page.keyboard.press("Control+z")
        expect(page.locator("#note")).to_contain_text("There is nothing to take back")
        is_judged(page, 6)
    found = read_judgements(tmp_path / "data/labels.jsonl")
    said = [found.of(one.sha256)[-1] for one in review.waiting[:6]]
    assert [one.label or one.said[0] for one in said] == ["cat", "dog", "dog", "cannot_tell", "reject", LABELS[2]]
    assert all(one.seconds is not None and one.reader == "Ann" for one in said[:4])


def test_a_suspect_shows_its_label_and_that_it_is_a_test_image(page: Page, review: Opened, tmp_path: Path) -> None:
    images = tuple(replace(one, source="test", label="dog") for one in review.waiting)
    Path(images[0].place).unlink()
    with serving(replace(review, waiting=images, sweeps=False), tmp_path) as address:
        enter(page, address, "Ann")
        expect(page.get_by_text("A test image.")).to_be_visible()
        expect(page.get_by_text("Its label now: dog")).to_be_visible()
        expect(page.get_by_role("tab", name="Sweep")).to_have_count(0)
        for key in ("Enter", "1"):
            expect(page.get_by_text("No picture: ")).to_be_visible()
            page.keyboard.press(key)
            expect(page.locator("#note")).to_contain_text("Nobody can judge what is not shown")
        page.keyboard.press("ArrowRight")
        expect(page.locator(".path")).to_have_text(images[1].path)
        is_shown(page)
        page.get_by_role("button", name=re.compile("^1 ?cat")).click()
        is_judged(page, 1)
    assert [(one.source, one.label) for one in kept(tmp_path)] == [("test", "cat")]


def test_two_people_get_different_images_and_see_each_other(
    page: Page, other: Page, review: Opened, tmp_path: Path
) -> None:
    with serving(review, tmp_path) as address:
        enter(page, address, "Ann", "One by one")
        expect(page.locator(".path")).to_have_text(review.waiting[0].path)
        enter(other, address, "Ben", "One by one")
        expect(other.locator(".path")).to_have_text(re.compile("png"))
        assert other.locator(".path").text_content() != page.locator(".path").text_content()
        for number in range(3):
            one, two = (where.locator(".path").text_content() or "" for where in (page, other))
            assert one != two, number
            for where, before in ((page, one), (other, two)):
                is_shown(where)
                where.keyboard.press("Enter")
                expect(where.locator(".path")).not_to_have_text(before)
        expect(page.locator("#progress")).to_contain_text("Ben (here): 3")
        expect(other.locator("#progress")).to_contain_text("Ann (here): 3")
    assert Counter(one.reader for one in kept(tmp_path)) == {"Ann": 3, "Ben": 3}
    assert len({one.sha256 for one in kept(tmp_path)}) == 6


def test_a_server_that_is_killed_has_every_answered_click_and_gets_the_others_later(page: Page, tmp_path: Path) -> None:
    acknowledged = set[str]()
    page.on("response", lambda answer: _note(answer, acknowledged))
    process, address = start(tmp_path)
    try:
        enter(page, address, "Ann", "One by one")
        expect(page.locator(".path")).to_be_visible()
        page.evaluate(CLICK_FAST, ["Enter", MANY // 3])
        process.kill()
        process.wait()
        assert acknowledged
        assert acknowledged <= {str((one.model_extra or {})["click"]) for one in kept(tmp_path)}
        page.evaluate(CLICK_FAST, ["0", 3])  # what it has at hand can still be judged
        expect(page.get_by_role("alert")).to_contain_text("is gone. Start")
        keep_picture(page, "review_gone")
    finally:
        process.kill()
        process.wait()
    process, again = start(tmp_path)
    try:
        assert again == address, "the page finds it where it was"
        expect(page.get_by_role("alert")).to_be_hidden()
        expect(page.locator("#progress")).not_to_contain_text("on their way")
        clicks = page.evaluate("window.clicked")
        is_judged(page, clicks)
    finally:
        process.kill()
        process.wait()
    assert clicks >= MANY // 3
    assert Counter(one.sha256 for one in kept(tmp_path)).most_common(1)[0][1] == 1, "none is there twice"


def _note(answer: Any, acknowledged: set[str]) -> None:
    if answer.url.endswith("/api/judgements") and answer.ok:
        sent = answer.request.post_data_json
        acknowledged.update(one["click"] for one in sent["clicks"])


def test_on_a_telephone_everything_fits_and_a_tap_is_enough(chromium: Page, review: Opened, tmp_path: Path) -> None:
    with serving(review, tmp_path) as address:
        for page in window(chromium, has_touch=True, color_scheme="dark"):
            page.set_viewport_size({"width": 390, "height": 844})
            enter(page, address, "Ann")
            page.locator(".tile").first.tap()
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
            keep_picture(page, "review_phone")
            confirm = page.get_by_role("button", name=re.compile("confirm 5 shown as cat, correct 1"))
            confirm.tap()
            is_judged(page, 6)
            page.get_by_role("tab", name="One by one").tap()
            expect(page.locator(".path")).to_be_visible()
            is_shown(page)
            page.get_by_role("button", name=re.compile(LABELS[2])).tap()
            is_judged(page, 7)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert {one.label for one in kept(tmp_path)} == set(LABELS)


def test_a_training_is_started_followed_and_told_on_the_page(
    page: Page, chromium: Page, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    review = opened(project)
    review = replace(review, waiting=tuple(replace(one, folder="photos") for one in review.waiting))
    strip, dialog = page.locator("#training"), page.locator("#training-plan")
    with training_is_quick(), serving(review, project, Trainer(COMMAND)) as address:
        enter(page, address, "Ann")
        page.get_by_role("button", name="Train", exact=True).focus()
        expect(strip).to_be_hidden()  # the project's last training is known, and was not begun here
        with working_on_images("nightshift train"):  # of a person at a terminal
            recorder = Recorder(CHECKPOINTS, "key")
            recorder.note("fine-tuning", 120, 300, 90, 250.0)
            expect(strip).to_contain_text(": fine-tuning, step 120 of 300, about 4 min left (stage 5 of 7).")
            assert page.locator("#training progress").evaluate("bar => bar.value") == pytest.approx(4.4 / 7)
            for phone in window(chromium, has_touch=True, color_scheme="dark"):
                phone.set_viewport_size({"width": 390, "height": 844})
                enter(phone, address, "Ben")
                expect(phone.locator("#training")).to_contain_text("step 120 of 300")
                phone.get_by_role("button", name="Details").tap()
                expect(phone.locator("#training-plan")).to_contain_text("may be closed")
                assert phone.evaluate("document.documentElement.scrollWidth") <= 390
                keep_picture(phone, "review_training_phone")
            recorder.forget()
        expect(strip).to_be_hidden()  # it ended without a version
        page.keyboard.press("Enter")
        expect(dialog).to_contain_text("60 labelled images of 2 classes in data/raw: circle 30, square 30")
        keep_picture(page, "review_training_plan")
        dialog.get_by_role("button", name=re.compile("^Train")).press("Enter")
        expect(dialog).to_contain_text("by Ann")
        page.keyboard.press("Escape")
        expect(strip).to_contain_text("nightshift version 1 is registered. It passed the gate, and it is the champion")
        page.get_by_role("button", name="Details").click()
        expect(dialog).to_contain_text("balanced accuracy 100.0 % (")
        keep_picture(page, "review_training_done")
        with page.expect_popup() as card:
            page.get_by_role("link", name="Model card").click()
        expect(card.value.get_by_role("heading", level=1)).to_be_visible()
        page.keyboard.press("Escape")
        page.locator(".tile").first.click()
        page.keyboard.press("Enter")
        is_judged(page, 6)
        page.get_by_role("button", name="Bring in").click()
        page.locator("#plan-agree").click()
        page.get_by_role("button", name="Train …").click()  # the next step
        expect(dialog).to_contain_text("66 labelled images of 4 classes")
        page.keyboard.press("Escape")
        strip.get_by_role("button", name="Close").click()
        page.reload()
        expect(page.get_by_role("button", name="Train", exact=True)).to_be_visible()
        expect(strip).to_be_hidden()
