"""From `nightshift up` to a promoted model in a browser: Prefect's pages, MLflow's, and the night after."""

import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, Response, expect

from pipeline.night.rows import read_rows
from tests.fixtures.browser import browser, edit_alias, keep_picture
from tests.fixtures.forked import nightshift
from tests.fixtures.project import draw_shape
from tests.fixtures.up import Up, wait_until

pytestmark = pytest.mark.slow


def version_of(night: Path) -> str:
    """The model's, in its rows."""
    [version] = {row["model_version"] for row in read_rows(night / "predictions.csv")}
    return version


def quick_run(page: Page) -> str:
    """The id of the run that a deployment's page has begun. A server with a busy database refuses: click again."""
    answers: list[Response] = []

    def begun() -> bool:
        page.get_by_role("button", name="Run", exact=True).click()
        with page.expect_response(re.compile("/create_flow_run$")) as answer:
            page.get_by_text("Quick run").click()
        answers.append(answer.value)
        return answers[-1].ok

    wait_until(begun)
    return str(answers[-1].json()["id"])


def test_a_night_is_started_and_read_on_prefects_page_and_a_promotion_on_mlflows_counts_from_the_next_one(
    up: Up,
) -> None:
    for number in range(10):
        draw_shape(up.project / "photos" / f"{number}.png", ("circle", "square")[number % 2], seed=number)
    with browser(up.prefect) as page:
        page.goto("/deployments")
        names = page.locator("a.deployment-list__name")
        for name in ("training", "learn", "nightly", "nights", "data-watch", "tidy"):
            expect(names.get_by_text(name, exact=True)).to_be_visible()
        keep_picture(page, "prefect_deployments")
        earlier = set(up.project.glob("predictions/*/"))
        names.get_by_text("nightly", exact=True).click()
        run = quick_run(page)
        assert up.end_of(run) == "Completed"
        page.goto(f"/runs/flow-run/{run}")
        expect(page.get_by_text("Completed").first).to_be_visible()
        page.get_by_text("Artifacts", exact=True).first.click()
        page.get_by_role("link").get_by_text("summary", exact=True).click()
        expect(page.get_by_text(re.compile(r"/predictions/.*/morning\.html")).first).to_be_visible()
        keep_picture(page, "prefect_night")
    [night] = set(up.project.glob("predictions/*/")) - earlier
    assert version_of(night) == "1"
    said = nightshift("status", cwd=up.project).stdout
    [address] = re.findall(r"^  (http://\S+/#/models/nightshift)$", said, re.MULTILINE)
    assert address in up.said
    with browser(up.mlflow) as page:
        page.goto(address)  # as docs/nights.md says, step by step
        page.get_by_role("link", name="Version 2", exact=True).click()
        edit_alias(page, 2, "champion")
        keep_picture(page, "mlflow_promoted")
    nightshift("classify", "photos", "predictions/next", cwd=up.project, PREFECT_API_URL=f"{up.prefect}/api")
    assert version_of(up.project / "predictions/next") == "2"
    assert version_of(night) == "1", "what was answered stays answered"
    served, address = nightshift("review", "--no-browser", cwd=up.project).stdout.splitlines()
    assert served == "`nightshift up` serves it already:"
    with httpx.Client(follow_redirects=True, timeout=60) as person:
        page_of_night = person.get(address)
    assert page_of_night.url.path == "/night/next/"
    assert 'id="train"' in page_of_night.text
    said = nightshift("status", cwd=up.project).stdout
    assert re.search(r"last scheduled: \d{4}-\d\d-\d\d \d\d:\d\d UTC, Completed", said)
    assert re.search(r"^  2 +@challenger @champion", said, re.MULTILINE)
