"""A browser for the tests of the review's pages."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from tests.fixtures.browser import browser
from tests.fixtures.reader import window


@pytest.fixture(scope="module")
def chromium() -> Iterator[Page]:
    with browser("http://127.0.0.1") as page:
        yield page


@pytest.fixture
def page(chromium: Page) -> Iterator[Page]:
    """A browser of somebody who was never here."""
    yield from window(chromium)
