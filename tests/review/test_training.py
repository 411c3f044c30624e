"""The button that trains starts a real training as a process of its own, and the page shows how far it is."""

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from fastapi.testclient import TestClient

from flows.train_apart import TRAIN
from pipeline.review.app import make_app
from pipeline.review.guard import Guard
from pipeline.review.pictures import Pictures
from pipeline.review.session import Session
from pipeline.review.training_process import STARTED, Command, Trainer, last_started
from pipeline.storage.files import read_json, write_json
from pipeline.storage.images_lock import working_on_images
from tests.fixtures.project import REPOSITORY
from tests.fixtures.review_server import COMMAND, training_is_quick
from tests.fixtures.waiting import RULES, opened

PATIENCE = 120.0  # seconds; a busy machine trains slowly
HOST, TOKEN = "127.0.0.1:8765", "the-token"


@pytest.fixture
def page(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """A page of a trained project, in which `nightshift train` is quick."""
    monkeypatch.chdir(project)
    with training_is_quick():
        yield page_of(tmp_path, COMMAND)


def page_of(folder: Path, command: Command) -> TestClient:
    session = Session(opened(folder, 2), folder / "labels.jsonl")
    return TestClient(make_app(session, Pictures(RULES, folder / "cache"), trainer=Trainer(command)))


def begin(page: TestClient) -> Any:
    return page.post("/api/training", json={"reader": "Ann"})


def state_when(page: TestClient, is_it: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    until = time.monotonic() + PATIENCE
    while not is_it(found := page.get("/api/training").json()):
        assert time.monotonic() < until, found
        time.sleep(0.05)
    return dict(found)


def test_a_training_is_told_until_its_version_stands_and_a_second_one_is_refused(page: TestClient) -> None:
    registered = Path("reports/registration.json")
    registered.unlink()
    assert page.get("/api/training").json()["kind"] == "none"
    plan = page.get("/api/training/plan").json()
    assert plan["possible"]
    assert plan["lines"][0].startswith(
        "It learns from 60 labelled images of 2 classes in data/raw: circle 30, square 30."
    )
    assert "register.promote is" in plan["lines"][-1]
    answer = begin(page).json()
    assert (answer["kind"], answer["of_page"]) == ("running", True)
    assert " by Ann: it begins." in answer["headline"]
    refused = begin(page)
    assert refused.status_code == 409
    assert "A training of Ann runs since" in refused.json()["detail"]
    assert not page.get("/api/training/plan").json()["possible"]
    started = last_started()
    assert started
    assert psutil.Process(started.process.number).ppid() == os.getpid()
    assert os.getsid(started.process.number) == started.process.number, "what ends the server leaves it alone"
    shares = list[float]()

    def is_done(state: dict[str, Any]) -> bool:
        shares.append(state["share"] or 0.0)
        return state["kind"] != "running"

    done = state_when(page, is_done)
    assert done["kind"] == "done", done
    assert shares[:-1] == sorted(shares[:-1])
    assert done["headline"] == (
        "nightshift version 1 is registered. It passed the gate, and it is the champion: nights use it."
    )
    assert "which it has not learnt from: accuracy 100.0 % (" in done["lines"][0]
    assert "balanced accuracy 100.0 % (" in done["lines"][0]
    links = {one["words"]: one["address"] for one in done["links"]}
    assert links["Model card"] == "reports/model_card.html"
    assert "Model card" in page.get(f"/{links['Model card']}").text
    assert page.get("/reports/../params.yaml").status_code == 404
    assert page.get("/api/training/plan").json()["lines"][1].startswith("The last one took ")


def test_what_a_training_says_against_the_images_is_told_in_its_words(page: TestClient) -> None:
    Path("data/raw/metadata.csv").write_text("file,group\ncircle/000.png,a\n")
    assert begin(page).status_code == 200
    failed = state_when(page, lambda state: state["kind"] != "running")
    assert failed["kind"] == "failed"
    said = "\n".join([failed["headline"], *failed["lines"]])
    assert "metadata.csv has no column path; its columns are file, group. Add it." in said
    assert "Traceback" not in said
    shutil.rmtree("data/raw")
    refused = begin(page)
    assert (refused.status_code, "no labelled images yet" in refused.json()["detail"]) == (409, True)


def test_a_training_that_is_killed_is_told_by_every_server(page: TestClient, tmp_path: Path) -> None:
    before = state_when(page, lambda _: True)
    assert (before["kind"], before["of_page"]) == ("done", False), "of a terminal: no page has to tell it"
    assert begin(page).status_code == 200
    started = last_started()
    assert started
    os.kill(started.process.number, signal.SIGTERM)
    killed = state_when(page, lambda state: state["kind"] != "running")
    assert killed["headline"] == "The training was killed (SIGTERM) and is not finished."
    assert killed["lines"][-1].startswith("Train again goes on from there")
    write_json(STARTED, read_json(STARTED) | {"status": None, "seconds": None})  # no server has seen the end
    other = state_when(page_of(tmp_path / "other", COMMAND), lambda state: state["kind"] != "running")
    assert (other["kind"], other["headline"]) == ("killed", "The training was killed and is not finished.")


def test_nothing_begins_while_another_command_works_with_the_images_nor_for_a_stranger(
    data: Path, tmp_path: Path
) -> None:
    shutil.copy(REPOSITORY / "dvc.yaml", ".")
    with working_on_images("nightshift data import"):
        page = page_of(tmp_path / "one", COMMAND)
        assert page.get("/api/training").json() == {
            "kind": "none", "name": "", "of_page": False, "headline": "", "lines": [], "share": None, "labelled": True,
            "links": [],
        }  # fmt: skip
        refused = begin(page)
        assert (refused.status_code, "`nightshift data import` (process" in refused.json()["detail"]) == (409, True)
    with working_on_images("nightshift train") as doing:
        doing("the stage audit")
        state = page.get("/api/training").json()
        assert (state["kind"], state["of_page"]) == ("running", False)
        assert state["headline"].endswith(": looking for labels that may be wrong (stage 4 of 7).")
    session = Session(opened(tmp_path / "two", 2), tmp_path / "labels.jsonl")
    app = Guard(make_app(session, Pictures(RULES, tmp_path / "cache"), trainer=Trainer(COMMAND)), TOKEN, [HOST])
    stranger = TestClient(app, base_url=f"http://{HOST}")
    assert begin(stranger).status_code == 403
    stranger.cookies.set("nightshift-8765", TOKEN)
    evil = stranger.post("/api/training", json={"reader": "Ann"}, headers={"Origin": "http://evil.example"})
    assert evil.status_code == 403
    assert not STARTED.exists()


def test_a_version_that_the_gate_refused_is_told_with_the_reasons(
    three_versions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(three_versions)
    state = page_of(tmp_path, COMMAND).get("/api/training").json()
    assert state["kind"] == "refused"
    assert state["headline"] == (
        "nightshift version 3 is registered. The gate refused it. The champion is version 1: nights use that."
    )
    assert any(line.startswith("Refused: ") for line in state["lines"])
    assert "`nightshift promote 3 --force` makes it the champion anyway." in state["lines"]


def test_a_command_that_cannot_say_why_it_ended_shows_where_its_words_are(data: Path, tmp_path: Path) -> None:
    page = page_of(tmp_path / "one", Command((TRAIN.words[0], "-c", "import nothing_of_that_name")))
    assert begin(page).status_code == 200
    failed = state_when(page, lambda state: state["kind"] != "running")
    assert failed["headline"] == (
        "The training ended with status 1 and did not say why. What it said is in .nightshift/logs/training.log."
    )
