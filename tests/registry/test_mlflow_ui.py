"""What a person sees and does on MLflow's own pages, in a real browser over a real store."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from pipeline.registry.store import Store
from tests.fixtures.browser import browser, give_alias, keep_picture, open_version
from tests.fixtures.project import copy_of, nightshift
from tests.fixtures.serving import mlflow_server

pytestmark = [pytest.mark.browser, pytest.mark.services]


@pytest.fixture(scope="module")
def served(three_versions: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Page]]:
    """A copy of the project, and a browser at an MLflow server over its store."""
    project = copy_of(three_versions, tmp_path_factory.mktemp("served") / "project")
    with (
        mlflow_server(project, "server", "--workers", "1", check="/health") as address,
        browser(address) as found,
    ):
        yield project, found


@pytest.fixture
def project(served: tuple[Path, Page], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project with the aliases that it began with: version 1 is champion, 2 the challenger."""
    monkeypatch.chdir(served[0])
    with Store.of_project().connected() as client:
        for alias in client.get_registered_model("nightshift").aliases:
            client.delete_registered_model_alias("nightshift", alias)
        for tag in [tag for tag in client.get_registered_model("nightshift").tags if tag.startswith("nightshift.")]:
            client.delete_registered_model_tag("nightshift", tag)
        client.set_registered_model_alias("nightshift", "champion", "1")
        client.set_registered_model_alias("nightshift", "challenger", "2")
    assert aliases_of(served[0]) == {"3": "", "2": "@challenger", "1": "@champion"}
    return served[0]


@pytest.fixture
def page(served: tuple[Path, Page], project: Path) -> Page:
    return served[1]


def aliases_of(project: Path) -> dict[str, str]:
    """Version -> aliases, as `nightshift status` shows them."""
    said = nightshift("status", cwd=project).stdout
    rows = re.findall(r"^  (\d+) +((?:@\w+ ?)*) *(?:passed|refused)", said, re.MULTILINE)
    return {version: aliases.strip() for version, aliases in rows}


def test_why_a_version_was_refused_is_read_on_its_page_and_a_person_may_choose_it_all_the_same(
    page: Page, project: Path
) -> None:
    page.goto("/#/models/nightshift")
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="Version 3", exact=True))
    expect(row.get_by_role("status", name="nightshift.gate", exact=True)).to_contain_text("refused")
    keep_picture(page, "versions")
    open_version(page, 3)
    main = page.get_by_role("main")
    expect(main.get_by_text("The gate: refused.")).to_be_visible()
    reason = main.get_by_role("row").filter(has=page.get_by_role("cell", name="max_loss", exact=True))
    expect(reason).to_contain_text("balanced accuracy is 0.500, the champion's 1.000")
    expect(reason.get_by_role("cell", name="refused")).to_be_visible()
    tag = main.get_by_role("row").filter(has=page.get_by_role("cell", name="nightshift.gate", exact=True))
    expect(tag.get_by_role("cell", name="refused", exact=True)).to_be_visible()
    keep_picture(page, "refused")
    give_alias(page, 3, "champion")
    said = nightshift("status", cwd=project).stdout
    assert "WARNING: nightshift version 3 is the champion although the gate refused it: max_loss" in said
    assert aliases_of(project)["1"] == "@previous"
    nightshift("rollback", cwd=project)
    assert "WARNING" not in nightshift("status", cwd=project).stdout


def test_moving_the_champion_on_the_page_is_a_promotion_that_can_be_rolled_back(page: Page, project: Path) -> None:
    assert aliases_of(project) == {"3": "", "2": "@challenger", "1": "@champion"}
    open_version(page, 2)
    expect(page.get_by_role("main").get_by_text("The gate: passed.")).to_be_visible()
    give_alias(page, 2, "champion")
    assert aliases_of(project) == {"3": "", "2": "@challenger @champion", "1": "@previous"}
    assert "version 1 is the champion again" in nightshift("rollback", cwd=project).stdout
    assert aliases_of(project) == {"3": "", "2": "@challenger", "1": "@champion"}
    page.reload()
    expect(page.get_by_role("main").get_by_role("status", name="champion", exact=True)).to_be_hidden()
    keep_picture(page, "rolled_back")
