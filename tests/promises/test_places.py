"""A project is a folder: moved, copied or restored from its backup it works as before, and touches nothing outside."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from pipeline.core.stage_code import CODE, code_of_stages, follow_package, write_code
from pipeline.night.rows import read_rows
from pipeline.project.stages import of_installed
from pipeline.registry.store import ADDRESS
from tests.fixtures.project import REPOSITORY, change_params, copy_of, dvc, nightshift, run, run_stage, stage

NOTHING_TO_DO = "Data and pipelines are up to date."


@pytest.fixture(scope="module")
def installed(untouched: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained project as if `nightshift init` had begun it, without code; committed, and in a DVC remote."""
    project = copy_of(untouched, tmp_path_factory.mktemp("installed") / "project")
    for code in ("pipeline", "flows"):
        shutil.rmtree(project / code)
    stages, lock = project / "dvc.yaml", project / "dvc.lock"
    stages.write_text(of_installed(stages.read_text()))
    write_code(project)
    locked = yaml.safe_load(lock.read_text())
    for name, code in code_of_stages().items():
        one = locked["stages"][name]
        one["deps"] = [dep for dep in one["deps"] if not dep["path"].startswith("pipeline/")]
        one["params"] = {str(CODE): {name: code}, **one["params"]}
    lock.write_text(yaml.safe_dump(locked))
    dvc("remote", "add", "--quiet", "--default", "storage", str(project.parent / "remote"), cwd=project)
    dvc("push", "--quiet", cwd=project)
    run("git", "add", "--all", cwd=project)
    run("git", "commit", "--quiet", "--message", "trained", cwd=project)
    return project


def restored(backup: Path, project: Path) -> None:
    """The commands of docs/production.md."""
    run("git", "clone", "--quiet", str(backup), str(project), cwd=backup.parent)
    dvc("pull", "--quiet", cwd=project)
    for name in ("mlflow.db", "mlartifacts", "predictions"):
        if (backup / name).is_dir():
            shutil.copytree(backup / name, project / name)
        elif (backup / name).exists():
            shutil.copy(backup / name, project / name)


def files(*folders: Path) -> dict[Path, tuple[int, int]]:
    """All files below the folders, with their sizes and times."""
    return {file: (file.stat().st_size, file.stat().st_mtime_ns) for folder in folders for file in folder.rglob("*")}


@pytest.fixture(params=["moved", "copied", "restored"])
def elsewhere(
    installed: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """The project at another place; the one that it comes from stays as it is."""
    project = tmp_path / "another place" / request.param
    project.parent.mkdir()
    monkeypatch.delenv(ADDRESS, raising=False)
    before = files(installed.parent)
    match request.param:
        case "moved":
            shutil.copytree(installed, tmp_path / "first", symlinks=True).rename(project)
        case "copied":
            shutil.copytree(installed, project, symlinks=True)
        case _:
            restored(installed, project)
    (project / ".git/config").open("a").write('[user]\n\tname = "test"\n\temail = "test@localhost"\n')
    yield project
    assert files(installed.parent) == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["another place", "night"]


def test_a_project_works_wherever_it_is_put(elsewhere: Path, night: Path) -> None:
    assert NOTHING_TO_DO in dvc("status", cwd=elsewhere).stdout
    assert NOTHING_TO_DO in dvc("repro", cwd=elsewhere).stdout
    assert run("git", "status", "--porcelain", cwd=elsewhere).stdout == ""
    nightshift("classify", str(night), "predictions/first", "--no-prefect", cwd=elsewhere)
    assert {row["model_version"] for row in read_rows(elsewhere / "predictions/first/predictions.csv")} == {"1"}
    if elsewhere.name == "restored":  # once: a training is the same at every place
        trains_and_promotes(elsewhere)


def test_after_an_upgrade_what_it_changed_is_stale_and_nothing_else(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = copy_of(installed, tmp_path / "project")
    shutil.copytree(REPOSITORY / "pipeline", tmp_path / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr("pipeline.core.code.ROOT", tmp_path)
    monkeypatch.chdir(project)
    for name in ("evaluation/report.html", "night/morning.html", "night/shard.py", "training/fitting.py"):
        with (tmp_path / "pipeline" / name).open("a", encoding="utf-8") as file:
            file.write("# only a comment\n" if name == "training/fitting.py" else "\n")
    with (tmp_path / "pipeline/registry/gate.py").open("a", encoding="utf-8") as file:
        file.write("_new = 1\n")
    follow_package()
    assert set(json.loads(dvc("status", "--json", cwd=project).stdout)) == {"evaluate"}


def trains_and_promotes(project: Path) -> None:
    """As `nightshift train` and `nightshift promote` do, but in this process."""
    change_params(project, {"train": {"head": {"epochs": 31}}})
    assert set(json.loads(dvc("status", "--json", cwd=project).stdout)) == {"train"}
    for name in ("train", "evaluate"):
        run_stage(name, project)
    dvc("commit", "--quiet", "--force", cwd=project)
    assert NOTHING_TO_DO in dvc("status", cwd=project).stdout
    stage("register", cwd=project)
    assert "version 2" in nightshift("promote", "2", "--force", cwd=project).stdout
    assert NOTHING_TO_DO in dvc("repro", cwd=project).stdout
