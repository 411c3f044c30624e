"""`nightshift init`: a whole project or none, with nobody's state in it."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pipeline.core.paths import JUDGEMENTS
from pipeline.core.shipped import DVC_YAML, SHIPPED
from pipeline.data.judgements import Judgement, every_judgement, keep
from pipeline.params.file import load_params
from pipeline.project.new import new_project
from pipeline.project.stages import of_installed
from tests.fixtures.project import REPOSITORY, dvc, nightshift, run

ADA = {"GIT_CONFIG_GLOBAL": os.devnull, **{f"GIT_{who}_NAME": "Ada" for who in ("AUTHOR", "COMMITTER")},
       **{f"GIT_{who}_EMAIL": "ada@example.com" for who in ("AUTHOR", "COMMITTER")}}  # fmt: skip
NOBODY = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "EMAIL": ""}
OURS = {*SHIPPED, "code.yaml", ".dvc/config", ".dvc/.gitignore"}


def init(folder: Path | str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return nightshift("init", str(folder), cwd=cwd, check=False, **env)


def everything(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*")}


def test_a_new_project_is_committed_clean_and_without_anybodys_state(tmp_path: Path) -> None:
    done = init("deep/leaves ü", tmp_path, **ADA)
    project = tmp_path / "deep/leaves ü"
    assert done.returncode == 0, done.stderr
    assert f"{project} is a Nightshift project now" in done.stdout
    assert "cd 'deep/leaves ü'" in done.stdout
    assert set(run("git", "ls-files", "-z", cwd=project).stdout.strip("\0").split("\0")) == OURS
    assert run("git", "status", "--porcelain", cwd=project).stdout == ""
    assert run("git", "log", "--format=%an %s", cwd=project).stdout == "Ada A new Nightshift project\n"
    assert {name for name in everything(project) if not name.startswith(".git/")} == {
        *OURS, ".git", ".dvc", "data", "models", "reports",
    }  # fmt: skip
    assert sorted(tmp_path.iterdir()) == [tmp_path / "deep"]
    assert project.stat().st_mode == (tmp_path / "deep").stat().st_mode, "others may read it as they may any new folder"
    load_params(project / "params.yaml")
    said = dvc("status", cwd=project).stdout
    assert set(yaml.safe_load((project / DVC_YAML).read_text())["stages"]) <= set(said.replace(":", "").split())
    assert "data/raw" in said, "what is missing is images, not code"
    assert "pipeline" not in said


def test_git_merges_what_two_people_have_judged(tmp_path: Path) -> None:
    new_project(tmp_path / "p")
    project = tmp_path / "p"
    who = {"cwd": project, **ADA}
    run("git", "add", "--all", **who)
    run("git", "commit", "--quiet", "--allow-empty", "--message", "begin", **who)
    for branch, start in (("ada", "HEAD"), ("bob", "HEAD~0")):
        run("git", "checkout", "--quiet", "-b", branch, start if branch == "ada" else "ada~1", **who)
        image = (b"1" if branch == "ada" else b"2").decode() * 64
        keep([Judgement(sha256=image, path="1.png", reader=branch, source="night", label="rust")],
             project / JUDGEMENTS)  # fmt: skip
        run("git", "add", "--all", **who)
        run("git", "commit", "--quiet", "--message", branch, **who)
    run("git", "merge", "--quiet", "--no-edit", "ada", **who)
    assert sorted(one.reader for one in every_judgement(project / JUDGEMENTS)) == ["ada", "bob"]


def test_stages_of_a_project_name_no_file_of_code_and_are_the_repositorys_otherwise() -> None:
    text = (REPOSITORY / DVC_YAML).read_text()
    ours, made = yaml.safe_load(text), yaml.safe_load(of_installed(text))
    for name, stage in ours["stages"].items():
        stage["deps"] = [dep for dep in stage["deps"] if not dep.startswith("pipeline/")]
        stage["params"] = [{"code.yaml": [name]}, *stage["params"]]
    assert made == ours


def test_without_a_git_identity_it_is_said_how_to_commit(tmp_path: Path) -> None:
    done = init("leaves", tmp_path, **NOBODY)
    assert done.returncode == 0, done.stderr
    assert "git does not know yet who you are" in done.stdout
    commands = [line.strip() for line in done.stdout.splitlines() if line.startswith("  git ")]
    named = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "user.name", "GIT_CONFIG_VALUE_0": "Ada"}
    assert "user.name" not in init("named", tmp_path, **NOBODY, **named).stdout, "what git knows is not asked for"
    config = {"GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig")}
    for command in commands:
        run("sh", "-c", command, cwd=tmp_path / "leaves", **config)
    assert len(commands) == 3
    assert (
        run("git", "log", "--format=%an %s", cwd=tmp_path / "leaves").stdout == "Your Name A new Nightshift project\n"
    )


def test_the_folder_that_one_is_in_is_filled_and_stays_the_same(tmp_path: Path) -> None:
    (tmp_path / ".venv").mkdir()
    (tmp_path / "lost+found").mkdir()
    before = tmp_path.stat().st_ino
    done = init(".", tmp_path, **ADA, GIT_DIR="/elsewhere")
    assert done.returncode == 0, done.stderr
    assert tmp_path.stat().st_ino == before
    assert "cd " not in done.stdout
    assert {name for name in os.listdir(tmp_path) if "tmp" in name} == set()
    assert "lost+found" not in run("git", "ls-files", cwd=tmp_path).stdout


def a_clone(folder: Path, **files: str) -> Path:
    """A repository that somebody made on a server and cloned, with these files in its first commit."""
    run("git", "init", "--quiet", "--initial-branch=trunk", str(folder), cwd=folder.parent)
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    if files:
        run("git", "add", "--all", cwd=folder)
        run("git", "commit", "--quiet", "--message", "Initial commit", cwd=folder, **ADA)
    return folder


def test_a_repository_that_was_just_made_becomes_the_project(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    for folder, files, subjects in (
        ("empty", {}, ["A new Nightshift project"]),
        (
            "begun",
            {"README.md": "# Leaves", ".gitignore": "*.swp\r\n.venv/\r\n*.log", "data/README": "where from",
             "models/.gitignore": (REPOSITORY / "models/.gitignore").read_text(),
             ".dvc/config": "['remote \"store\"']\n    url = /srv/store", ".dvc/.gitignore": "/config.local"},
            ["A new Nightshift project", "Initial commit"],
        ),
    ):  # fmt: skip
        clone = a_clone(tmp_path / folder, **files)
        (clone / "todo.txt").write_text("not in git")
        run("git", "remote", "add", "origin", "git@gitlab.example:ada/leaves.git", cwd=clone)
        done = init(clone, tmp_path / "elsewhere", **ADA)
        assert done.returncode == 0, done.stderr
        assert run("git", "log", "--format=%s", cwd=clone).stdout.splitlines() == subjects
        assert run("git", "branch", "--show-current", cwd=clone).stdout == "trunk\n"
        assert "gitlab.example" in run("git", "remote", "--verbose", cwd=clone).stdout
        assert set(run("git", "ls-files", cwd=clone).stdout.split()) == {*OURS, *files}
        assert run("git", "status", "--porcelain", cwd=clone).stdout == "?? todo.txt\n", "as it was"
        assert {name for name in everything(clone) if "init" in name and not name.startswith(".git/")} == set()
        assert load_params(clone / "params.yaml")
        for name, text in files.items():
            assert (clone / name).read_bytes().startswith(text.encode()), f"{name} is theirs"
    ignored = (clone / ".gitignore").read_bytes().split()
    assert set((REPOSITORY / ".gitignore").read_bytes().split()) < set(ignored)
    assert ignored.count(b".venv/") == 1
    assert {b"/photos/", b"/exports/"} <= set(ignored), "gigabytes of pictures, which `collect` and `export` write"
    assert (clone / "models/.gitignore").read_text() == files["models/.gitignore"]
    config = f"{files['.dvc/config']}\n[core]\n    analytics = false\n"
    assert (clone / ".dvc/config").read_text() == config


def test_what_dvc_init_left_is_part_of_the_first_commit_and_a_persons_own_lines_are_not(tmp_path: Path) -> None:
    clone = a_clone(tmp_path / "leaves", **{"README.md": "# Leaves"})
    dvc_inits = {
        ".dvc/config": "",
        ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
        ".dvcignore": "# Add patterns\n",
    }
    for name, text in dvc_inits.items():
        (clone / name).parent.mkdir(exist_ok=True)
        (clone / name).write_text(text)
    run("git", "add", ".dvc", ".dvcignore", cwd=clone)
    assert init(clone, tmp_path, **ADA).returncode == 0
    assert run("git", "status", "--porcelain", cwd=clone).stdout == ""

    begun = a_clone(tmp_path / "begun", **{".gitignore": "*.swp\n*.log\n", "data/.gitignore": "/mine\n"})
    (begun / ".gitignore").write_text("*.swp\n/secret\n")
    (begun / "data/.gitignore").write_text("# of mine\n/mine\n/raw\n/staged\n")
    run("git", "add", "data/.gitignore", cwd=begun)
    (begun / "data/.gitignore").write_text("# of mine\n/mine\n/raw\n")
    (begun / ".dvc").mkdir()
    (begun / ".dvc/config").write_text("[core]\n    remote = store\n")
    done = init(begun, tmp_path, **ADA)
    assert "DVC knows it, git not yet." in done.stdout
    assert ".dvc/config, .gitignore, data/.gitignore have changes of yours that are in no commit yet" in done.stdout
    assert run("git", "log", "--format=%s", cwd=begun).stdout == "Initial commit\n"
    assert "secret" not in run("git", "show", ":.gitignore", cwd=begun).stdout, "nor is it staged"
    assert "/staged" in run("git", "show", ":data/.gitignore", cwd=begun).stdout, "what is staged stays so"
    assert (begun / ".dvc/config").read_text() == "[core]\n    analytics = false\n    remote = store\n"
    [command] = [line.strip() for line in done.stdout.splitlines() if line.startswith("  git ")]
    run("sh", "-c", command, cwd=begun, **ADA)
    assert run("git", "status", "--porcelain", cwd=begun).stdout == ""


def a_project(folder: Path) -> None:
    folder.mkdir()
    for name in ("params.yaml", "dvc.yaml"):
        (folder / name).touch()


def around(folder: Path) -> None:
    for name in ("params.yaml", "dvc.yaml"):
        (folder.parent / name).touch()


def with_files_of_its_own(folder: Path) -> None:
    a_clone(folder, **{"params.yaml": "mine: 1", ".dvc/config": "", "README.md": "# Leaves"})
    (folder / "data").symlink_to("/srv/data")
    (folder / "prefect.yaml").mkdir()


def with_rules_of_its_own(folder: Path) -> None:
    a_clone(folder, **{".gitignore": "*.lock\ndata/"})


def with_packages_of_its_own(folder: Path) -> None:
    a_clone(folder, **{"pipeline/__init__.py": "", "flows.py": ""})


def with_images_in_git(folder: Path) -> None:
    a_clone(folder, **{"data/raw/rust/1.jpg": "an image"})


def with_broken_settings(folder: Path) -> None:
    a_clone(folder, **{".dvc/config": "[core\n    remote = store\n"})


def with_unknown_settings(folder: Path) -> None:
    a_clone(folder, **{".dvc/config": "[core]\n    romote = store\n"})


def with_a_part_of_its_files(folder: Path) -> None:
    a_clone(folder, **{"src/a.py": "", "data/README": ""})
    run("git", "sparse-checkout", "set", "src", cwd=folder)


def locked(folder: Path) -> None:
    (a_clone(folder) / ".git/index.lock").touch()


def broken(folder: Path) -> None:
    (folder / ".git").mkdir(parents=True)


def full(folder: Path) -> None:
    for name in "abcd":
        (folder / name).mkdir(parents=True)


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (a_project, "leaves is a Nightshift project already; nothing was changed."),
        (around, "Name a folder outside, such as"),
        (
            with_files_of_its_own,
            "leaves is a git repository with files of its own where a project has its: data/.gitignore, params.yaml, "
            "prefect.yaml. Nothing was written.",
        ),
        (with_rules_of_its_own, "keeps in git: data/.gitignore, data/raw.dvc, dvc.lock. Nothing was written."),
        (with_packages_of_its_own, "with flows.py, pipeline, which Python would take for Nightshift's own code."),
        (with_images_in_git, "(the files stay): `git rm -r --cached data/raw && git commit`."),
        (with_broken_settings, "(.dvc/config) that DVC does not take: config file error: Invalid line ('[core')"),
        (with_unknown_settings, "extra keys not allowed @ data['core']['romote']. Nothing was written."),
        (with_a_part_of_its_files, "so no project was made: The following paths and/or pathspecs"),
        (locked, "/index.lock': File exists."),
        (broken, "leaves holds .git, and git does not work in it: fatal: not a git repository"),
        (full, "leaves is not empty: it holds a, b, c and 1 more. Nothing was written."),
        (Path.touch, "leaves is a file, not a folder; nothing was written."),
        (lambda folder: folder.symlink_to("nowhere"), "leaves is a link to nothing (nowhere); nothing was written."),
    ],
    ids=[
        "a project",
        "inside a project",
        "files in git",
        "rules in git",
        "code in git",
        "images in git",
        "broken settings of DVC",
        "unknown settings of DVC",
        "a sparse checkout",
        "another git at work",
        "a broken repository",
        "not empty",
        "a file",
        "a dangling link",
    ],
)
def test_another_folder_is_refused_in_one_line_and_left_as_it_is(
    prepare: Callable[[Path], None], words: str, tmp_path: Path
) -> None:
    prepare(tmp_path / "leaves")
    before = everything(tmp_path)
    index = tmp_path / "leaves/.git/index"
    staged = index.read_bytes() if index.is_file() else b""
    done = init(tmp_path / "leaves", Path("/"), **ADA)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: ")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert everything(tmp_path) == before
    assert (index.read_bytes() if index.is_file() else b"") == staged


@pytest.mark.parametrize("there", ["an empty folder", "a clone", ""], ids=["an empty folder", "a clone", "no folder"])
def test_what_fails_in_the_middle_leaves_nothing(there: str, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    fails = tmp_path / "bin/git"  # as git does on a full disk
    real = shutil.which("git")
    fails.write_text(f'#!/bin/sh\n[ "$1" = add ] && {{ echo "fatal: no room" >&2; exit 128; }}\nexec {real} "$@"\n')
    fails.chmod(0o755)
    if there == "a clone":
        (tmp_path / "deep").mkdir()
        a_clone(tmp_path / "deep/leaves", **{".gitignore": "*.swp", "data/README": ""})
    elif there:
        (tmp_path / "deep/leaves").mkdir(parents=True)
    before = everything(tmp_path)
    done = init("deep/leaves", tmp_path, PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    assert done.returncode == 1
    command = "git add --dry-run" if there == "a clone" else "git add --all"
    assert done.stderr == f"Error: `{command}` failed, so no project was made: fatal: no room\n"
    assert everything(tmp_path) == before
    if there == "a clone":
        assert (tmp_path / "deep/leaves/.gitignore").read_text() == "*.swp"


def test_a_repository_that_refuses_the_commit_says_why_in_full(tmp_path: Path) -> None:
    clone = a_clone(tmp_path / "leaves")
    run("git", "config", "commit.gpgSign", "true", cwd=clone)
    run("git", "config", "gpg.program", "/bin/false", cwd=clone)
    done = init(clone, tmp_path, **ADA)
    assert done.returncode == 0, done.stderr
    assert "git refused the first commit:\n  error: gpg failed to sign the data\n  fatal: failed to" in done.stdout


def test_a_repository_may_have_any_name(tmp_path: Path) -> None:
    clone = a_clone(tmp_path / os.fsdecode(b"caf\xe9\n"))
    new_project(clone)
    assert everything(clone) >= OURS


def test_a_place_where_nothing_can_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    done = init("a file/deep/leaves", tmp_path)
    assert done.returncode == 1
    assert "a file/deep/leaves cannot be made: Not a directory. Nothing was written." in done.stderr


def test_without_git_nothing_is_made(tmp_path: Path) -> None:
    done = init("leaves", tmp_path, PATH=str(tmp_path))
    assert done.returncode == 1
    assert "there is no command git here; nothing was written" in done.stderr
    assert everything(tmp_path) == set()
