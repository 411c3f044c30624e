"""The start page: how things are, and where to go on; below it the nights' pages and reviews, and nothing else."""

import csv
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from pipeline.core.pages import Link
from pipeline.data.judgements import Judgement, keep
from pipeline.night.rows import COLUMNS, CORRECTION, WHY
from pipeline.review.address import Address, keep_address, last_address
from pipeline.review.front import make_front
from pipeline.review.opened import Opened
from pipeline.review.start import Card, Elsewhere, start_page
from pipeline.storage.folders import folder_at
from pipeline.storage.images_lock import working_on_images
from tests.fixtures.project import REPOSITORY
from tests.fixtures.reviews import image, row
from tests.fixtures.summaries import summary_of
from tests.fixtures.waiting import opened

NIGHT = "2026-01-02 & ä"
ELSEWHERE = Elsewhere(
    Card("Sat 02:00", "03 January 2026, over photos", "http://127.0.0.1:4200/runs"),
    Card("version 3", "nightshift, of 01 January 2026", "http://127.0.0.1:5000/#/models/nightshift/versions/3"),
    (Link("Models (MLflow)", "http://127.0.0.1:5000/#/models/nightshift"), Link("Runs (Prefect)", "http://127.0.0.1:4200")),
)  # fmt: skip


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished night of two images to look at, in a project; one has been judged."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    output = tmp_path / "predictions" / NIGHT
    output.mkdir(parents=True)
    summary_of(outliers=0, unreadable=0, listed=8).write(folder_at(output))
    (output / "morning.html").write_text("<html><body>\n<ul>\n<!-- review -->\n</ul></body></html>")
    rows = [row(image("a.png")) | {"sha256": "a" * 64}, row(image("b.png", 0.6)) | {"sha256": "b" * 64}]
    with (output / "review.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*COLUMNS, WHY, CORRECTION])
        writer.writeheader()
        writer.writerows([one | {WHY: "unsure", CORRECTION: ""} for one in rows])
    keep([Judgement(sha256="b" * 64, path="b.png", label="dog", reader="ada", source="night")])
    return output


@pytest.fixture
def asked(night: Path) -> list[Path | None]:
    """The folders of the reviews that were opened."""
    return []


@pytest.fixture
def browser(night: Path, asked: list[Path | None], tmp_path: Path) -> Iterator[TestClient]:
    def open_review(output: Path | None) -> Opened:
        asked.append(output)
        return opened(tmp_path / "there", 4)

    with TestClient(make_front(lambda: ELSEWHERE, open_review)) as found:
        yield found
    assert "review" not in {thread.name for thread in threading.enumerate()}, "what works beside the clicks ends too"


def test_the_page_says_how_last_night_was_what_comes_and_what_waits(browser: TestClient, night: Path) -> None:
    page = browser.get("/").text
    assert "Last night: all is well" in page
    assert '<a href="predictions/2026-01-02%20%26%20%C3%A4/morning.html">' in page
    for words in ("Sat 02:00", "version 3", 'href="http://127.0.0.1:4200"', "Models (MLflow)"):
        assert words in page
    assert '<a href="night/2026-01-02%20%26%20%C3%A4/">Night 2026-01-02 &amp; ä</a>' in page
    assert [page.count(words) for words in ("to look at </span>1<", "judged </span>1<")] == [1, 1]
    assert "Training since" not in page
    assert "will fail" not in page
    fails = replace(ELSEWHERE, wrong=("`nightly` will fail: a & b does not exist. Make it",))
    assert "<p><code>nightly</code> will fail: a &amp; b does not exist. Make it.</p>" in start_page(fails)
    with working_on_images("nightshift train"):
        assert "<p>Training since " in browser.get("/").text
    shutil.rmtree(night)
    assert "There is no night yet." in browser.get("/").text


def test_a_morning_page_leads_to_the_review_of_its_night(
    browser: TestClient, night: Path, asked: list[Path | None]
) -> None:
    page = browser.get("/predictions/2026-01-02%20%26%20%C3%A4/morning.html").text
    assert '<ul>\n<li><a href="../../night/2026-01-02%20%26%20%C3%A4/">Look and correct in the browser</a>' in page
    (night / "morning.html").write_text("<html><body>of an earlier version</body></html>")
    assert "<body>\n<ul><li><a href=" in browser.get("/predictions/2026-01-02%20%26%20%C3%A4/morning.html").text
    assert "<!-- review -->" in (REPOSITORY / "pipeline/night/morning.html").read_text()
    assert asked == [], "no review is opened before somebody goes there"


def test_a_review_is_opened_once_and_again_after_its_night_has_run_again(
    browser: TestClient, night: Path, asked: list[Path | None]
) -> None:
    at = "/night/2026-01-02%20%26%20%C3%A4"
    assert browser.get(at).url.path.endswith("/")
    assert "Night of the test" in browser.get(f"{at}/").text
    assert '<a href="../../">Start page</a>' in browser.get(f"{at}/").text
    assert browser.get(f"{at}/api/session").json()
    assert browser.get(f"{at}/static/main.js").status_code == 200
    assert asked == [Path("predictions") / NIGHT]
    os.utime(night / "summary.json", (1, 1))
    assert browser.get(f"{at}/").status_code == 200
    assert len(asked) == 2


def test_labels_that_may_be_wrong_are_a_review_too(
    browser: TestClient, tmp_path: Path, asked: list[Path | None]
) -> None:
    assert "suspects" not in browser.get("/").text
    (tmp_path / "reports").mkdir()
    rows = ["path,label,suggested,sha256,correct_label", *(f"cat/{at}.png,cat,dog,{at * 64}," for at in "abc")]
    (tmp_path / "reports/label_issues.csv").write_text("\n".join(rows))
    page = browser.get("/").text
    assert '<a href="suspects/all/">Labels that may be wrong</a>' in page
    assert "to look at </span>2<" in page, "one of the three is judged"
    assert browser.get("/suspects/all/").status_code == 200
    assert asked == [None]


@pytest.mark.parametrize(
    "path",
    [
        "/predictions/../params.yaml", "/predictions/%2e%2e/params.yaml", "/predictions/.hidden", "/predictions",
        "/predictions/linked.html", "/params.yaml", "/data/labels.jsonl", "/night/../params.yaml", "/night/.hidden/",
        "/suspects/b/",
        "/.nightshift/start.json",
    ],
)  # fmt: skip
def test_nothing_else_has_an_address(browser: TestClient, tmp_path: Path, path: str, asked: list[Path | None]) -> None:
    (tmp_path / "predictions/.hidden").write_text("hidden")
    (tmp_path / "predictions/linked.html").symlink_to(tmp_path / "params.yaml")
    assert browser.get(path).status_code == 404
    assert asked == []


def test_the_token_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / ".nightshift/start.json"
    keep_address(Address(port=4300, token=last_address(file).token), file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert last_address(file) == last_address(file)
    assert last_address(file).page == f"http://127.0.0.1:4300/?token={last_address(file).token}"
