"""Data versions on a real repository: what has changed, going back and forward, and words where that cannot be."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest

from pipeline.versions import snapshots
from pipeline.versions.changes import Move, compare
from pipeline.versions.dvc import VersionsError
from tests.fixtures.project import dvc, nightshift, run


def contents(folder: Path) -> dict[str, str]:
    """The text of every file below `folder`, by its path."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_text() for file in files}


def test_what_changed_between_two_revisions_and_in_the_working_folder(data_project: Path) -> None:
    first, second = snapshots.of_revision("first"), snapshots.of_revision("second")
    assert sorted(first.files) == sorted(
        contents(data_project / "data/raw").keys() - {"dog/9.jpg", "bird/1.jpg"} | {"cat/1.jpg"}
    )
    assert first.side_table == "path,group\ncat/1.jpg,a\ndog/1.jpg,b\n"
    assert snapshots.of_working_folder().files == second.files
    changes = compare(first.files, second.files)
    assert changes.added == ("bird/1.jpg",)
    assert changes.changed == ("cat/2.jpg",)
    assert changes.relabelled == (Move("cat/1.jpg", "dog/9.jpg"),)

    def read(files: Mapping[str, Path]) -> pd.DataFrame:
        return pd.DataFrame([(path, file.read_text()) for path, file in files.items()], columns=["path", "text"])

    today = pd.DataFrame({"path": sorted(second.files), "text": "today's"})
    found = snapshots.manifest_at("first", today, read)
    assert found is not None
    assert sorted(found.to_numpy().tolist()) == [
        ["cat/1.jpg", "the bytes of cat/1.jpg"], ["cat/2.jpg", "the bytes of cat/2.jpg"], ["cat/3.jpg", "today's"],
        ["dog/1.jpg", "today's"], ["dog/2.jpg", "today's"],
    ], "a version that was committed without a manifest, too, is one to compare with"  # fmt: skip

    (data_project / "data/raw/dog/9.jpg").unlink()
    assert compare(second.files, snapshots.of_working_folder().files).removed == ("dog/9.jpg",)


def test_the_command_shows_a_table_the_names_and_the_side_table(data_project: Path) -> None:
    (data_project / "data/raw/[red]").mkdir()
    (data_project / "data/raw/[red]/1.jpg").write_text("red")
    said = nightshift("data", "diff", "first", cwd=data_project).stdout
    rows = [line.split() for line in said.splitlines()]
    assert ["bird", "0", "1", "1"] in rows
    assert ["[red]", "0", "1", "1"] in rows
    assert ["cat", "3", "1", "1", "2"] in rows
    assert ["dog", "2", "1", "3"] in rows
    assert ["all", "5", "2", "1", "1", "1", "7"] in rows
    assert "  cat/1.jpg -> dog/9.jpg" in said
    assert "metadata.csv: 1 row added; 1 row removed; 1 row changed; column split added" in said
    assert "Nothing has changed." in nightshift("data", "diff", "second", "HEAD", cwd=data_project).stdout


@pytest.mark.parametrize(
    ("revision", "words"),
    [
        pytest.param("frist", "did you mean first\\?", id="a slip"),
        pytest.param("v9.9", "tags and branches: .*first, second", id="nothing like it"),
        pytest.param("-x", "is not a revision", id="an option"),
    ],
)
def test_an_unknown_revision_is_answered_with_those_there_are(
    two_versions: Path, monkeypatch: pytest.MonkeyPatch, revision: str, words: str
) -> None:
    monkeypatch.chdir(two_versions)
    with pytest.raises(VersionsError, match=words):
        snapshots.of_revision(revision)


def test_outside_a_project_in_one_without_git_and_in_one_without_commits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VersionsError, match="is not in a DVC repository.*dvc.yaml"):
        snapshots.of_revision("HEAD")
    dvc("init", "--no-scm", cwd=tmp_path)
    with pytest.raises(VersionsError, match="is not in a git repository.*git init"):
        snapshots.of_revision("HEAD")
    (tmp_path / ".dvc/config").write_text("")
    run("git", "init", "--quiet", cwd=tmp_path)
    with pytest.raises(VersionsError, match="no commit yet"):
        snapshots.of_revision("HEAD")


def test_git_that_is_gone_is_named(data_project: Path) -> None:
    shutil.rmtree(data_project / ".git")
    with pytest.raises(VersionsError, match="is not in a git repository.*git init"):
        snapshots.of_revision("HEAD")


def test_a_revision_without_a_version_and_a_folder_that_is_missing(data_project: Path) -> None:
    run("git", "rm", "--quiet", "--cached", "data/raw.dvc", cwd=data_project)
    run("git", "commit", "--quiet", "--message", "forgotten", cwd=data_project)
    with pytest.raises(VersionsError, match=r"HEAD \(\w{7}\) has no version of data/raw.*git add data/raw.dvc"):
        snapshots.of_revision("HEAD")
    shutil.rmtree(data_project / "data/raw")
    with pytest.raises(VersionsError, match=r"data/raw is missing. Run `dvc checkout data/raw.dvc`; in a fresh clone"):
        snapshots.of_working_folder()


def test_a_version_that_is_not_in_the_cache_is_named_with_its_remote(data_project: Path, tmp_path: Path) -> None:
    shutil.rmtree(data_project / ".dvc/cache")
    with pytest.raises(
        VersionsError,
        match="never on this machine, and this project has no remote.*data check.*dvc remote add --default",
    ):
        snapshots.of_revision("first")
    dvc("remote", "add", "--default", "storage", str(tmp_path / "remote"), cwd=data_project)
    with pytest.raises(
        VersionsError, match=rf"remote storage \({tmp_path}/remote\): `nightshift data pull --rev first`"
    ):
        snapshots.of_revision("first")


def test_a_lost_cache_copy_of_the_side_table_is_said_and_no_error(data_project: Path) -> None:
    table = snapshots.of_revision("first").files["metadata.csv"]
    (data_project / ".dvc/cache/files/md5" / table[:2] / table[2:]).unlink()
    assert snapshots.of_revision("first").side_table is None


def test_looking_changes_nothing(data_project: Path) -> None:
    (data_project / "data/raw/cat/new.jpg").write_text("new")
    before = sorted((data_project / ".dvc/cache").rglob("*"))
    snapshots.of_working_folder()
    assert sorted((data_project / ".dvc/cache").rglob("*")) == before
    assert run("git", "status", "--porcelain", cwd=data_project).stdout == ""


def go_to(project: Path, revision: str) -> None:
    """What the README says about going back; `reports` holds results that git keeps and `dvc.lock` knows by hash."""
    run("git", "checkout", revision, "--", "data/raw.dvc", "dvc.lock", "params.yaml", "reports", cwd=project)
    dvc("checkout", "--quiet", cwd=project)


def test_going_back_to_a_version_and_forward_again_repeats_no_work(data_project: Path) -> None:
    here = contents(data_project / "data")
    go_to(data_project, "first")
    back = contents(data_project / "data/raw")
    assert sorted(back) == ["cat/1.jpg", "cat/2.jpg", "cat/3.jpg", "dog/1.jpg", "dog/2.jpg", "metadata.csv"]
    assert back["cat/2.jpg"] == "the bytes of cat/2.jpg"
    assert (data_project / "data/splits.json").read_text() == back["metadata.csv"], "outputs go back too"
    assert "up to date" in dvc("repro", cwd=data_project).stdout

    go_to(data_project, "second")
    assert contents(data_project / "data") == here
    assert "up to date" in dvc("repro", cwd=data_project).stdout
    assert run("git", "status", "--porcelain", cwd=data_project).stdout == ""
