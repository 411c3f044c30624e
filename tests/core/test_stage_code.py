"""`code.yaml`: an upgrade of the package is seen where it matters, and no stage runs by code that nobody named."""

import shutil
from pathlib import Path

import pytest

from pipeline.core.stage_code import CODE, changed_stages, follow_package
from pipeline.project.new import new_project
from tests.fixtures.project import REPOSITORY, stage


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package, to be upgraded, and a new project as the working folder."""
    shutil.copytree(REPOSITORY / "pipeline", tmp_path / "lib/pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr("pipeline.core.code.ROOT", tmp_path / "lib")
    new_project(tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "lib/pipeline"


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("training/fitting.py", ["train"]),
        ("checks/report.html", ["validate", "audit"]),
        ("storage/listing.py", ["validate"]),
        ("evaluation/report.html", ["evaluate"]),
        ("night/morning.py", []),
        ("core/errors.py", []),
    ],
)
def test_an_upgrade_changes_the_stages_that_use_what_it_changed(package: Path, file: str, stages: list[str]) -> None:
    assert changed_stages() == []
    with (package / file).open("a", encoding="utf-8") as text:
        text.write("\n<p>\n" if file.endswith(".html") else "\n_new = 1\n")
    assert changed_stages() == stages
    before = CODE.read_text()
    follow_package()
    assert changed_stages() == []
    assert (CODE.read_text() == before) == (not stages)


@pytest.mark.parametrize("text", ["", "<<<<<<< ours\n", "- 1\n"], ids=["empty", "a conflict", "a list"])
def test_a_file_that_says_nothing_is_written_anew(package: Path, text: str) -> None:
    before = CODE.read_text()
    CODE.write_text(text)
    follow_package()
    assert CODE.read_text() == before


def test_a_stage_that_dvc_runs_by_unnamed_code_refuses(package: Path) -> None:
    with (package / "storage/listing.py").open("a", encoding="utf-8") as text:
        text.write("\n_new = 1\n")
    done = stage("validate", cwd=Path.cwd(), check=False, DVC_STAGE="dvc.yaml:validate")
    assert done.returncode == 1
    assert "its stage validate does other work now. Nothing was run. `nightshift upgrade --write`" in done.stderr
    done = stage("validate", cwd=Path.cwd(), check=False, DVC_STAGE="evaluate")  # whose code is what was said
    assert done.returncode == 1
    assert "upgrade" not in done.stderr, "it goes on to what is missing: images"
