"""A store's database that is not as it should be is left to MLflow, and none is changed or held."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from pipeline.registry import direct_file
from pipeline.registry.direct import Unanswered
from tests.fixtures.filled_store import NAMES


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("UPDATE alembic_version SET version_num = 'a later one'", "the version a later one, which is not a known one"),
        ("DELETE FROM alembic_version", "the version none"),
        ("INSERT INTO registered_models (name, workspace) VALUES ('x', 'theirs')", "workspaces"),
        ("DROP TABLE registered_model_aliases", "no such table"),
    ],
    ids=["unknown tables", "no version", "workspaces", "damaged"],
)  # fmt: skip
def test_a_database_that_is_not_known_is_left_to_mlflow(filled_database: Path, change: str, why: str) -> None:
    with contextlib.closing(sqlite3.connect(filled_database)) as opened, opened:
        opened.execute(change)
    with pytest.raises(Unanswered, match=why), direct_file.opened(filled_database) as way:
        way.get_model_version_by_alias(NAMES[0], "champion")


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(Unanswered, match="unable to open"), direct_file.opened(tmp_path / "mlflow.db"):
        pass
    assert not [*tmp_path.iterdir()]


def test_a_database_that_another_program_holds_is_left_to_mlflow(
    filled_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct_file, "WAIT", 0.1)
    with contextlib.closing(sqlite3.connect(filled_database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Unanswered, match="locked"), direct_file.opened(filled_database):
            pass


def test_a_database_with_a_log_of_changes_shows_the_newest(filled_database: Path) -> None:
    with contextlib.closing(sqlite3.connect(filled_database, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute(
            "UPDATE registered_model_aliases SET version = 1 WHERE name = ? AND alias = 'champion'", NAMES[:1]
        )
        with direct_file.opened(filled_database) as way:
            assert way.get_model_version_by_alias(NAMES[0], "champion").version == 1


def test_others_can_write_while_a_versions_files_are_copied(filled_database: Path, tmp_path: Path) -> None:
    with (
        direct_file.opened(filled_database) as way,
        contextlib.closing(sqlite3.connect(filled_database, timeout=0.1)) as other,
    ):
        way.fetch_folder(NAMES[0], 2, "artifacts/current", tmp_path / "copy")
        with other:
            other.execute("UPDATE registered_models SET description = 'changed'")


def test_a_copied_model_can_be_deleted_though_the_store_is_read_only(filled_database: Path, tmp_path: Path) -> None:
    (kept,) = [found for found in tmp_path.rglob("openvino") if found.is_dir()]
    for place in (kept / "model.bin", kept):
        place.chmod(place.stat().st_mode & ~0o222)
    with direct_file.opened(filled_database) as way:
        way.fetch_folder(NAMES[0], 2, "artifacts/current", tmp_path / "copy")
    assert all(copy.stat().st_mode & 0o200 for copy in (tmp_path / "copy").rglob("*"))
