"""A person at a page: Debian's Chromium, driven by Playwright. SCREENSHOTS names a folder to keep the pictures in."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

PATIENCE = 60_000  # milliseconds: a busy machine draws slowly


@contextmanager
def browser(address: str) -> Iterator[Page]:
    """A new window whose addresses begin with `address`."""
    program = shutil.which("chromium")
    assert program, "these tests need Chromium: `make system` installs it (Debian's package chromium)"
    expect.set_options(timeout=PATIENCE)
    with (
        sync_playwright() as driver,
        driver.chromium.launch(executable_path=program, args=["--no-sandbox"]) as opened,
    ):
        found = opened.new_page(base_url=address, viewport={"width": 1400, "height": 1000})
        found.set_default_timeout(PATIENCE)
        yield found


def keep_picture(page: Page, name: str) -> None:
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png")


def open_version(page: Page, version: int) -> None:
    page.goto(f"/#/models/nightshift/versions/{version}")
    expect(page.get_by_role("heading", name=f"Version {version}")).to_be_visible()


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
