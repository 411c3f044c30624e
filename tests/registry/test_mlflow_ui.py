"""What a person sees and does on MLflow's own pages, in a real browser over a real store."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.fixtures.browser import browser, give_alias, keep_picture, open_version
from tests.fixtures.project import nightshift
from tests.fixtures.serving import mlflow_server


@pytest.fixture
def page(registry_project: Path) -> Iterator[Page]:
    """A browser at an MLflow server over the project's store."""
    with (
        mlflow_server(registry_project, "server", "--workers", "1", check="/health") as address,
        browser(address) as found,
    ):
        yield found


def aliases_of(project: Path) -> dict[str, str]:
    """Version -> aliases, as `nightshift status` shows them."""
    said = nightshift("status", cwd=project).stdout
    rows = re.findall(r"^  (\d+) +((?:@\w+ ?)*) *(?:passed|refused)", said, re.MULTILINE)
    return {version: aliases.strip() for version, aliases in rows}


def test_why_a_version_was_refused_is_read_on_its_page_and_a_person_may_choose_it_all_the_same(
    page: Page, registry_project: Path
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
    said = nightshift("status", cwd=registry_project).stdout
    assert "WARNING: nightshift version 3 is in production although the gate refused it: max_loss" in said
    assert aliases_of(registry_project)["1"] == "@previous"
    nightshift("rollback", cwd=registry_project)
    assert "WARNING" not in nightshift("status", cwd=registry_project).stdout


def test_moving_the_champion_on_the_page_is_a_promotion_that_can_be_rolled_back(
    page: Page, registry_project: Path
) -> None:
    assert aliases_of(registry_project) == {"3": "", "2": "@challenger", "1": "@champion"}
    open_version(page, 2)
    expect(page.get_by_role("main").get_by_text("The gate: passed.")).to_be_visible()
    give_alias(page, 2, "champion")
    assert aliases_of(registry_project) == {"3": "", "2": "@challenger @champion", "1": "@previous"}
    assert "version 1 is in production again" in nightshift("rollback", cwd=registry_project).stdout
    assert aliases_of(registry_project) == {"3": "", "2": "@challenger @previous", "1": "@champion"}
    page.reload()
    expect(page.get_by_role("main").get_by_role("status", name="previous", exact=True)).to_be_visible()
    expect(page.get_by_role("main").get_by_role("status", name="champion", exact=True)).to_be_hidden()
    keep_picture(page, "rolled_back")
