"""Telling people by e-mail, chat or webhook, through Apprise. A message that does not arrive never fails a run.

NIGHTSHIFT_NOTIFY has the addresses, as Apprise writes them. They hold passwords: nothing but the name of the service
is ever said of one.
"""

import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.notices.messages import Message, of_test

ADDRESSES = "NIGHTSHIFT_NOTIFY"  # separated by white space
ALWAYS = "NIGHTSHIFT_NOTIFY_ALWAYS"  # 1: also of a night that needs nobody
LOGS = ("apprise", "urllib3.connectionpool")  # they name hosts, tokens and what a server answered


class NotifyError(NightshiftError):
    """Nobody can be told, or not everybody was."""


@dataclass(frozen=True, slots=True)
class Told:
    """One address, by its number and service, and whether it took the message."""

    who: str
    arrived: bool


def addresses() -> list[str]:
    """Those in the environment."""
    return os.environ.get(ADDRESSES, "").split()


def wants_all() -> bool:
    """Whether people are told of uneventful nights too."""
    return os.environ.get(ALWAYS, "") not in ("", "0")


def send(message: Message) -> list[Told]:
    """Send a message to every address, one after another."""
    from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType

    # No picture is fetched from elsewhere; one address at a time, each with its own answer.
    asset = AppriseAsset(
        app_id="Nightshift", app_desc="Nightshift", image_url_mask="", image_url_logo="", async_mode=False
    )
    told = []
    for number, address in enumerate(addresses(), start=1):
        with _silent():
            service = Apprise.instantiate(address, asset=asset)
            sender = Apprise(service, asset=asset)
            arrived = bool(
                service
                and sender.notify(
                    message.body, message.heading, NotifyType(message.kind.value), body_format=NotifyFormat.TEXT
                )
            )
        told.append(Told(f"address {number} ({_service(address, service)})", arrived))
    return told


def _service(address: str, service: Any) -> str:
    """What kind of service an address is of."""
    if service:
        return str(service.service_name)
    scheme = re.match(r"[a-z][a-z0-9+]{0,19}(?=://)", address)
    return f"{scheme[0]}, not an address that Apprise knows" if scheme else "not an address that Apprise knows"


@contextmanager
def _silent() -> Iterator[None]:
    """Keep addresses out of the logs of those who send to them."""
    before = {name: logging.getLogger(name).disabled for name in LOGS}
    try:
        for name in LOGS:
            logging.getLogger(name).disabled = True
        yield
    finally:
        for name, disabled in before.items():
            logging.getLogger(name).disabled = disabled


def tell(make: Callable[[], Message | None]) -> None:
    """Send the message that `make` gives, if it gives one and there is anybody to be told; never raises."""
    if not addresses():
        return
    try:
        message = make()
        for told in send(message) if message else []:
            if not told.arrived:
                log.warning(
                    "%s was not told of “%s”: check it in %s, then `nightshift notify` tries it.",
                    told.who, message.heading if message else "", ADDRESSES,
                )  # fmt: skip
    except Exception as error:  # noqa: BLE001 - whatever goes wrong in telling, the run has ended as it has
        # Its words are not ours: they may hold an address.
        log.warning("Nobody could be told how the run ended (%s).", type(error).__name__)


def try_all() -> list[Told]:
    """Send a test message to every address. Raises NotifyError when there is none."""
    if not addresses():
        raise NotifyError(
            f"{ADDRESSES} is not set: nobody is told. It has one or more addresses separated by spaces, such as "
            "mailtos://user:password@mail.example.com?to=me@example.com or slack://…/…/…; "
            "https://github.com/caronc/apprise/wiki lists all services."
        )
    return send(of_test())
