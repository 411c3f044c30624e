"""The store's address, patience and words."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.registry.store import Store, TrackingError

PATIENCE = ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("mlflow.db", "other.db"):
        shutil.copy(empty_store, tmp_path / name)
    for name in ("MLFLOW_TRACKING_URI", *PATIENCE):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_a_project_has_its_own_store_unless_another_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Store.of_project().address == f"sqlite:///{folder}/mlflow.db"
    assert Store.of_project().is_file
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@mlflow.example.com")
    assert Store.of_project().is_server
    assert "secret" not in Store.of_project().shown


def test_only_a_projects_own_store_keeps_files_in_the_project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.of_project()
    with store.connected() as client:
        own = client.get_experiment(store.experiment(client, "shapes")).artifact_location
        assert store.experiment(client, "shapes") == store.experiment(client, "shapes")
    assert own == (folder / "mlartifacts/shapes").as_uri()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/other.db")
    store = Store.of_project()
    with store.connected() as client:
        assert client.get_experiment(store.experiment(client, "shapes")).artifact_location != own


def test_a_database_with_options_in_its_address_is_there(folder: Path) -> None:
    assert Store(f"sqlite:///{folder}/mlflow.db?timeout=30").is_there
    assert not Store(f"sqlite:///{folder}/nothing.db?timeout=30").is_there


def test_an_experiment_that_somebody_deleted_in_mlflow_comes_back_with_its_runs(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.core.log.log.propagate", True)
    store = Store.of_project()
    with store.connected() as client:
        run = client.create_run(store.experiment(client, "shapes")).info.run_id
        client.delete_experiment(store.experiment(client, "shapes"))
        again = client.create_run(store.experiment(client, "shapes")).info.run_id
        assert {client.get_run(one).info.lifecycle_stage for one in (run, again)} == {"active"}
    assert "The experiment shapes had been deleted in MLflow; it is restored" in caplog.text


def test_patience_holds_while_connected_and_what_a_person_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PATIENCE[1], "7")
    with Store.in_passing().connected():
        assert [os.environ[name] for name in PATIENCE] == ["1", "7"]
        with Store.of_project().connected():
            assert [os.environ[name] for name in PATIENCE] == ["1", "7"]
        assert [os.environ[name] for name in PATIENCE] == ["1", "7"]
    assert [os.environ.get(name) for name in PATIENCE] == [None, "7"]


@pytest.mark.parametrize(
    ("status", "words"),
    [("UNAUTHENTICATED", "refused the request: .* MLFLOW_TRACKING_TOKEN, must name a user who has the right"),
     ("INTERNAL_ERROR", r"failed: .* /.*/mlflow\.db must be a file of MLflow's .* from a backup")],
    ids=["no right", "anything else"],
)  # fmt: skip
def test_what_goes_wrong_names_the_store_and_what_helps_and_no_password(status: str, words: str) -> None:
    from mlflow import MlflowException
    from mlflow.protos import databricks_pb2

    error = MlflowException("no, says https://me:secret@host", getattr(databricks_pb2, status))
    expected = f"^The MLflow store sqlite:///.* {words}"
    with pytest.raises(TrackingError, match=expected) as raised, Store.of_project().connected():
        raise error
    assert "secret" not in str(raised.value)


def test_a_file_of_another_mlflow_is_not_called_damaged(folder: Path) -> None:
    with closing(sqlite3.connect("mlflow.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'another'")
    with pytest.raises(TrackingError) as raised, Store.of_project().connected() as client:
        client.search_registered_models()
    said = str(raised.value)
    assert f"If that was an older one, copy it, then `mlflow db upgrade sqlite:///{folder}/mlflow.db`" in said
    assert "backup" not in said


def test_a_file_that_another_program_holds_is_not_to_be_moved_away() -> None:
    error = sqlite3.OperationalError("database is locked")
    with pytest.raises(TrackingError, match=r"is locked\. Another program writes to it: wait .* again\.$"):
        raise TrackingError(Store.of_project()._words_of(error))


def test_a_file_that_cannot_be_opened_is_named_at_once(folder: Path) -> None:
    Path("mlflow.db").unlink()
    Path("mlflow.db").mkdir()
    words = rf"failed: unable to open database file\. {folder}/mlflow\.db must be a file of MLflow's"
    with pytest.raises(TrackingError, match=words), Store.of_project().connected():
        pytest.fail("MLflow is asked, which tries for two minutes")


def test_a_database_that_does_not_answer_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.registry.store.RESTARTS", (0,))
    store = Store("postgresql+psycopg2://me:secret@127.0.0.1:9/db")
    words = r"^The MLflow store postgresql\+psycopg2://…@127\.0\.0\.1:9/db failed: \[Errno 111\] Connection refused"
    with pytest.raises(TrackingError, match=words), store.connected():
        pytest.fail("MLflow is asked, which tries for two minutes")
    for other in ("postgresql://a:9,b:9/db", "postgresql://a:9/db?host=/run/pg", "mysql://a:9/db?unix_socket=/run/my"):
        Store(other).require_answer()  # where it listens only its library knows
