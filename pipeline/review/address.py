"""Where a server of this project listens, and the token that lets a browser in: the same at each start.

Each review has an address of its own, so that a page that was open finds its server again, and no other review's.
"""

import json
import os
import secrets
from pathlib import Path

from pydantic import BaseModel, ValidationError

from pipeline.storage.files import replacing

LOOPBACK = "127.0.0.1"
TOKEN = "token"  # noqa: S105 - the name of the parameter
ADDRESSES = Path(".nightshift/reviews")  # of the reviews, by their key


class Address(BaseModel):
    """Where a server listens, and who may ask it."""

    port: int = 0
    token: str = ""

    @property
    def page(self) -> str:
        """The address with its token, for a browser."""
        return self.page_at("")

    def page_at(self, path: str) -> str:
        """The same of a page below it."""
        return f"http://{LOOPBACK}:{self.port}/{path}?{TOKEN}={self.token}"


def address_of(key: str) -> Path:
    """The file with the address of a review."""
    return ADDRESSES / f"{key}.json"


def last_address(file: Path) -> Address:
    """Where it was the last time; port 0 and a new token when there was none."""
    try:
        return Address.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return Address(token=secrets.token_urlsafe(24))


def keep_address(address: Address, file: Path) -> None:
    """Keep it for the next time; only its user may read it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as beside:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            json.dump(address.model_dump(), out)


def hosts(port: int) -> list[str]:
    """The names by which a browser on this machine calls the server."""
    return [f"{name}:{port}" for name in (LOOPBACK, "localhost")]
