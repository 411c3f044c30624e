"""Folders by label: links to the photographs, whatever labels are called, and nothing of anybody else is replaced."""

import os
import shutil
from pathlib import Path

import pytest

from pipeline.data.label_folders import label_of
from tests.fixtures.finished import finished
from tests.fixtures.project import REPOSITORY, nightshift

LABELS = ("wolf", "n/a", "..", "/etc", "Unsure", "unreadable", ".hidden", "a\nb", "\u732b ")
ROWS = {
    **{f"{at}/a.jpg": {"label": label} for at, label in enumerate(LABELS)},
    "u.jpg": {"label": "wolf", "status": "unsure"},
    "broken.jpg": {"error": "truncated"},
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    finished(tmp_path, ROWS)
    return tmp_path


def found(folder: Path) -> dict[str, Path]:
    return {str(file.relative_to(folder)): file for file in folder.rglob("*") if not file.is_dir()}


def test_every_photograph_is_in_the_folder_of_its_label(project: Path) -> None:
    said = nightshift("sort", "latest", "by/label", cwd=project)
    files = found(project / "by/label")
    files.pop(".nightshift-sorted.json")
    assert len(files) == len(ROWS)
    by_photo = {os.path.relpath(file.resolve(), project / "photos"): name for name, file in files.items()}
    assert {path: label_of(name.split("/")[0]) for path, name in by_photo.items() if name[0].isalpha()} == {
        "0/a.jpg": "wolf", "1/a.jpg": "n/a", "8/a.jpg": "\u732b ", "7/a.jpg": "a\nb", "u.jpg": "unsure",
        "broken.jpg": "unreadable",
    }  # fmt: skip
    assert by_photo["u.jpg"] == "unsure/wolf/u.jpg"
    assert by_photo["2/a.jpg"] == "%2E%2E/2/a.jpg"
    assert by_photo["4/a.jpg"] == "%55nsure/4/a.jpg", "on some disks this is the folder `unsure`"
    assert by_photo["5/a.jpg"] == "%75nreadable/5/a.jpg"
    assert not any(file.readlink().is_absolute() for file in files.values()), "the project can be moved"
    assert "     1 wolf" in said.stdout
    assert "Took the place" not in said.stdout
    copy, moved = project.with_name("copy"), project.with_name("moved")
    shutil.copytree(project, copy, symlinks=True)
    nightshift("sort", "monday", "again", cwd=copy)
    links = {name: file for name, file in found(copy / "again").items() if file.is_symlink()}
    assert len(links) == len(ROWS)
    assert all(file.resolve().is_relative_to(copy / "photos") for file in links.values()), "not the original's"
    shutil.move(project, moved)
    assert all(file.is_file() for file in found(moved / "by/label").values())


@pytest.mark.parametrize("how", ["", "--hard", "--copy"])
def test_again_is_the_same_and_another_night_takes_its_place(project: Path, how: str) -> None:
    words = ("sort", "latest", "out", *filter(None, [how]))
    photos = {name: file.read_bytes() for name, file in found(project / "photos").items()}
    nightshift(*words, cwd=project)
    first = {name: (file.read_bytes(), file.is_symlink()) for name, file in found(project / "out").items()}
    nightshift(*words, cwd=project)
    again = {name: (file.read_bytes(), file.is_symlink()) for name, file in found(project / "out").items()}
    record = ".nightshift-sorted.json"
    assert {name: one for name, one in again.items() if name != record} == {
        name: one for name, one in first.items() if name != record
    }
    assert first["wolf/0/a.jpg"][1] is (how == "")
    assert (project / "out/wolf/0/a.jpg").stat().st_ino == (project / "photos/0/a.jpg").stat().st_ino or how == "--copy"
    finished(project, {"0/a.jpg": {"label": "dog"}}, name="tuesday")
    said = nightshift("sort", "tuesday", *words[2:], cwd=project)
    assert said.stdout.startswith("Took the place of night monday, which was sorted there before.\n")
    assert sorted(found(project / "out")) == [record, "dog/0/a.jpg"]
    assert {name: file.read_bytes() for name, file in found(project / "photos").items()} == photos
    shutil.rmtree(project / "photos")
    gone = nightshift(*words, cwd=project, check=False)
    assert "photos, the folder of the photographs of" in gone.stderr
    assert (project / "out/dog/0/a.jpg").is_symlink() is (how == "")


def test_what_is_anothers_stays(project: Path) -> None:
    inside = nightshift("sort", "latest", "photos/sorted", cwd=project, check=False)
    assert "lie in each other: the next night would classify the links too" in inside.stderr
    learnt = nightshift("sort", "latest", "data/raw", cwd=project, check=False)
    assert "the next training would learn the model's own answers, which nobody has judged" in learnt.stderr
    assert not (project / "data").exists()
    nightshift("sort", "latest", "out", "--hard", cwd=project)
    (project / "out/wolf/notes.txt").write_text("mine")
    said = nightshift("sort", "latest", "out", cwd=project, check=False)
    assert "has files that `nightshift sort` did not write, or that were changed since: wolf/notes.txt." in said.stderr
    assert (project / "out/wolf/notes.txt").read_text() == "mine"
    (project / "out/wolf/notes.txt").unlink()
    (project / "photos/0/a.jpg").unlink()
    said = nightshift("sort", "latest", "out", cwd=project, check=False)
    assert "has photographs that are nowhere else any more: wolf/0/a.jpg." in said.stderr
    (project / "file").write_text("mine")
    assert "file is a file. Name a new folder." in nightshift("sort", "latest", "file", cwd=project, check=False).stderr
    other = nightshift("sort", "latest", "new", cwd=project)
    assert "Gone or changed since the night, so left out: 0/a.jpg." in other.stdout
    assert not (project / "new/wolf").exists()
    shutil.move(project / "photos", project / "away")
    (project / "photos").mkdir()
    for command in (("sort", "latest", "none"), ("tag", "latest", "--into", "none")):
        none = nightshift(*command, cwd=project, check=False)
        assert none.returncode == 1
        assert "has changed or gone since the night of predictions/monday (0/a.jpg, " in none.stderr
        assert not (project / "none").exists()
