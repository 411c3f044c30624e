"""Which version is in production, which was before, and how to move between them. Judges no model.

`@challenger` is the newest version that passed the gate, `@champion` the one the night uses, `@previous` the one that
`nightshift rollback` returns to. A person may move `@champion` in the MLflow UI too, not only with `nightshift
promote`. The registered model has its champions in a tag (`succession`), so the next caller of `reconcile` finds the
move and completes it.
"""

import datetime
import getpass
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.registry import succession, versions
from pipeline.registry.decision import GATE_TAG, REFUSED, from_tags
from pipeline.registry.store import Store, refusals
from pipeline.registry.succession import CHAMPION, PREVIOUS
from pipeline.registry.versions import Registered

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from pipeline.registry.direct import Direct

CHALLENGER = "challenger"
SINCE_TAG = "nightshift.champion_since"  # on a version: when it was last made champion, if known
FORCED_TAG = "nightshift.forced"  # on a version: who promoted it against the gate, and when


class RefusedVersion(NightshiftError):  # noqa: N818 - a decision, not a fault
    """The gate refused the version, so only `force` promotes it."""


@dataclass(frozen=True, slots=True)
class RolledBack:
    """What a rollback did."""

    model: Registered  # the champion now
    replaced: int | None  # the champion until now; None when no version had the alias
    earlier: tuple[int, ...]  # the champions before it, that later rollbacks return to; the last one first


def crown(client: "MlflowClient", name: str, version: int) -> None:
    """Make `version` the champion. After a kill in between, `reconcile` completes it."""
    history = reconcile(client, name) or _champions_before(client, name)
    client.set_registered_model_alias(name, CHAMPION, str(version))
    if history[-1:] != (version,):
        _record_new(client, name, succession.with_champion(history, version))


def reconcile(client: "MlflowClient | Direct", name: str) -> tuple[int, ...]:
    """The versions that were champion, the champion last; empty when there is none.

    When a person has moved `@champion`, record that, and let `@previous` name the one before.
    """
    model = versions.registered_model(client, name)
    if model is None or CHAMPION not in model.aliases:
        return ()
    champion, before = int(model.aliases[CHAMPION]), succession.champions_of(model)
    history = succession.with_champion(before, champion)
    previous = str(history[-2]) if len(history) > 1 else ""
    if history == before and str(model.aliases.get(PREVIOUS, "")) == previous:
        return history
    history = succession.without_deleted(client, name, history)
    if before[-1:] == (champion,):
        succession.record(client, name, history)
        return history
    _record_new(client, name, history)
    if before:
        undo = f"; `nightshift rollback` returns to version {history[-2]}" if len(history) > 1 else ""
        log.info("Somebody made version %d the @champion in MLflow%s.", champion, undo)
    return history


def _champions_before(client: "MlflowClient | Direct", name: str) -> tuple[int, ...]:
    """The versions that were champion where none is: somebody deleted the alias, or the champion, in MLflow."""
    model = versions.registered_model(client, name)
    return succession.still_there(client, name, succession.champions_of(model)) if model else ()


def _record_new(client: "MlflowClient | Direct", name: str, history: tuple[int, ...]) -> None:
    client.set_model_version_tag(name, str(history[-1]), SINCE_TAG, _now())
    succession.record(client, name, history)


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


def already_champion(name: str) -> int | None:
    """The challenger's version when it is the champion as well: no newer one has passed."""
    champion, challenger = Store.of_project().ask(
        lambda client: (versions.by_alias(client, name, CHAMPION), versions.by_alias(client, name, CHALLENGER))
    )
    return champion.version if champion and challenger and champion.version == challenger.version else None


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


def rollback(name: str) -> RolledBack:
    """Make the champion before the present one the champion again; each call goes one further back.

    Raises NightshiftError when no earlier one is left.
    """
    with Store.of_project().connected() as client:
        history = reconcile(client, name)
        replaced, left = history[-1:], history[:-1]
        left = succession.still_there(client, name, left) if history else _champions_before(client, name)
        if not left:
            raise NightshiftError(_no_way_back(name, replaced))
        succession.record(client, name, left)  # first: a kill after it leaves the old state, as `reconcile` finds it
        client.set_registered_model_alias(name, CHAMPION, str(left[-1]))
        _record_new(client, name, left)
        return RolledBack(versions.by_number(client, name, left[-1]), replaced[0] if replaced else None, left[-2::-1])


