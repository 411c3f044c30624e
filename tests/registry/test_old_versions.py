"""Which registered versions go: old ones in no use; and what goes with them."""

import datetime
from pathlib import Path

from pipeline.registry import champions, old_versions, versions
from pipeline.registry.store import Store
from tests.fixtures.project import nightshift
from tests.fixtures.registry import NAME, aliases

LATER = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=100)


def numbers(days: int) -> list[int]:
    return [one.version for one in old_versions.find_old(NAME, days, LATER)]


def folders() -> set[Path]:
    return set(Path("mlartifacts/nightshift/models").iterdir())


def test_an_old_refused_version_goes_with_its_files_and_champions_and_aliases_stay(registry_project: Path) -> None:
    assert numbers(days=101) == [], "it is younger"
    assert numbers(days=99) == [3]
    before = folders()
    freed = old_versions.delete(old_versions.find_old(NAME, 99, LATER))
    assert freed > 1000
    assert len(before - folders()) == 1
    assert aliases() == {2: ("challenger",), 1: ("champion",)}
    with Store.of_project().connected() as client:
        for version in (1, 2):
            assert versions.fetch_model(versions.by_number(client, NAME, version), Path(f"fetched{version}")).is_dir()


def test_what_a_rollback_may_return_to_stays(registry_project: Path) -> None:
    champions.promote(NAME, 3, force=True)
    champions.promote(NAME, 2)
    assert numbers(days=1) == []
    champions.rollback(NAME)
    champions.rollback(NAME)
    assert champions.champion(NAME).version == 1
    assert numbers(days=1) == [3], "it was rolled back from"


def test_a_young_version_stays_and_tidy_says_so(registry_project: Path) -> None:
    said = nightshift("tidy", "--versions", "1", cwd=registry_project).stdout
    assert "no version of nightshift to delete" in said
    assert set(aliases()) == {1, 2, 3}


def test_the_data_of_versions_in_use_are_known(registry_project: Path) -> None:
    with Store.of_project().connected() as client:
        tags = client.get_run(versions.by_number(client, NAME, 1).run_id).data.tags
    assert tags["dvc.data.prepared"] in old_versions.data_of_used(NAME)
