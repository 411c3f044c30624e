"""Sends messages by e-mail, chat or webhook, through Apprise. A message that does not arrive never fails a run.

NIGHTSHIFT_NOTIFY has the addresses, as Apprise writes them. They hold passwords, so logs and errors name only the
service of an address.
"""

import logging
import os
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.notices.messages import Message, of_test

ADDRESSES = "NIGHTSHIFT_NOTIFY"  # separated by white space
ALWAYS = "NIGHTSHIFT_NOTIFY_ALWAYS"  # 1: also about nights without alarms
NEEDS_HTML = "tgram"  # Telegram: Apprise has no plain form of it
LOGS = ("apprise", "urllib3.connectionpool")  # they name hosts, tokens and what a server answered


class NotifyError(NightshiftError):
    """No address is set, or a message did not arrive."""


@dataclass(frozen=True, slots=True)
class Told:
    """One address, by its number and service, and whether the message arrived."""

    who: str
    arrived: bool


def addresses() -> list[str]:
    """The addresses in NIGHTSHIFT_NOTIFY."""
    return os.environ.get(ADDRESSES, "").split()


def wants_all() -> bool:
    """Whether to send messages about nights without alarms too."""
    return os.environ.get(ALWAYS, "") not in ("", "0")


def send(message: Message) -> list[Told]:
    """Send a message to every address, one after another."""
    return send_to(message, ())


def send_to(message: Message, only: Collection[str]) -> list[Told]:
    """Send a message to these addresses, as `Told` names them, one after another; without any, to all."""
    from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType

    # Fetch no icons from the web. Send to one address at a time, to know which one failed.
    asset = AppriseAsset(
        app_id="Nightshift", app_desc="Nightshift", image_url_mask="", image_url_logo="", async_mode=False
    )
    told = []
    for number, address in enumerate(addresses(), start=1):
        with _silent():
            service = service_at(address, asset)
            who = f"address {number} ({_service(address, service)})"
            if only and who not in only:
                continue
            sender = Apprise(service, asset=asset)
            arrived = bool(
                service
                and sender.notify(
                    message.body,
                    message.subject,
                    NotifyType(message.kind.value),
                    body_format=NotifyFormat.TEXT,
                )
            )
        told.append(Told(who, arrived))
    return told


def service_at(address: str, asset: Any = None) -> Any:
    """The service behind an address; None if there is none. Mail is plain text, by SMTP or by a service on the web."""
    from apprise import Apprise, NotifyFormat

    service: Any = Apprise.instantiate(address, asset=asset)
    is_html = service and service.notify_format is NotifyFormat.HTML and service.secure_protocol != NEEDS_HTML
    if is_html and "format=" not in address:
        service.notify_format = NotifyFormat.TEXT  # as HTML a text is one line that a phone cannot break
    return service


def _service(address: str, service: Any) -> str:
    """The name of the service behind an address."""
    if service:
        return str(service.service_name)
    scheme = re.match(r"[a-z][a-z0-9+]{0,19}(?=://)", address)
    return f"{scheme[0]}, not an address that Apprise knows" if scheme else "not an address that Apprise knows"


@contextmanager
def _silent() -> Iterator[None]:
    """Keep addresses out of the logs of the libraries that send."""
    before = {name: logging.getLogger(name).disabled for name in LOGS}
    try:
        for name in LOGS:
            logging.getLogger(name).disabled = True
        yield
    finally:
        for name, disabled in before.items():
            logging.getLogger(name).disabled = disabled


def tell(make: Callable[[], Message | None]) -> None:
    """Send the message that `make` returns, if there is one and any address is set. Never raises."""
    if not addresses():
        return
    try:
        message = make()
        for told in send(message) if message else []:
            if not told.arrived:
                log.warning(
                    "Could not send “%s” to %s: check its address in %s, then test it with `nightshift notify`.",
                    message.heading if message else "", told.who, ADDRESSES,
                )  # fmt: skip
    except Exception as error:  # noqa: BLE001 - a failed message must not change how the run ended
        # Do not log the error's text: it may hold an address.
        log.warning("Could not send any message about how the run ended (%s).", type(error).__name__)


def try_all() -> list[Told]:
    """Send a test message to every address. Raises NotifyError when there is none."""
    if not addresses():
        raise NotifyError(
            f"{ADDRESSES} is not set, so nobody gets messages. Set it to one or more addresses separated by spaces, "
            "such as mailtos://user:password@mail.example.com?to=me@example.com or slack://…/…/…; "
            "https://github.com/caronc/apprise/wiki lists all services."
        )
    return send(of_test())
