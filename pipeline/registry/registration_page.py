"""The page that says whether the newest version is better, from reports/registration.json. Decides nothing."""

from collections.abc import Mapping
from typing import Any

from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.core.pages import REPORTS, links_from, render
from pipeline.core.paths import AUTO_REPORT, PREDICTIONS, REGISTRATION, REGISTRATION_PAGE
from pipeline.registry.decision import decision_in
from pipeline.registry.registration_result import Registration
from pipeline.registry.versions import Registered
from pipeline.storage import report_pages
from pipeline.storage.files import read_json

TEMPLATE = "registry/registration.html"


def write_page(champion: int | None = None) -> None:
    """Write the page of the last registration; nothing where there was none.

    champion: the version that nights use now, where it is not the one of then. A page that cannot be written is a
    warning: the registration, or the promotion, is done.
    """
    if not REGISTRATION.is_file():
        return
    try:
        found = read_json(REGISTRATION)
        written = page_of(found if champion is None else found | {"champion": champion})
        report_pages.write_page(REGISTRATION_PAGE, written)
    except (OSError, KeyError, TypeError, ValueError, NightshiftError) as error:
        log.warning("%s could not be written (%s: %s).", REGISTRATION_PAGE, type(error).__name__, error)


def page_of(found: dict[str, Any]) -> str:
    """The page. found: as reports/registration.json holds it."""
    registration = registration_in(found)
    pages = [(one.words, one.file) for one in REPORTS if one.file != REGISTRATION_PAGE]
    nights = sorted(PREDICTIONS.glob("*/morning.html"), key=lambda file: file.stat().st_mtime)
    others = [("Automatic training", AUTO_REPORT), *(("Latest night", night) for night in nights[-1:])]
    links = links_from(REGISTRATION_PAGE.parent, (report_pages.INDEX, *pages, *others))
    is_champion = registration.champion == registration.model.version
    return render(
        TEMPLATE,
        registration=registration,
        decision=registration.decision,
        kind="stop" if not registration.decision.passed else "" if is_champion else "look",
        identity=found.get("identity", ""),
        headline=_headline(registration, in_use=is_champion),
        links=links,
    )


def _headline(registration: Registration, *, in_use: bool) -> str:
    """The verdict in a few words."""
    if registration.decision.passed:
        return "passed the gate, in use" if in_use else "passed the gate, not in use yet"
    return "refused by the gate, in use all the same" if in_use else "refused by the gate, not in use"


def registration_in(found: Mapping[str, Any]) -> Registration:
    """The registration that reports/registration.json holds. Raises KeyError, TypeError or ValueError."""
    model = Registered(found["name"], found["version"], found["run_id"], ())
    return Registration(model, decision_in(found), found.get("champion"), found.get("accuracy", ""))
