"""What an edit of the code makes stale: a person who changes a page waits for no image and no training."""

import json
from pathlib import Path

import pytest

from pipeline.core.code import code_of
from tests.fixtures.project import dvc

PAGES_AND_PLUMBING = (
    "pipeline/night/morning.py", "pipeline/night/morning.html", "pipeline/notices/messages.py",
    "pipeline/registry/gate.py", "pipeline/registry/store.py", "pipeline/storage/files.py", "pipeline/params/night.py",
    "pipeline/params/gate.py", "pipeline/params/register.py",
)  # fmt: skip


def edit(project: Path, *names: str) -> None:
    """Add a line that does nothing."""
    for name in names:
        with (project / name).open("a", encoding="utf-8") as file:
            file.write("\n" if name.endswith(".html") else "\n_edited = True\n")


def stale(project: Path) -> set[str]:
    """The stages that `dvc repro` would run for what it finds changed now."""
    return set(json.loads(dvc("status", "--json", cwd=project).stdout))


def test_after_a_run_nothing_is_stale(project: Path) -> None:
    assert stale(project) == set()


def test_an_edit_of_a_page_or_of_plumbing_reruns_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.core.code.ROOT", project)
    measured, fitted = code_of("pipeline.data.manifest"), code_of("pipeline.train")
    edit(project, *PAGES_AND_PLUMBING)
    assert stale(project) == set()
    assert code_of("pipeline.data.manifest") == measured, "images are not measured again"
    assert code_of("pipeline.train") == fitted, "a checkpoint is still accepted"


def test_an_edit_of_the_decoder_reruns_what_reads_images(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.core.code.ROOT", project)
    measured = code_of("pipeline.data.manifest")
    edit(project, "pipeline/images/pillow.py")
    assert {"validate", "preprocess"} <= stale(project)
    assert code_of("pipeline.data.manifest") != measured
