"""A project that was moved, renamed, copied or restored elsewhere uses its own files and no others."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.params.file import load_params
from pipeline.registry import relocation, versions
from pipeline.registry.store import ADDRESS, Store, TrackingError
from tests.fixtures.project import change_contract, nightshift, stage


@pytest.fixture
def made(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's store with a run, a model, and an experiment whose files are in a bucket."""
    import mlflow

    project = tmp_path / "first"
    project.mkdir()
    shutil.copy(empty_store, project)
    monkeypatch.chdir(project)
    store = Store.of_project()
    with store.connected() as client:
        run = client.create_run(store.experiment(client, "shapes")).info.run_id
        client.log_text(run, "one", "one.txt")
        client.create_experiment("far", artifact_location="s3://bucket/mlartifacts/far")
        client.create_registered_model("shapes")
        client.create_model_version("shapes", f"{project.as_uri()}/mlartifacts/shapes/model")
        mlflow.set_experiment("shapes")
        mlflow.initialize_logged_model(name="model")
    return project


def locations(database: Path) -> set[str]:
    """All addresses of files in a store."""
    with closing(sqlite3.connect(database)) as store:
        found = [store.execute(f"SELECT {column} FROM {table}").fetchall() for table, column in relocation.LOCATIONS]
    addresses = {address for rows in found for (address,) in rows}
    return {address for address in addresses if address and "/" in address and "models:/" not in address}


def enter(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in it, as a new process would: MLflow leaves the address of its last store in the environment."""
    monkeypatch.chdir(project)
    monkeypatch.delenv(ADDRESS, raising=False)


@pytest.mark.parametrize(
    "name", ["second", "deeper/down/ü 50%_'", "first_", "FIRST", "mlruns/again"],
    ids=["renamed", "signs", "a longer name", "other case", "named as MLflow's folder"],
)  # fmt: skip
@pytest.mark.parametrize("keep", [True, False], ids=["copied", "moved"])
def test_a_store_names_the_files_beside_it(
    made: Path, name: str, tmp_path: Path, keep: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = locations(made / "mlflow.db")
    copy = tmp_path / name
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(made, copy) if keep else made.rename(copy)
    enter(copy, monkeypatch)
    with Store.of_project().connected() as client:
        [run] = client.search_runs([client.get_experiment_by_name("shapes").experiment_id])
        assert run.info.artifact_uri.startswith(f"{copy.as_uri()}/mlartifacts/shapes/")
        assert Path(client.download_artifacts(run.info.run_id, "one.txt")).read_text() == "one"
        found = locations(copy / "mlflow.db")
        client.log_text(client.create_run(run.info.experiment_id).info.run_id, "two", "two.txt")
    assert {one.replace(copy.as_uri(), made.as_uri()).replace(str(copy), str(made)) for one in found} == before
    assert not any(one.startswith((f"{made.as_uri()}/", f"{made}/")) for one in found)
    assert "s3://bucket/mlartifacts/far" in found
    assert len([*copy.rglob("two.txt")]) == 1
    if keep:
        assert locations(made / "mlflow.db") == before
        assert not [*made.rglob("two.txt")], "nothing is written to the original"
    assert not relocation.follow(Path("mlflow.db")), "once is enough"


def test_a_project_under_another_spelling_of_its_path_is_the_same(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = locations(made / "mlflow.db")
    (tmp_path / "link").symlink_to(made)
    monkeypatch.chdir(tmp_path / "link")
    assert not relocation.follow(tmp_path / "link/mlflow.db")
    assert locations(made / "mlflow.db") == before


def test_a_copy_of_a_copy_follows_too(made: Path, tmp_path: Path) -> None:
    for number in range(3):
        made = Path(shutil.copytree(made, tmp_path / f"copy {number}"))
        assert relocation.follow(made / "mlflow.db")
    assert all(one.startswith((made.as_uri(), str(made), "s3:")) for one in locations(made / "mlflow.db"))


def test_a_store_that_is_not_there_or_is_no_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert not relocation.follow(Path("mlflow.db"))
    sqlite3.connect("mlflow.db").close()
    assert not relocation.follow(Path("mlflow.db")), "new and empty"
    Path("mlflow.db").write_text("nothing of the kind" * 100)
    monkeypatch.delenv(ADDRESS, raising=False)
    with pytest.raises(TrackingError, match=r"mlflow\.db failed: file is not a database"):
        Store.of_project().follow()


def test_a_moved_project_classifies_and_registers_in_its_new_place_alone(
    project: Path, night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = project.rename(tmp_path / "moved away")
    original = tmp_path / "kept"
    shutil.copytree(moved, original)
    files = {path: path.stat().st_mtime_ns for path in original.rglob("*")}
    enter(moved, monkeypatch)
    nightshift("classify", str(night), "out", "--no-prefect", cwd=moved)
    change_contract(moved, code_commit="the next one")
    stage("register", cwd=moved)
    with Store.of_project().connected() as client:
        found = versions.versions(client, load_params().register_.model_name)
    assert [one.version for one in found] == [2, 1]
    assert {path: path.stat().st_mtime_ns for path in original.rglob("*")} == files
    assert not project.exists()
