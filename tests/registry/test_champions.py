"""Who is champion, challenger and previous: promotion, the way back, moves in MLflow's pages, deaths in between."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import NightshiftError
from pipeline.registry import champions, succession, versions
from pipeline.registry.store import Store
from tests.fixtures.project import nightshift
from tests.fixtures.registry import NAME, START, Killed, aliases, move_in_the_ui


def test_promote_and_rollback(registry_project: Path) -> None:
    assert champions.promote(NAME).version == 2, "the challenger"
    assert aliases() == {3: (), 2: ("challenger", "champion"), 1: ("previous",)}
    champions.promote(NAME, 2)
    assert aliases() == {3: (), 2: ("challenger", "champion"), 1: ("previous",)}, "again changes nothing"
    said = nightshift("promote", cwd=registry_project).stdout
    assert said == f"{NAME} version 2 is already the champion; there is no newer version that passed.\n"
    said = nightshift("rollback", cwd=registry_project).stdout
    assert "nightshift version 1 is the champion again, instead of version 2." in said
    assert "there is no earlier one to return to" in said
    assert "`nightshift promote 2` takes this back." in said
    assert aliases() == START
    with pytest.raises(NightshiftError, match="no version 9"):
        champions.promote(NAME, 9)


def test_each_rollback_goes_one_further_back_and_none_returns(registry_project: Path) -> None:
    for version in (2, 3):
        champions.promote(NAME, version, force=True)
    assert champions.rollback(NAME).model.version == 2
    assert aliases() == {3: (), 2: ("challenger", "champion"), 1: ("previous",)}
    done = champions.rollback(NAME)
    assert (done.model.version, done.replaced, done.earlier) == (1, 2, ())
    third = nightshift("rollback", cwd=registry_project, check=False)
    assert third.returncode == 1
    assert "no earlier champion to return to. Version 1 stays the champion." in third.stderr
    assert aliases() == START
    champions.promote(NAME, 3, force=True)
    assert champions.rollback(NAME).model.version == 1, "not to a version that it has left"


def test_a_version_that_becomes_champion_again_stands_once(registry_project: Path) -> None:
    for version in (2, 1, 2, 1):
        champions.promote(NAME, version)
    assert champions.rollback(NAME).model.version == 2
    with pytest.raises(NightshiftError, match="no earlier champion"):
        champions.rollback(NAME)


def test_champions_of_an_earlier_release_are_known(registry_project: Path) -> None:
    with Store.of_project().connected() as client:
        client.delete_registered_model_tag(NAME, succession.CHAMPIONS_TAG)
        client.set_registered_model_tag(NAME, succession.KNOWN_TAG, "2")
        client.set_registered_model_alias(NAME, "champion", "2")
        client.set_registered_model_alias(NAME, "previous", "1")
    assert champions.champion(NAME).version == 2
    assert champions.rollback(NAME).model.version == 1
    assert aliases() == START


def test_without_a_champion_before_there_is_no_way_back(registry_project: Path) -> None:
    with pytest.raises(NightshiftError, match="no earlier champion"):
        champions.rollback(NAME)
    assert aliases() == START


def test_a_refused_version_is_promoted_only_by_force_which_is_recorded(registry_project: Path) -> None:
    done = nightshift("promote", "3", cwd=registry_project, check=False)
    assert done.returncode == 1
    assert "The gate refused nightshift version 3:\n  max_loss: balanced accuracy is 0.500" in done.stderr
    assert aliases() == START
    done = nightshift("promote", "3", "--force", cwd=registry_project, USER="night-watch", LOGNAME="night-watch")
    assert "although the gate refused it (forced by night-watch, 20" in done.stdout
    assert aliases() == {3: ("champion",), 2: ("challenger",), 1: ("previous",)}


@pytest.mark.parametrize("asks", ["status", "rollback", "promote", "night"])
def test_a_champion_made_in_the_ui_has_the_one_before_as_previous(asks: str, registry_project: Path) -> None:
    move_in_the_ui(2)
    match asks:
        case "status":
            nightshift("status", cwd=registry_project)
        case "rollback":
            assert champions.rollback(NAME).model.version == 1
            assert aliases() == START
            return
        case "promote":
            champions.promote(NAME, 2)
        case "night":
            assert champions.champion(NAME).version == 2
    with Store.of_project().connected() as client:
        assert versions.by_number(client, NAME, 1).aliases == ("previous",)
        assert versions.by_number(client, NAME, 2).tags[champions.SINCE_TAG].startswith("20")


def test_a_person_who_goes_back_in_the_ui_can_go_forth_again(registry_project: Path) -> None:
    champions.promote(NAME, 2)
    move_in_the_ui(1)
    assert aliases() == {3: (), 2: ("challenger", "previous"), 1: ("champion",)}
    assert champions.rollback(NAME).model.version == 2


def test_a_champion_whose_predecessor_was_deleted_is_still_champion(registry_project: Path) -> None:
    move_in_the_ui(2)
    with Store.of_project().connected() as client:
        client.delete_model_version(NAME, "1")
    assert champions.champion(NAME).version == 2
    with pytest.raises(NightshiftError, match="no earlier champion"):
        champions.rollback(NAME)


def test_a_champion_that_was_deleted_is_replaced_by_the_one_before(registry_project: Path) -> None:
    for version in (2, 3):
        champions.promote(NAME, version, force=True)
    with Store.of_project().connected() as client:
        client.delete_model_version(NAME, "2")
        client.delete_model_version(NAME, "3")
    done = champions.rollback(NAME)
    assert (done.model.version, done.replaced, done.earlier) == (1, None, ())


def test_a_champion_without_its_alias_is_still_one_that_a_rollback_returns_to(registry_project: Path) -> None:
    with Store.of_project().connected() as client:
        client.delete_registered_model_alias(NAME, "champion")
    said = nightshift("status", cwd=registry_project).stdout
    assert f"No version of {NAME} is @champion in MLflow. `nightshift promote 2` makes version 2 the champion." in said
    champions.promote(NAME, 2)
    assert aliases() == {3: (), 2: ("challenger", "champion"), 1: ("previous",)}
    assert champions.rollback(NAME).model.version == 1


CHANGES = (
    "set_registered_model_alias",
    "delete_registered_model_alias",
    "set_model_version_tag",
    "set_registered_model_tag",
)


@contextlib.contextmanager
def dies_after(steps: int) -> Iterator[None]:
    """Within this block, the change to the store after so many dies."""
    from mlflow import MlflowClient

    with pytest.MonkeyPatch.context() as patched, contextlib.suppress(Killed):
        left = steps
        for name in CHANGES:
            real = getattr(MlflowClient, name)

            def counted(*given: Any, _real: Any = real, **named: Any) -> Any:
                nonlocal left
                if left == 0:
                    raise Killed
                left -= 1
                return _real(*given, **named)

            patched.setattr(MlflowClient, name, counted)
        yield
        raise AssertionError(f"it has no more than {steps} steps")


@pytest.mark.parametrize("steps", range(4))
def test_a_promotion_killed_after_any_step_is_completed_or_repeated(steps: int, registry_project: Path) -> None:
    with dies_after(steps):
        champions.promote(NAME, 2)
    found = aliases()
    assert champions.champion(NAME).version in (1, 2), "there is always a champion"
    assert [alias for held in found.values() for alias in held].count("champion") == 1
    champions.promote(NAME, 2)
    assert aliases() == {3: (), 2: ("challenger", "champion"), 1: ("previous",)}
    assert champions.rollback(NAME).model.version == 1


@pytest.mark.parametrize("steps", range(6))
def test_a_rollback_killed_after_any_step_is_done_or_can_be_repeated(steps: int, registry_project: Path) -> None:
    champions.promote(NAME, 2)
    with dies_after(steps):
        champions.rollback(NAME)
    if champions.champion(NAME).version == 2:
        champions.rollback(NAME)
    assert aliases() == START
    with pytest.raises(NightshiftError, match="no earlier champion"):
        champions.rollback(NAME)


def test_the_night_uses_a_refused_champion_that_a_person_chose_and_says_so(
    registry_project: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.core.log import log

    monkeypatch.setattr(log, "propagate", True)
    move_in_the_ui(3)
    assert champions.champion(NAME).version == 3
    assert "nightshift version 3 is the champion although the gate refused it: max_loss" in caplog.text
    assert "`nightshift rollback` returns to version 1." in caplog.text
