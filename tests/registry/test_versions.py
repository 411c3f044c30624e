"""Versions of a small real store: what they are, and how many requests it takes to know."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking._model_registry.client import ModelRegistryClient

from flows.status import versions_table
from pipeline.core.errors import NightshiftError
from pipeline.registry import champions, direct_file, versions
from pipeline.registry.decision import DECISION_TAG, GATE_TAG, Check, Decision
from pipeline.registry.runs import CONTRACT_TAG
from pipeline.registry.store import Store

NAME = "shapes"
COUNT = 7


@pytest.fixture
def seven(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Seven versions: 3 is champion and challenger, 2 was champion before."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(empty_store, tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    store = Store.of_project()
    with store.connected() as client:
        client.create_registered_model(NAME)
        for number in range(COUNT):
            client.create_model_version(NAME, str(tmp_path), tags={CONTRACT_TAG: f"hash {number + 1}"})
        client.set_registered_model_alias(NAME, "challenger", "3")
    champions.promote(NAME, 2)
    champions.promote(NAME, 3)
    champions.promote(NAME, 1)
    champions.rollback(NAME)
    return store


@pytest.fixture
def requests(seven: Store, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each request was made of the registry."""
    made: Counter[str] = Counter()

    def counted(name: str, real: Any, *given: Any, **named: Any) -> Any:
        made[name] += 1
        return real(*given, **named)

    for name, real in vars(ModelRegistryClient).items():
        if callable(real) and not name.startswith("_"):
            monkeypatch.setattr(ModelRegistryClient, name, _method(partial(counted, name, real)))
    return made


def _method(call: Any) -> Any:
    return lambda self, *given, **named: call(self, *given, **named)


def test_all_versions_with_their_aliases_cost_two_requests(seven: Store, requests: Counter[str]) -> None:
    with seven.connected() as client:
        found = versions.versions(client, NAME)
    assert requests == {"get_registered_model": 1, "search_model_versions": 1}
    assert [one.version for one in found] == [7, 6, 5, 4, 3, 2, 1]
    assert {one.version: one.aliases for one in found if one.aliases} == {
        3: ("challenger", "champion"),
        2: ("previous",),
    }
    assert [one.tags[CONTRACT_TAG] for one in found] == [f"hash {number}" for number in (7, 6, 5, 4, 3, 2, 1)]
    with seven.connected() as client:
        assert found == [versions.by_number(client, NAME, one.version) for one in found]


def test_the_list_that_people_see_costs_three_where_mlflow_is_asked(
    requests: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(champions.known_versions(NAME)) == COUNT
    assert not requests, "a database that we know"
    monkeypatch.setattr(direct_file, "KNOWN", set())
    assert len(champions.known_versions(NAME)) == COUNT
    assert requests == {"get_registered_model": 2, "search_model_versions": 1}, "the first sees whether one was moved"


def test_what_does_not_exist_is_none(seven: Store) -> None:
    with seven.connected() as client:
        assert versions.versions(client, "other") == []
        assert versions.registered_model(client, "other") is None
        assert versions.by_alias(client, NAME, "nobody") is None
        assert versions.by_alias(client, "other", "champion") is None
        assert versions.find(client, NAME, 99) is None
        assert versions.by_contract(client, NAME, "none") is None
        client.delete_model_version(NAME, "3")
        assert versions.find(client, NAME, 3) is None
    assert champions.challenger(NAME) is None
    with pytest.raises(NightshiftError, match="shapes has no version 3"):
        champions.numbered(NAME, 3)
    with pytest.raises(NightshiftError, match="No version of shapes is @champion"):
        champions.champion(NAME)


@pytest.fixture
def refused(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """One version, which the gate refused."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(empty_store, tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with Store.of_project().connected() as client:
        client.create_registered_model(NAME)
        client.create_model_version(NAME, str(tmp_path), tags=tags_of("at least 0.5", passed=False))
    return Store.of_project()


def tags_of(asked: str, *, passed: bool) -> dict[str, str]:
    """What a registration leaves of the gate's decision."""
    decision = Decision((Check("min_accuracy", passed, "accuracy is 0.4", asked),), "no other version")
    return {GATE_TAG: decision.verdict, DECISION_TAG: json.dumps({**asdict(decision), "limits": {}})}


@pytest.mark.parametrize("ask", [champions.champion, champions.require_champion])
def test_without_a_champion_the_next_step_follows_from_what_the_gate_said(
    refused: Store, ask: Callable[[str], object]
) -> None:
    with pytest.raises(NightshiftError, match=r"No version of other is @champion in MLflow. Run `nightshift train`"):
        ask("other")
    forced = r"the gate refused version 1, the newest. `nightshift status` says why; `nightshift promote 1 --force`"
    with pytest.raises(NightshiftError, match=forced):
        ask(NAME)
    with refused.connected() as client:
        client.create_model_version(NAME, "passed", tags=tags_of("at least 0.3", passed=True))
    with pytest.raises(NightshiftError, match=r"MLflow. `nightshift promote 2` makes version 2 the champion."):
        ask(NAME)


def test_a_rollback_is_advised_only_where_a_champion_was_before(refused: Store) -> None:
    with refused.connected() as client:
        client.create_model_version(NAME, "worse", tags=tags_of("at least 0.5", passed=False))
    for version, advice in ((1, ""), (2, " `nightshift rollback` returns to version 1.")):
        promoted = champions.promote(NAME, version, force=True)
        words = champions.warning(promoted, champions.previous(NAME))
        assert f"version {version} is the champion although the gate refused it (forced by " in words
        assert words.endswith(f"min_accuracy: accuracy is 0.4; asked for: at least 0.5.{advice}")
        assert f"WARNING: {words}" in versions_table(champions.known_versions(NAME))[1]
