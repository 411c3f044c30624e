"""`nightshift data import` as a person runs it: a table at the end, and a data version."""

import os
import shutil
from pathlib import Path

import pytest
import yaml

from tests.fixtures.project import REPOSITORY, dvc, nightshift, run
from tests.fixtures.sources import PETS, SPLIT_PETS, content, tree, write_files, zip_of


@pytest.fixture(scope="module")
def empty_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project without images; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("empty")
    shutil.copy(REPOSITORY / "params.yaml", folder)
    run("git", "init", "--quiet", cwd=folder)
    dvc("init", "--quiet", cwd=folder)
    dvc("config", "core.analytics", "false", cwd=folder)
    return folder


@pytest.fixture
def project(empty_project: Path, tmp_path: Path) -> Path:
    return shutil.copytree(empty_project, tmp_path / "project")


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if line.strip()]


def test_the_end_is_a_table_a_version_and_the_next_command(project: Path, tmp_path: Path) -> None:
    write_files(tmp_path / "pets", *SPLIT_PETS, "train/n%2Fa/[red] 1.jpg", "notes.txt")
    done = nightshift("data", "import", str(tmp_path / "pets"), cwd=project)
    lines = rows(done.stdout)
    assert lines[0] == ["label", "new", "already", "there", "total", "in", "data/raw", "train", "val", "test"]
    assert lines[2:5] == [
        ["cat", "2", "0", "2", "1", "1", "0"],
        ["dog", "1", "0", "1", "0", "0", "1"],
        ["n/a", "1", "0", "1", "1", "0", "0"],
    ]
    assert lines[5] == ["all", "4", "0", "4", "2", "1", "1"]
    assert "1 other file skipped: notes.txt." in done.stdout
    assert done.stdout.endswith("Next: nightshift train\n")
    (out,) = yaml.safe_load((project / "data" / "raw.dvc").read_text())["outs"]
    assert out["nfiles"] == 5  # the side table is part of the version
    again = nightshift("data", "import", str(tmp_path / "pets"), cwd=project)
    assert ["cat", "0", "2", "2", "1", "1", "0"] in rows(again.stdout)
    assert "All images are there already; nothing was copied." in again.stdout


def test_labels_go_out_and_come_in_again(project: Path, tmp_path: Path) -> None:
    nightshift("data", "import", str(write_files(tmp_path / "pets", *PETS)), cwd=project)
    done = nightshift("data", "export", "coco", cwd=project)
    assert done.stdout == "The labels of 3 images: exports/coco.json\n"
    again = nightshift("data", "import", "exports/coco.json", cwd=project)
    assert "All images are there already; nothing was copied." in again.stdout
    refused = nightshift("data", "export", "vertex", cwd=project, check=False)
    assert refused.returncode == 1
    assert "--prefix gs://bucket/folder" in refused.stderr


def test_links_save_the_copy_and_never_reach_the_source(project: Path, tmp_path: Path) -> None:
    write_files(tmp_path / "pets", *PETS)
    before = {name: (tmp_path / "pets" / name).stat() for name in PETS}
    nightshift("data", "import", "--link", "--into", "a", str(tmp_path / "pets"), cwd=project)
    assert (project / "data" / "raw" / "cat" / "a" / "1.jpg").read_bytes() == content("cat/1.jpg")
    for name, was in before.items():
        now = (tmp_path / "pets" / name).stat()
        assert (now.st_mode, now.st_mtime_ns, now.st_ino) == (was.st_mode, was.st_mtime_ns, was.st_ino)
        assert (tmp_path / "pets" / name).read_bytes() == content(name)


def test_an_error_is_words_and_writes_nothing(project: Path, tmp_path: Path) -> None:
    done = nightshift("data", "import", str(zip_of(tmp_path / "evil.zip", "../1.jpg")), cwd=project, check=False)
    assert done.returncode == 1
    assert "Error: " in done.stderr
    assert "leads out of the archive" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (project / "data" / "raw").exists()
    assert not (tmp_path / "1.jpg").exists()


def test_outside_of_a_project_nothing_is_written(tmp_path: Path) -> None:
    write_files(tmp_path / "pets", *PETS)
    (tmp_path / "elsewhere").mkdir()
    done = nightshift("data", "import", str(tmp_path / "pets"), cwd=tmp_path / "elsewhere", check=False)
    assert done.returncode == 1
    assert "params.yaml is not in" in done.stderr
    assert os.listdir(tmp_path / "elsewhere") == []
    assert tree(tmp_path / "pets").keys() == set(PETS)
