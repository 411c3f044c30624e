"""What the server answers, and whom: the page, its pictures, judgements; nobody without the token."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from pipeline.data.judgements import every_judgement
from pipeline.review.app import make_app
from pipeline.review.guard import Guard
from pipeline.review.pictures import Pictures
from pipeline.review.session import Session
from tests.fixtures.waiting import RULES, opened

HOST, TOKEN = "127.0.0.1:8765", "the-token"
READER = {"page": "tab", "reader": "Ann"}


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(opened(tmp_path), tmp_path / "data/labels.jsonl")


@pytest.fixture
def stranger(session: Session, tmp_path: Path) -> TestClient:
    """A browser that does not know the token."""
    app = Guard(make_app(session, Pictures(RULES, tmp_path / "cache")), TOKEN, [HOST])
    return TestClient(app, base_url=f"http://{HOST}")


@pytest.fixture
def browser(stranger: TestClient) -> TestClient:
    assert stranger.get("/", params={"token": TOKEN}).status_code == 200
    return stranger


def test_the_token_of_the_address_becomes_a_cookie_and_leaves_the_address(stranger: TestClient) -> None:
    answer = stranger.get("/", params={"token": TOKEN, "a": "b"}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/?a=b")
    assert "httponly" in answer.headers["set-cookie"].lower()
    assert stranger.get("/").status_code == 200


@pytest.mark.parametrize("path", ["/", "/static/main.js", "/api/session", "/thumbnail/" + "0" * 64, "/?token=wrong"])
def test_nobody_gets_anything_without_the_token(stranger: TestClient, path: str) -> None:
    assert stranger.get(path).status_code == 403


def test_another_name_of_the_host_or_another_page_is_refused_with_the_cookie_too(browser: TestClient) -> None:
    assert browser.get("/api/session", headers={"Host": "evil.example:8765"}).status_code == 421
    body = {"reader": "Ann", "clicks": []}
    for header in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        assert browser.post("/api/judgements", json=body, headers=header).status_code == 403
    assert browser.post("/api/judgements", json=body, headers={"Origin": f"http://{HOST}"}).status_code == 200


def test_the_page_needs_nothing_from_elsewhere_and_no_text_of_it_is_markup(browser: TestClient) -> None:
    page = browser.get("/")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert "//" not in page.text.replace("<!DOCTYPE html>", "").split("<style>")[0]
    assert (
        '<link rel="icon" href="data:,">' in page.text.split("</head>")[0]
    )  # elsewhere a browser asks for favicon.ico
    assert browser.get("/static/main.js").headers["cache-control"] == "no-cache"


def test_a_judgement_is_in_the_file_when_its_request_is_answered(
    browser: TestClient, session: Session, tmp_path: Path
) -> None:
    first = browser.get("/api/next", params=READER).json()["images"][0]
    body = {"reader": "Ann", "clicks": [{"click": "x", "sha256": first["sha256"], "label": "σκύλος", "seconds": 1}]}
    answer = browser.post("/api/judgements", json=body).json()
    assert answer["kept"] == ["x"]
    assert answer["verdicts"][first["sha256"]] == {"kind": "label", "label": "σκύλος", "readers": ["Ann"]}
    assert [one.label for one in every_judgement(tmp_path / "data/labels.jsonl")] == ["σκύλος"]
    assert browser.get("/api/next", params=READER).json()["images"][0]["sha256"] != first["sha256"]
    news = browser.get("/api/news", params={**READER, "since": 0, "epoch": session.epoch}).json()
    assert [*news["verdicts"]] == [first["sha256"]]


def test_a_click_that_says_nothing_is_refused_and_keeps_nothing(browser: TestClient, tmp_path: Path) -> None:
    body = {"reader": "Ann", "clicks": [{"click": "x", "sha256": "0" * 64}]}
    assert browser.post("/api/judgements", json=body).status_code == 422
    assert not (tmp_path / "data/labels.jsonl").exists()


@pytest.mark.parametrize(
    ("label", "why"),
    [("x" * 220, "longer than 200"), ("界" * 150, "folder name of 450 bytes"), ("\u200b", "can be seen"),
     ("\u00ad", "can be seen"), ("a\0b", "cannot be shown")],
    ids=["long", "bytes", "unseen", "hyphen", "nul"],
)  # fmt: skip
def test_a_label_that_cannot_be_a_class_is_refused_with_a_sentence_and_the_others_are_kept(
    browser: TestClient, session: Session, tmp_path: Path, label: str, why: str
) -> None:
    first, second, third, *_ = session.images
    said = [
        (first, {"label": "cat"}),
        (second, {"label": label}),
        ("0" * 64, {"reject": True}),
        (third, {"label": "Wolf"}),
    ]
    clicks = [{"click": str(number), "sha256": sha256, **what} for number, (sha256, what) in enumerate(said)]
    answer = browser.post("/api/judgements", json={"reader": "Ann", "clicks": clicks}).json()
    assert (answer["kept"], answer["verdicts"][second]) == (["0", "3"], None)
    one, two = answer["refused"]
    assert (one["click"], two) == ("1", {"click": "2", "why": "its image is not in this review"})
    assert why in one["why"]
    assert [judged.label for judged in every_judgement(tmp_path / "data/labels.jsonl")] == ["cat", "Wolf"]


def test_a_page_of_another_review_gets_nothing_and_nothing_of_it_is_kept(
    browser: TestClient, session: Session, tmp_path: Path
) -> None:
    clicks = [{"click": "x", "sha256": next(iter(session.images)), "label": "cat"}]
    for key, status in (("0" * 16, 409), (browser.get("/api/session").json()["key"], 200)):
        page = {"X-Nightshift-Review": key}
        answer = browser.post("/api/judgements", json={"reader": "Ann", "clicks": clicks}, headers=page)
        assert (answer.status_code, browser.get("/api/news", params=READER, headers=page).status_code) == (
            status,
            status,
        )
        assert (tmp_path / "data/labels.jsonl").exists() == (status == 200)
        assert status == 200 or "another review: Night of the test" in answer.json()["detail"]


def test_images_that_were_made_again_are_said(tmp_path: Path) -> None:
    file = tmp_path / "night.json"
    file.write_text("1")
    session = Session(replace(opened(tmp_path), edition=file.read_text), tmp_path / "data/labels.jsonl")
    page = TestClient(make_app(session, Pictures(RULES, tmp_path / "cache")))
    before = page.get("/api/news", params=READER).json()
    file.write_text("2")
    after = page.get("/api/news", params=READER).json()
    assert [(one["edition"], one["renewed"]) for one in (before, after)] == [("1", False), ("1", True)]


def test_a_reader_may_follow_the_random_draw_or_look_where_readers_differ(tmp_path: Path) -> None:
    review = opened(tmp_path)
    drawn = tuple(review.waiting[number].sha256 for number in (7, 2, 9))
    session = Session(replace(review, drawn=drawn), tmp_path / "data/labels.jsonl")
    page = TestClient(make_app(session, Pictures(RULES, tmp_path / "cache")))
    assert page.get("/api/session").json()["draws"]

    def taken(reader: str, only: str) -> list[dict[str, Any]]:
        found = page.get("/api/next", params={"page": reader, "reader": reader, "only": only, "count": 8}).json()
        return [*found["images"]]

    assert [one["sha256"] for one in taken("Ann", "random")] == [*drawn]
    for reader, label in (("Ann", "cat"), ("Ben", "dog")):
        body = {"reader": reader, "clicks": [{"click": reader, "sha256": drawn[0], "label": label}]}
        assert page.post("/api/judgements", json=body).status_code == 200
    assert [one.chosen for one in every_judgement(tmp_path / "data/labels.jsonl")] == ["random"] * 2
    assert [one["sha256"] for one in taken("Ann", "random")] == [*drawn[1:]]
    [differing] = taken("Ann", "differ")
    assert [(one["reader"], one["label"]) for one in differing["said"]] == [("Ann", "cat"), ("Ben", "dog")]


def test_tiles_are_sorted_by_doubt(browser: TestClient) -> None:
    tiles = browser.get("/api/tiles", params={"label": "cat"}).json()["tiles"]
    assert [one["p"] for one in tiles] == [f"{number:03d}.png" for number in range(0, 12, 2)]
    assert {one["o"] for one in tiles} == {"dog"}


def test_a_thumbnail_is_made_once_as_webp_and_kept_for_ever(
    browser: TestClient, session: Session, tmp_path: Path
) -> None:
    first = next(iter(session.images))
    answer = browser.get(f"/thumbnail/{first}")
    assert (answer.headers["content-type"], "immutable" in answer.headers["cache-control"]) == ("image/webp", True)
    [file] = (tmp_path / "cache").rglob("*.webp")
    with Image.open(file) as picture:
        assert (picture.size, picture.format) == ((60, 40), "WEBP"), "in the image's shape, not the model's"
    Path(session.images[first].place).unlink()
    assert browser.get(f"/thumbnail/{first}").content == answer.content
    assert browser.get(f"/thumbnail/{first}", headers={"If-None-Match": answer.headers["etag"]}).status_code == 304


def test_a_picture_of_other_bytes_than_the_judged_ones_is_not_shown(browser: TestClient, session: Session) -> None:
    first, second, *_ = session.images
    with Image.open(io.BytesIO(browser.get(f"/picture/{first}").content)) as picture:
        assert picture.size == (60, 40)
    Path(session.images[second].place).write_bytes(Path(session.images[first].place).read_bytes())
    answer = browser.get(f"/picture/{second}")
    assert (answer.status_code, "has changed" in answer.json()["detail"]) == (410, True)
    assert browser.get(f"/picture/{'0' * 64}").status_code == 404
