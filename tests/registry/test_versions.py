"""Versions of a small real store: what they are, and how many requests it takes to know."""

import shutil
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking._model_registry.client import ModelRegistryClient

from pipeline.core.errors import NightshiftError
from pipeline.registry import champions, versions
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


def test_the_list_that_people_see_costs_three(requests: Counter[str]) -> None:
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
