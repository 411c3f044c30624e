"""Which Prefect server a command uses: the named one, the one of `nightshift up`, or none."""

import os
from pathlib import Path

import pytest

from flows.cli.prefect_server import choose_server, is_a_flow

SERVER = "http://prefect.example/api"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, and a home with nothing in it."""
    for name in ("PREFECT_API_URL", "PREFECT_HOME", "PREFECT_PROFILE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    project = tmp_path / "project"
    project.mkdir()
    (project / "params.yaml").touch()
    monkeypatch.chdir(project)
    return project


def profiles(text: str) -> None:
    place = Path.home() / ".prefect/profiles.toml"
    place.parent.mkdir(parents=True)
    place.write_text(text)


def test_without_a_server_a_command_is_no_flow_and_prefects_files_are_in_the_project(folder: Path) -> None:
    choose_server()
    assert not is_a_flow(None)
    assert is_a_flow(True)
    assert os.environ["PREFECT_HOME"] == str(folder / ".nightshift/prefect")
    assert Path(os.environ["PREFECT_HOME"]).is_dir()


@pytest.mark.parametrize("home", [None, "/srv/prefect"])
def test_what_a_person_has_set_stays(home: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", SERVER)
    if home:
        monkeypatch.setenv("PREFECT_HOME", home)
    choose_server()
    assert is_a_flow(None)
    assert not is_a_flow(False)
    assert (os.environ["PREFECT_API_URL"], os.environ.get("PREFECT_HOME")) == (SERVER, home)


def test_a_server_in_the_persons_prefect_profile_is_used() -> None:
    profiles(f'active = "work"\n[profiles.work]\nPREFECT_API_URL = "{SERVER}"\n')
    choose_server()
    assert is_a_flow(None)
    assert "PREFECT_HOME" not in os.environ, "there is the key for it"


@pytest.mark.parametrize(
    "text",
    ['active = "ephemeral"\n[profiles.ephemeral]\n[profiles.local]\nPREFECT_API_URL = "http://127.0.0.1:4200/api"\n',
     "active = 1", "no toml [", 'active = "gone"\nprofiles = 3\n'],
    ids=["not the active one", "odd", "broken", "no profiles"],
)  # fmt: skip
def test_a_profile_that_names_none_is_none(text: str) -> None:
    profiles(text)
    choose_server()
    assert not is_a_flow(None)
    assert "PREFECT_API_URL" not in os.environ


def test_outside_a_project_nothing_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    choose_server()
    assert "PREFECT_HOME" not in os.environ


def test_what_an_ended_up_left_behind_is_no_server(folder: Path) -> None:
    (folder / ".nightshift").mkdir()
    (folder / ".nightshift/addresses.json").write_text('{"mlflow": "http://a", "prefect": "http://b", "ours": []}')
    (folder / ".nightshift/supervisor.sock").touch()
    choose_server()
    assert not is_a_flow(None)
