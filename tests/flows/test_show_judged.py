"""`nightshift data import labels`: it says what it will do, asks, does it, and records the data version."""

import subprocess
from pathlib import Path

import pytest

from pipeline.data.judgements import Judgement, folder_as_kept, keep
from pipeline.storage.files import sha256_of_file
from tests.fixtures.project import dvc, new_data_project, nightshift


@pytest.fixture
def judged(tmp_path: Path) -> Path:
    """A project in which people have judged images of every kind."""
    project = new_data_project(tmp_path / "p")
    (project / "photos").mkdir()
    for name in ("new", "gone", "two"):
        (project / f"photos/{name}.jpg").write_bytes(f"image {name}".encode())

    def judge(path: str, reader: str = "ada", **said: object) -> None:
        file = project / path
        folder = project / ("photos" if "photos" in path else "data/raw")
        about = {"sha256": sha256_of_file(file), "path": str(file.relative_to(folder)), "source": "night"}
        where = {"folder": folder_as_kept(folder, project), "reader": reader}
        keep([Judgement.model_validate(about | where | said)], project / "data/labels.jsonl")

    judge("photos/new.jpg", label="wasp")
    judge("photos/gone.jpg", label="cat")
    judge("photos/two.jpg", label="cat")
    judge("photos/two.jpg", "bob", label="dog")
    judge("data/raw/dog/1.jpg", label="cat")
    judge("data/raw/dog/2.jpg", reject=True)
    (project / "photos/gone.jpg").unlink()
    return project


def import_labels(project: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    return nightshift("data", "import", "labels", *options, cwd=project, check=False)


def test_the_command_says_what_it_will_do_and_without_a_terminal_does_it_only_when_told(judged: Path) -> None:
    before = (judged / "data/raw.dvc").read_text()
    shown, refused = import_labels(judged, "--dry-run"), import_labels(judged)
    assert (shown.returncode, refused.returncode) == (0, 1)
    assert refused.stdout == shown.stdout
    assert refused.stderr.endswith("Nothing was changed. If this is right: nightshift data import labels --yes\n")
    for line in (
        "1 image will be copied into data/raw as wasp: new.jpg",
        "1 image of data/raw will move to another label: dog/1.jpg -> cat",
        "1 rejected image will be taken out of data/raw to data/rejected, where nothing deletes them and no training "
        "sees them: dog/2.jpg",
        "New classes, which data/raw does not have yet: wasp (1 image). If one is a slip, judge its images again.",
        "The readers of 1 image differ, so these stay as they are: two.jpg (ada: cat; bob: dog)",
        "Not brought in, as they are not where they were judged, nor in any night's folder: 1 image: photos/gone.jpg. "
        "Put the files back, then bring in again; their judgements are kept.",
    ):
        assert line in shown.stdout.splitlines(), line
    assert (judged / "data/raw.dvc").read_text() == before
    done = import_labels(judged, "--yes")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "Next: nightshift train")
    assert (judged / "data/raw.dvc").read_text() != before, "a new data version"
    assert "data/raw.dvc" not in dvc("status", "data/raw.dvc", cwd=judged).stdout
    (judged / "data/raw.dvc").write_text(before)  # as of an import that was killed before it recorded the version
    again = import_labels(judged)
    assert again.returncode == 0, "there is nothing to ask"
    assert "by an import that was stopped: recorded now" in again.stdout
    assert "data/raw.dvc" not in dvc("status", "data/raw.dvc", cwd=judged).stdout
    assert "Nothing to bring in: 2 images with a judgement in data/labels.jsonl have their labels in data/raw." in (
        again.stdout
    )
    (judged / "labels").mkdir()
    named = import_labels(judged)
    assert (named.returncode, "./labels" in named.stderr, "data/labels.jsonl" in named.stderr) == (2, True, True)
    assert "Nothing to bring in" in nightshift("data", "import", "data/labels.jsonl", cwd=judged).stdout
