"""Which version is in production, which was before, and how to move between them. Judges no model.

`@challenger` is the newest version that passed the gate, `@champion` the one the night uses, `@previous` the champion
before it. A person may move `@champion` in the MLflow UI too, not only with `nightshift promote`. The registered model
has the last known champion in a tag (KNOWN_TAG), so the next caller of `reconcile` finds the move and completes it.
"""

import datetime
import getpass
from typing import TYPE_CHECKING

from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.registry import versions
from pipeline.registry.gate import GATE_TAG, REFUSED, from_tags
from pipeline.registry.store import Store
from pipeline.registry.versions import Registered

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
KNOWN_TAG = "nightshift.champion"  # on the registered model: the last known champion
SINCE_TAG = "nightshift.champion_since"  # on a version: when it was last made champion, if known
FORCED_TAG = "nightshift.forced"  # on a version: who promoted it against the gate, and when


class RefusedVersion(NightshiftError):  # noqa: N818 - a decision, not a fault
    """The gate refused the version, so only `force` promotes it."""


def crown(client: "MlflowClient", name: str, version: int) -> None:
    """Make `version` the champion, and the champion until now the previous one.

    With this order a kill leaves either the old state or one that `reconcile` completes.
    """
    before = reconcile(client, name)
    if before and before != version:
        client.set_registered_model_alias(name, PREVIOUS, str(before))
    client.set_registered_model_alias(name, CHAMPION, str(version))
    if before != version:
        _remember(client, name, version)


def reconcile(client: "MlflowClient", name: str) -> int | None:
    """When a person has moved `@champion`, make the last known champion `@previous`; returns the champion."""
    model = versions.registered_model(client, name)
    if model is None or CHAMPION not in model.aliases:
        return None
    champion, known = int(model.aliases[CHAMPION]), model.tags.get(KNOWN_TAG, "")
    if known == str(champion):
        return champion
    if known.isdecimal() and versions.find(client, name, int(known)):
        client.set_registered_model_alias(name, PREVIOUS, known)
        log.info("Somebody made version %d the @champion in MLflow; version %s is @previous now.", champion, known)
    _remember(client, name, champion)
    return champion


def _remember(client: "MlflowClient", name: str, version: int) -> None:
    client.set_model_version_tag(name, str(version), SINCE_TAG, _now())
    client.set_registered_model_tag(name, KNOWN_TAG, str(version))


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def challenge(client: "MlflowClient", name: str, version: int, *, promote_it: bool) -> None:
    """Make a version that passed the gate the challenger, and the champion if `promote_it` or when there is none.

    Calling it again, for the challenger or an older version, moves no alias.
    """
    challenger = versions.by_alias(client, name, CHALLENGER)
    if challenger and challenger.version > version:
        return
    new = challenger is None or challenger.version < version
    # The champion first: after a kill in between it is not the challenger yet, so the next call crowns it again.
    if (new and promote_it) or versions.by_alias(client, name, CHAMPION) is None:
        crown(client, name, version)
    if new:
        client.set_registered_model_alias(name, CHALLENGER, str(version))


def promote(name: str, version: int | None = None, *, force: bool = False) -> Registered:
    """Make `version` the champion, or the challenger when none is given.

    Raises NightshiftError when there is none, RefusedVersion when the gate refused it: `force` promotes it
    anyway, and records who did.
    """
    with Store.of_project().connected() as client:
        if version is None and (challenger := versions.by_alias(client, name, CHALLENGER)):
            version = challenger.version
        model = None if version is None else versions.find(client, name, version)
        if version is None or model is None:
            raise NightshiftError(_missing(name, "@challenger" if version is None else f"version {version}"))
        if model.tags.get(GATE_TAG) == REFUSED:
            if not force:
                raise RefusedVersion(
                    "\n  ".join(
                        [
                            f"The gate refused {name} version {version}:",
                            *reasons(model),
                            f"`nightshift promote {version} --force` makes it the champion anyway, and records "
                            "your name.",
                        ]
                    )
                )
            client.set_model_version_tag(name, str(version), FORCED_TAG, f"{getpass.getuser()}, {_now()}")
        crown(client, name, version)
        return versions.by_number(client, name, version)


def rollback(name: str) -> Registered:
    """Swap the champion with the one before it. Raises NightshiftError when there was none."""
    with Store.of_project().connected() as client:
        reconcile(client, name)
        champion, before = (versions.by_alias(client, name, alias) for alias in (CHAMPION, PREVIOUS))
        if before is None or (champion and champion.version == before.version):
            raise NightshiftError(
                f"{name} has no @previous in MLflow: no other version has been champion. "
                "Choose one with `nightshift promote VERSION`."
            )
        crown(client, name, before.version)
        return versions.by_number(client, name, before.version)


def champion(name: str) -> Registered:
    """The version the night uses, whoever chose it. Raises NightshiftError when there is none."""
    from mlflow import MlflowException

    with Store.of_project().connected() as client:
        found = versions.by_alias(client, name, CHAMPION)
        if found is None:
            raise NightshiftError(
                f"No version of {name} is @champion in MLflow. Run `nightshift train`, then `nightshift promote`."
            )
        try:
            reconcile(client, name)
        except MlflowException as error:  # a read-only store is enough for a night
            log.warning("Could not record in MLflow that version %d is the champion: %s", found.version, error)
    if words := warning(found):
        log.warning("%s", words)
    return found


def challenger(name: str) -> Registered | None:
    """The newest version that passed the gate, if there is one."""
    with Store.of_project().connected() as client:
        return versions.by_alias(client, name, CHALLENGER)


def numbered(name: str, version: int) -> Registered:
    """The version of this number. Raises NightshiftError when there is none."""
    with Store.of_project().connected() as client:
        if (found := versions.find(client, name, version)) is None:
            raise NightshiftError(_missing(name, f"version {version}"))
        return found


def _missing(name: str, what: str) -> str:
    return f"{name} has no {what} in MLflow. `nightshift status` lists all versions."


def known_versions(name: str) -> list[Registered]:
    """All versions, the newest first, after completing a person's moves in the MLflow UI."""
    with Store.of_project().connected() as client:
        reconcile(client, name)
        return versions.versions(client, name)


def reasons(model: Registered) -> tuple[str, ...]:
    """Why the gate refused a version; empty when it did not."""
    decision = from_tags(model.tags)
    return decision.reasons if decision else ()


def warning(model: Registered) -> str:
    """A warning about this version as champion, or an empty text."""
    if model.tags.get(GATE_TAG) != REFUSED:
        return ""
    forced = f" (forced by {model.tags[FORCED_TAG]})" if FORCED_TAG in model.tags else ""
    return (
        f"{model.name} version {model.version} is the champion although the gate refused it{forced}: "
        f"{'; '.join(reasons(model))}. `nightshift rollback` returns to the previous champion."
    )