def _no_way_back(name: str, champion: tuple[int, ...]) -> str:
    kept = f"Version {champion[0]} stays the champion. " if champion else ""
    return (
        f"{name} has no earlier champion to return to. {kept}`nightshift status` lists all versions, "
        "`nightshift promote VERSION` chooses one."
    )


def require_champion(name: str) -> None:
    """Raise NightshiftError when it is plain, without MLflow, that no version of `name` is the champion."""
    store = Store.of_project()
    store.require_answer()
    if not store.names_alias(name, CHAMPION):
        raise NightshiftError(without_champion(name, known_versions(name) if store.is_there else ()))


def without_champion(name: str, every: Sequence[Registered]) -> str:
    """What a person must do where there is no champion, in words. every: the versions, the newest first."""
    said = f"No version of {name} is @champion in MLflow"
    if not every:
        return f"{said}. Run `nightshift train`: the first version that passes the gate becomes it."
    usable = [one.version for one in every if one.tags.get(GATE_TAG) != REFUSED]
    if usable:
        return f"{said}. `nightshift promote {usable[0]}` makes version {usable[0]} the champion."
    newest = every[0].version
    return (
        f"{said}: the gate refused version {newest}, the newest. `nightshift status` says why; "
        f"`nightshift promote {newest} --force` makes it the champion anyway."
    )


def champion(name: str) -> Registered:
    """The version the night uses, whoever chose it. Raises NightshiftError when there is none."""

    def asked(client: "MlflowClient | Direct") -> tuple[Registered, tuple[int, ...]]:
        found = versions.by_alias(client, name, CHAMPION)
        if found is None:
            raise NightshiftError(without_champion(name, versions.versions(client, name)))
        try:
            return found, reconcile(client, name)
        except refusals() as error:  # a read-only store is enough for a night
            log.warning("Could not record in MLflow that version %d is the champion: %s", found.version, error)
            return found, ()

    found, history = Store.of_project().ask(asked)
    if words := warning(found, history[-2] if len(history) > 1 else None):
        log.warning("%s", words)
    return found


def challenger(name: str) -> Registered | None:
    """The newest version that passed the gate, if there is one."""
    return Store.of_project().ask(lambda client: versions.by_alias(client, name, CHALLENGER))


def previous(name: str) -> int | None:
    """The version that the next rollback returns to, if there is one."""
    found = Store.of_project().ask(lambda client: versions.by_alias(client, name, PREVIOUS))
    return found.version if found else None


def numbered(name: str, version: int) -> Registered:
    """The version of this number. Raises NightshiftError when there is none."""
    if (found := Store.of_project().ask(lambda client: versions.find(client, name, version))) is None:
        raise NightshiftError(_missing(name, f"version {version}"))
    return found


def _missing(name: str, what: str) -> str:
    return f"{name} has no {what} in MLflow. `nightshift status` lists all versions."


def known_versions(name: str) -> list[Registered]:
    """All versions, the newest first, after completing a person's moves in the MLflow UI."""

    def asked(client: "MlflowClient | Direct") -> list[Registered]:
        reconcile(client, name)
        return versions.versions(client, name)

    return Store.of_project().ask(asked)


def reasons(model: Registered) -> tuple[str, ...]:
    """Why the gate refused a version; empty when it did not."""
    decision = from_tags(model.tags)
    return decision.reasons if decision else ()


def warning(model: Registered, before: int | None) -> str:
    """A warning about this version as champion, or an empty text. before: the version that a rollback returns to."""
    if model.tags.get(GATE_TAG) != REFUSED:
        return ""
    forced = f" (forced by {model.tags[FORCED_TAG]})" if FORCED_TAG in model.tags else ""
    undo = f" `nightshift rollback` returns to version {before}." if before else ""
    return (
        f"{model.name} version {model.version} is the champion although the gate refused it{forced}: "
        f"{'; '.join(reasons(model))}.{undo}"
    )
