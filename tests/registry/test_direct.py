"""What is asked without MLflow is what MLflow answers, and what is recorded without it is what MLflow records."""

import contextlib
import logging
import multiprocessing
import os
import shutil
import socket
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from pipeline.core.errors import NightshiftError
from pipeline.params.file import load_params
from pipeline.registry import champions, direct, direct_file, direct_server, history, versions
from pipeline.registry.direct import Unanswered
from pipeline.registry.direct_run import require_plain, surroundings
from pipeline.registry.history import Finished
from pipeline.registry.store import Store, TrackingError
from pipeline.registry.versions import Registered
from pipeline.storage.folders import folder_at
from tests.fixtures.filled_store import CARD, NAMES, fill
from tests.fixtures.project import REPOSITORY


@pytest.fixture(scope="module")
def address(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MLflow's own server over such a store, which keeps the files of runs: a fork, as a new process takes seconds."""
    folder = tmp_path_factory.mktemp("served")
    shutil.copy(empty_store, folder)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = multiprocessing.get_context("fork").Process(target=serve, args=(listening, folder))
        serving.start()
        found = f"http://127.0.0.1:{listening.getsockname()[1]}"
        try:
            with Store(found).connected() as client:
                fill(client, client.create_experiment("shapes"))
            yield found
        finally:
            serving.kill()
            serving.join()


def serve(listening: socket.socket, folder: Path) -> None:
    from mlflow.server import app, constants
    from werkzeug.serving import make_server

    os.environ[constants.BACKEND_STORE_URI_ENV_VAR] = f"sqlite:///{folder}/mlflow.db"
    os.environ[constants.ARTIFACT_ROOT_ENV_VAR] = "mlflow-artifacts:/"
    os.environ[constants.ARTIFACTS_DESTINATION_ENV_VAR] = str(folder / "files")
    os.environ[constants.SERVE_ARTIFACTS_ENV_VAR] = "true"
    logging.getLogger("werkzeug").disabled = True
    make_server("127.0.0.1", 0, app, threaded=True, fd=listening.fileno()).serve_forever()


@pytest.fixture(params=["database", "server"])
def project(
    request: pytest.FixtureRequest, filled_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Store:
    """The store of the current folder: a copy of `filled`, or the server."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copytree(filled_store, tmp_path, dirs_exist_ok=True)
    if request.param == "server":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", request.getfixturevalue("address"))
    Store.of_project().follow()
    return Store.of_project()


def both(ask: Callable[[], Any]) -> tuple[Any, Any]:
    """What `ask` gives without MLflow, which must not be asked, and what it gives with it only."""
    found = []
    for where, name in ((Store, "connected"), (direct, "require_possible")):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(where, name, _not_asked if where is Store else _not_possible)
            try:
                found.append(ask())
            except (NightshiftError, direct.Missing) as error:
                found.append((type(error), str(error)))
    return found[0], found[1]


def _not_asked(_store: Store) -> None:
    raise AssertionError("MLflow was asked")


def _not_possible() -> None:
    raise Unanswered("not in this test")


@pytest.mark.parametrize("name", [*NAMES, "without versions", "unknown", "Shapes"])
def test_every_answer_about_versions_is_mlflows(project: Store, name: str) -> None:
    for ask in (
        lambda: champions.champion(name), lambda: champions.challenger(name), lambda: champions.previous(name),
        lambda: champions.already_champion(name), lambda: champions.known_versions(name),
        *(lambda number=number: champions.numbered(name, number) for number in (1, 4, 5)),
        lambda: project.ask(lambda client: versions.by_alias(client, name, "nobody")),
        lambda: about(project.ask(lambda client: versions.registered_model(client, name))),
    ):  # fmt: skip
        ours, theirs = both(ask)
        assert ours == theirs
    assert both(lambda: champions.champion(NAMES[0]).version) == (2, 2)


def about(model: Any) -> tuple[Any, ...]:
    """What is asked of a model as a whole; servers give numbers as text."""
    numbers = {alias: int(version) for alias, version in model.aliases.items()} if model else {}
    return (numbers, model.tags, model.description or "") if model else ()


def test_a_champion_that_a_person_moved_is_recorded_through_mlflow(project: Store) -> None:
    with project.connected() as client:
        client.set_registered_model_alias(NAMES[0], "champion", "1")
    try:
        assert champions.champion(NAMES[0]).version == 1
        assert champions.previous(NAMES[0]) == 2, "reconciled"
    finally:
        champions.promote(NAMES[0], 2)


def test_a_versions_files_are_mlflows(project: Store, tmp_path: Path) -> None:
    places = iter((tmp_path / "ours", tmp_path / "theirs"))
    model = Registered(NAMES[0], 2, champions.numbered(NAMES[0], 2).run_id, ())

    def fetch() -> tuple[Path, dict[str, bytes]]:
        place = next(places)
        copy = versions.fetch_model(model, place)
        assert copy.is_dir()
        files = [file for file in place.rglob("*") if file.is_file()]
        return copy.relative_to(place), {str(file.relative_to(place)): file.read_bytes() for file in files}

    ours, theirs = both(fetch)
    assert ours == theirs
    assert ours[1]["artifacts/current/openvino/model.bin"] == b"weights"
    assert both(lambda: versions.fetch_card(model)) == (CARD, CARD)


def test_what_is_not_there_is_said_in_mlflows_words(project: Store, tmp_path: Path) -> None:
    gone = Registered(NAMES[0], 4, "0" * 32, ())
    assert versions.fetch_card(gone) == ""
    with pytest.raises(TrackingError, match="version=4"):
        versions.fetch_model(gone, tmp_path / "copy")


@pytest.fixture
def outside_git(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The program is in no git repository."""
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "nightshift"), "classify"])


