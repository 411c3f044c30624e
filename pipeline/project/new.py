"""A new project: a folder with its parameters, stages and schedules, in git and DVC. Made whole or not at all."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import NightshiftError
from pipeline.core.shipped import DVC_YAML, PARAMS_YAML, SHIPPED, shipped
from pipeline.core.stage_code import write_code
from pipeline.project.stages import of_installed

# What `dvc init` writes, but for what is asked of nobody: its second start and a message for people.
DVC_FILES = {".dvc/config": "[core]\n    analytics = false\n", ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n"}
MESSAGE = "A new Nightshift project"
COMMIT = f'git add --all && git commit --message "{MESSAGE}"'
MAY_BE_THERE = {".venv", "lost+found"}  # of a folder that counts as empty: an environment, and what ext4 puts on a disk
ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")  # variables that name another repository
BESIDE = ".nightshift-init-"  # begins the name of the temporary folder
LAST = DVC_YAML  # of what moves into a folder that is there: with it, the folder is a project


class ProjectError(NightshiftError):
    """No project can be made in this folder; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class NewProject:
    """What was made."""

    folder: Path
    uncommitted: str  # why git has no first commit yet, and how to make it; empty where it has


def new_project(folder: Path) -> NewProject:
    """Make `folder`, or fill it where it is empty. Raises ProjectError, and then has written nothing."""
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - without following links
    _require_free(folder)
    _require_git()
    with _made_whole(folder) as beside:
        for name in SHIPPED:
            text = shipped(name)
            _write(beside / name, of_installed(text) if name == DVC_YAML else text)
        for name, text in DVC_FILES.items():
            _write(beside / name, text)
        write_code(beside)
        _git("init", "--quiet", cwd=beside)
        _git("add", "--all", cwd=beside)
        uncommitted = _commit(beside)
    return NewProject(folder, uncommitted)


def is_project(folder: Path) -> bool:
    """Whether a folder has what every Nightshift project has."""
    return (folder / PARAMS_YAML).is_file() and (folder / DVC_YAML).is_file()


def _require_free(folder: Path) -> None:
    if is_project(folder):
        raise ProjectError(
            f"{folder} is a Nightshift project already; nothing was changed. Work in it, or name another folder. "
            "`nightshift upgrade` says what a newer version of Nightshift has for it."
        )
    for around in folder.parents:
        if is_project(around):
            raise ProjectError(
                f"{folder} is inside the project {around}, whose git and DVC would see it too; nothing was written. "
                f"Name a folder outside, such as {around.parent / folder.name}."
            )
    if folder.is_symlink() and not folder.exists():
        raise ProjectError(
            f"{folder} is a link to nothing ({folder.readlink()}); nothing was written. Remove it first."
        )
    if folder.exists() and not folder.is_dir():
        raise ProjectError(f"{folder} is a file, not a folder; nothing was written. Name another folder.")
    if found := _in_the_way(folder):
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise ProjectError(
            f"{folder} is not empty: it holds {', '.join(found[:3])}{more}. Nothing was written. Name a new folder; "
            "images come into it with `nightshift data import FOLDER`."
        )


def _in_the_way(folder: Path) -> list[str]:
    """What keeps a folder from counting as empty; what a killed `init` left there does not."""
    names = {one.name for one in folder.iterdir()} if folder.is_dir() else set()
    return sorted(name for name in names - MAY_BE_THERE if not name.startswith(BESIDE))


def _require_git() -> None:
    if not shutil.which("git"):
        raise ProjectError(
            "A project is kept in git, and there is no command git here; nothing was written. Install it (Debian, "
            "Ubuntu: `sudo apt-get install git`), then run the same command again."
        )


@contextmanager
def _made_whole(folder: Path) -> Iterator[Path]:
    """A temporary folder which becomes `folder` at the end of the block, or is removed."""
    missing = [place for place in folder.parents if not place.exists()]
    there = folder.is_dir()  # then it stays the same folder: a shell may be in it, or a disk be mounted on it
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=BESIDE, suffix=".tmp", dir=folder if there else folder.parent))
    except OSError as error:
        _remove_empty(missing)
        raise ProjectError(
            f"{folder} cannot be made: {error.strerror}. Nothing was written. Name a folder where you may write."
        ) from error
    try:
        yield beside
        if there:
            _move_in(beside, folder)
        else:
            beside.chmod(0o777 & ~_umask())
            beside.rename(folder)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        _remove_empty(missing)
        raise


def _remove_empty(folders: Iterable[Path]) -> None:
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _move_in(beside: Path, folder: Path) -> None:
    moved: list[Path] = []
    try:
        for one in sorted(beside.iterdir(), key=lambda one: one.name == LAST):
            moved += [one.rename(folder / one.name)]
        beside.rmdir()
    except BaseException:
        for one in moved:
            one.rename(beside / one.name)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def _commit(folder: Path) -> str:
    """Make the first commit; returns why there is none, and what to do about it."""
    # Without this git would make a name and an address up, from the machine's.
    asked = "-c", "user.useConfigOnly=true"
    if any(_ask_git(*asked, "var", who, cwd=folder).returncode for who in ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT")):
        return (
            "git does not know yet who you are, so there is no first commit. Tell it, then commit:\n"
            '  git config --global user.name "Your Name"\n'
            "  git config --global user.email you@example.com\n"
            f"  {COMMIT}"
        )
    done = _ask_git("commit", "--quiet", "--message", MESSAGE, cwd=folder)
    if done.returncode:
        return f"git refused the first commit:\n  {_last(done)}\nWhen that is mended:\n  {COMMIT}"
    return ""


def _git(*words: str, cwd: Path) -> None:
    done = _ask_git(*words, cwd=cwd)
    if done.returncode:
        raise ProjectError(f"`git {' '.join(words)}` failed, so no project was made: {_last(done)}")


def _ask_git(*words: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    # A hook of another repository, or a shell, may say where that one is.
    env = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    return subprocess.run(
        ["git", *words], cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
        check=False,
    )  # fmt: skip


def _last(done: "subprocess.CompletedProcess[str]") -> str:
    return ((done.stderr or done.stdout).strip().splitlines() or [f"exit status {done.returncode}"])[-1]
