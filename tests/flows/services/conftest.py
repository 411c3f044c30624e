"""Servers that many tests of this folder share, and that end with it: until a session's end they would cost a core."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.project import copy_of
from tests.fixtures.site import Shipped, Site, serve, train_shipped
from tests.fixtures.up import Up, services, short


@pytest.fixture(scope="package")
def up(three_versions: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The one project whose services run: version 1 is champion, 2 the challenger, 3 refused."""
    with services(copy_of(three_versions, short(tmp_path_factory))) as running:
        yield running


@pytest.fixture(scope="package")
def site(s3: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Servers for several machines, as docs/production.md has them."""
    with serve(s3, tmp_path_factory.mktemp("site")) as servers:
        yield servers


@pytest.fixture(scope="package")
def shipped(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Shipped:
    """A project that these servers have trained. Tests leave its model as it is."""
    return train_shipped(short(tmp_path_factory), site)