def record(name: str, finished_at: str, source: str = "./=odd", **numbers: float) -> None:
    """Record a finished night in the folder `name`."""
    shutil.copy(REPOSITORY / "params.yaml", ".")
    folder = Path(name)
    folder.mkdir(exist_ok=True)
    (folder / "summary.json").write_text("{}")
    (folder / "review.html").write_text("<p>Ä", encoding="utf-8")
    about = {
        "model_name": NAMES[0],
        "model_version": "2",
        "contract_hash": "abc",
        "input": source,
        "started_at": finished_at,
    }
    night = Finished(
        **about, finished_at=finished_at, drifted=("width", "height"), words="4 images\n\nÄpfel: 1",
        numbers={"listed": 4.0, "third": 1 / 3, "share.Äpfel": 0.0, "share._b": 1e-300, **numbers},
    )  # fmt: skip
    history.record(folder_at(folder), night, load_params(), "a flow")


def rows_of(database: Path) -> dict[str, set[tuple[Any, ...]]]:
    """Every row of every table."""
    with contextlib.closing(sqlite3.connect(database)) as store:
        tables = [name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {table: set(store.execute(f"SELECT * FROM {table}")) for table in tables}


def added(database: Path, change: Callable[[], None]) -> dict[str, list[tuple[Any, ...]]]:
    """The rows that `change` adds or changes, without times and ids made at random."""
    before = rows_of(database)
    change()
    after = rows_of(database)
    new = {table: rows - before[table] for table, rows in after.items()}
    assert not [table for table, rows in before.items() if rows - after[table]], "no row is changed or gone"
    ((run_id,),) = [{row[0] for row in new["runs"]}]

    def plain(cell: Any) -> Any:
        if isinstance(cell, str):
            return "random" if len(cell) == 32 and cell != run_id else cell.replace(run_id, "RUN")
        return "now" if isinstance(cell, int) and cell > 10**12 else cell

    return {table: sorted([tuple(map(plain, row)) for row in rows], key=str) for table, rows in new.items() if rows}


@pytest.mark.usefixtures("outside_git")
def test_a_recorded_night_is_row_by_row_mlflows(filled_database: Path) -> None:
    with Store.of_project().connected() as client:
        Store.of_project().experiment(client, f"{NAMES[0]}-nights")
        model = client.create_logged_model("1", "model", params={}).model_id
    with contextlib.closing(sqlite3.connect(filled_database)) as opened, opened:
        opened.execute(
            "UPDATE model_versions SET source = ? WHERE name = ? AND version = 2", (f"models:/{model}", NAMES[0])
        )
    ours, theirs = both(lambda: added(filled_database, lambda: record("2026-11-26", "2026-11-26T05:00:00+00:00")))
    assert ours == theirs
    assert {"runs", "tags", "params", "metrics", "latest_metrics", "inputs"} <= set(ours)
    kept = [
        sorted(file.name for file in folder.rglob("*")) for folder in Path(f"mlartifacts/{NAMES[0]}-nights").iterdir()
    ]
    assert kept == [["artifacts", "review.html", "summary.json"]] * 2


def test_a_night_recorded_at_a_server_is_mlflows(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outside_git: None
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    store = Store.of_project()
    with store.connected() as client:
        experiment = store.experiment(client, f"{NAMES[0]}-nights")

    def made() -> dict[str, Any]:
        record("night", "2026-11-26T05:00:00+00:00")
        client = MlflowClient(address)
        run = client.search_runs([experiment])[0]
        names = [file.path for file in client.list_artifacts(run.info.run_id)]
        files = {name: Path(client.download_artifacts(run.info.run_id, name)).read_bytes() for name in names}
        found, ids = run.to_dictionary(), ("run_id", "run_uuid", "start_time", "end_time", "artifact_uri")
        info = {key: value for key, value in found["info"].items() if key not in ids}
        return {**found, "info": info, "files": files}

    ours, theirs = both(made)
    assert ours == theirs
    assert set(ours["files"]) == {"summary.json", "review.html"}


def test_a_run_that_a_server_has_only_half_is_marked_as_failed(address: str) -> None:
    client = MlflowClient(address)
    experiment = client.create_experiment("half-nights")
    odd: Any = object()  # which JSON does not have
    run = direct.NewRun("half-nights", "a night", {"mlflow.user": "me"}, {}, {"listed": odd})
    with pytest.raises(TypeError, match="object"), direct_server.opened(address, 5) as way:
        way.record(run)
    assert [one.info.status for one in client.search_runs([experiment])] == ["FAILED"]


@pytest.mark.usefixtures("outside_git", "project")
def test_earlier_nights_are_mlflows() -> None:
    assert both(lambda: earlier("2030-01-01T00:00:00+00:00", 9, "unknown")) == ([], [])
    for number in range(4):
        record(f"night {number}", f"2026-11-2{number}T05:00:00+00:00", listed=float(number))
    ours, theirs = both(lambda: earlier("2030-01-01T00:00:00+00:00", 2))
    assert ours == theirs
    assert [night.numbers["listed"] for night in ours] == [3, 2]
    assert both(lambda: earlier("2020-01-01T00:00:00+00:00", 9)) == ([], [])


@pytest.mark.usefixtures("outside_git", "project")
def test_earlier_nights_are_over_the_same_input_and_each_folder_counts_once_a_day() -> None:
    record("monday", "2026-11-20T05:00:00+00:00", listed=1.0)
    record("monday", "2026-11-20T06:00:00+00:00", listed=2.0)
    record("tuesday", "2026-11-21T05:00:00+00:00", str(Path("=odd").absolute()), listed=3.0)
    record("tonight", "2026-11-22T05:00:00+00:00", listed=4.0)
    record("tonight", "2030-01-01T05:00:00+00:00", listed=5.0)  # today, and run again now
    for number in range(2 * history.AT_FIRST):
        record(f"other {number}", "2026-11-24T05:00:00+00:00", "/another", listed=9.0)
    ours, theirs = both(lambda: earlier("2030-01-01T06:00:00+00:00", 3))
    assert ours == theirs
    assert [(night.name, night.numbers["listed"]) for night in ours] == [("tonight", 4), ("tuesday", 3), ("monday", 2)]


def earlier(finished_at: str, most: int, name: str = NAMES[0]) -> list[history.Night]:
    night = Finished(name, "2", "abc", "./=odd", finished_at, finished_at, (), {})
    return history.earlier(night, "tonight", most)


@pytest.mark.parametrize(("params", "metrics"), [(101, 1), (1, 1000)])
def test_a_run_of_several_requests_is_left_to_mlflow(params: int, metrics: int) -> None:
    run = direct.NewRun(
        "nights", "a night", {}, {f"p{number}": "" for number in range(params)},
        {f"m{number}": 0.0 for number in range(metrics)},
    )  # fmt: skip
    with pytest.raises(Unanswered, match="many values"):
        require_plain(run)


@pytest.mark.parametrize("name", ["MLFLOW_WORKSPACE", "MLFLOW_REGISTRY_URI", "MLFLOW_TRACKING_AUTH", "MLFLOW_RUN_ID"])
def test_a_setting_that_only_mlflow_follows_is_left_to_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    direct.require_possible()
    monkeypatch.setenv(name, "x")
    with pytest.raises(Unanswered, match=name):
        direct.require_possible()


@pytest.mark.usefixtures("outside_git")
def test_a_user_whom_mlflows_file_names_is_left_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert surroundings("a night")["mlflow.runName"] == "a night"
    (tmp_path / ".mlflow").mkdir()
    (tmp_path / ".mlflow/credentials").write_text("[mlflow]\nmlflow_tracking_username = somebody\n")
    with pytest.raises(Unanswered, match="credentials"):
        surroundings("a night")


def test_a_record_that_fails_halfway_leaves_nothing(
    filled_database: Path, outside_git: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.of_project().connected() as client:
        Store.of_project().experiment(client, f"{NAMES[0]}-nights")
    before = rows_of(filled_database)
    with contextlib.closing(sqlite3.connect(filled_database)) as opened, opened:
        opened.execute("CREATE TRIGGER full BEFORE INSERT ON latest_metrics BEGIN SELECT raise(ABORT, 'full'); END")
    monkeypatch.setattr(Store, "connected", _not_asked)
    with pytest.raises(AssertionError, match="MLflow was asked"):
        record("night", "2026-11-26T05:00:00+00:00")
    assert rows_of(filled_database) == before
    assert not [*Path(f"mlartifacts/{NAMES[0]}-nights").glob("*")]


def test_whatever_else_a_client_can_do_only_mlflows_does(filled_database: Path) -> None:
    with pytest.raises(Unanswered, match="set_registered_model_alias"), direct_file.opened(filled_database) as way:
        champions.crown(way, NAMES[0], 1)


def test_the_tables_of_the_mlflow_that_is_installed_are_known(empty_store: Path) -> None:
    """Read its migrations, run this file's tests with it, and add its version to `direct_file.KNOWN`."""
    with contextlib.closing(sqlite3.connect(empty_store)) as opened:
        assert {
            version for (version,) in opened.execute("SELECT version_num FROM alembic_version")
        } <= direct_file.KNOWN
