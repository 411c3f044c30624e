"""What a person sees and does on MLflow's own pages, in a real browser over a real store.

Playwright drives the system's Chromium. SCREENSHOTS names a folder to keep the pictures in.
"""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.project import nightshift
from tests.serving import mlflow_server

PATIENCE = 60_000  # milliseconds: a busy machine draws slowly


@pytest.fixture
def page(registry_project: Path) -> Iterator[Page]:
    """A browser at an MLflow server over the project's store."""
    browser = shutil.which("chromium")
    assert browser, "these tests need Chromium: `make browser` installs it (Debian's package chromium)"
    with (
        mlflow_server(registry_project, "server", "--workers", "1", check="/health") as address,
        sync_playwright() as driver,
        driver.chromium.launch(executable_path=browser, args=["--no-sandbox"]) as opened,
    ):
        found = opened.new_page(base_url=address, viewport={"width": 1400, "height": 1000})
        found.set_default_timeout(PATIENCE)
        yield found


@pytest.fixture(autouse=True)
def patience() -> None:
    expect.set_options(timeout=PATIENCE)


def open_version(page: Page, version: int) -> None:
    page.goto(f"/#/models/nightshift/versions/{version}")
    expect(page.get_by_role("heading", name=f"Version {version}")).to_be_visible()


def keep_picture(page: Page, name: str) -> None:
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png")


def give_alias(page: Page, version: int, alias: str) -> None:
    """As a person would: the pencil beside the aliases, the name, Enter, Save."""
    open_version(page, version)
    main = page.get_by_role("main")
    # Without an alias yet it is called Add, and stands above the tags, which have another of the name.
    pencil, add = main.get_by_role("button", name="Edit aliases"), main.get_by_role("button", name="Add", exact=True)
    pencil.or_(add).first.click()
    dialog = page.get_by_role("dialog", name=f"Add/Edit alias for model version {version}")
    dialog.get_by_role("combobox").fill(alias)
    dialog.get_by_role("combobox").press("Enter")
    expect(dialog.get_by_role("status", name=alias, exact=True)).to_be_visible()
    keep_picture(page, f"alias_{alias}_{version}")
    dialog.get_by_role("button", name="Save aliases").click()
    expect(dialog).to_be_hidden()
    expect(main.get_by_role("status", name=alias, exact=True)).to_be_visible()


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
