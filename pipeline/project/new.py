"""A new project: a folder with its parameters, stages and schedules, in git and DVC. Made whole or not at all."""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline.core.paths import RAW
from pipeline.core.shipped import ATTRIBUTES, DVC_YAML, IGNORED, PARAMS_YAML, SHIPPED, shipped
from pipeline.core.stage_code import write_code
from pipeline.core.text import named
from pipeline.project import git
from pipeline.project.git import ProjectError
from pipeline.project.stages import of_installed

# What `dvc init` writes, but for what is asked of nobody: its second start and a message for people.
DVC_CONFIG, DVC_IGNORED = ".dvc/config", ".dvc/.gitignore"
DVC_FILES = {DVC_CONFIG: "[core]\n    analytics = false\n", DVC_IGNORED: "/config.local\n/tmp\n/cache\n"}
SHARED = (
    *IGNORED,
    ATTRIBUTES,
    DVC_IGNORED,
    DVC_CONFIG,
)  # of a repository's own files those that get a project's lines as well
MAY_BE_THERE = {".venv", "lost+found"}  # of a folder that counts as empty: an environment, and what ext4 puts on a disk
BESIDE = ".nightshift-init-"  # begins the name of the temporary folder
LAST = DVC_YAML  # of what moves into a folder that is there: with it, the folder is a project
LATER = ("data/raw.dvc", "dvc.lock")  # what DVC adds to git
CODE = ("pipeline", "flows")  # Nightshift's packages, which Python looks for in the project's folder first


@dataclass(frozen=True, slots=True)
class NewProject:
    """What was made."""

    folder: Path
    uncommitted: str  # why git has no first commit yet, and how to make it; empty where it has


def new_project(folder: Path) -> NewProject:
    """Make `folder`, or fill it where it is empty or a git repository. Raises ProjectError, and then wrote nothing."""
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - without following links
    is_theirs = (folder / git.REPOSITORY).exists()  # somebody made it on a server first, and cloned it
    _require_free(folder, is_theirs)
    git.require_git()
    if is_theirs:
        git.require_repository(folder)
        _require_room(folder)
    with _beside(folder) as beside:
        for name in SHIPPED:
            text = shipped(name)
            _write(beside / name, of_installed(text) if name == DVC_YAML else text)
        for name, text in DVC_FILES.items():
            _write(beside / name, text)
        write_code(beside)
        names, theirs = _fit_into(folder, beside) if is_theirs else ([], [])
        uncommitted = "" if is_theirs else git.begin(beside)
        with _moved(beside, folder):
            if is_theirs:
                git.stage(folder, [name for name in names if name not in theirs])
    return NewProject(folder, git.commit(folder, names, theirs) if is_theirs else uncommitted)


def is_project(folder: Path) -> bool:
    """Whether a folder has what every Nightshift project has."""
    return (folder / PARAMS_YAML).is_file() and (folder / DVC_YAML).is_file()


def _require_free(folder: Path, is_theirs: bool) -> None:
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
    if not is_theirs and (found := _in_the_way(folder)):
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise ProjectError(
            f"{folder} is not empty: it holds {', '.join(found[:3])}{more}. Nothing was written. Name a new folder; "
            "images come into it with `nightshift data import FOLDER`."
        )


def _require_room(folder: Path) -> None:
    """Raise ProjectError where the repository has what would come between a project and its code or DVC."""
    files = (place for name in CODE for place in (name, f"{name}.py"))
    if code := sorted(name for name in files if os.path.lexists(folder / name)):
        raise ProjectError(
            f"{folder} is a git repository with {named(code)}, which Python would take for Nightshift's own code. "
            "Nothing was written. Rename that, or name a new folder."
        )
    if git.has(folder, images := RAW.as_posix()):
        raise ProjectError(
            f"{folder} is a git repository that has {images}, and a project has its images in DVC. Nothing was "
            f"written. Take them out of git (the files stay): `git rm -r --cached {images} && git commit`."
        )
    if (folder / DVC_CONFIG).is_file() and (fault := _fault_in_settings(folder)):
        raise ProjectError(
            f"{folder} is a git repository with settings ({DVC_CONFIG}) that DVC does not take: {fault}. Nothing was "
            "written. Correct them, or name a new folder."
        )


def _fault_in_settings(folder: Path) -> str:
    """What DVC says against its settings in `folder`; empty where it takes them."""
    from dvc.config import Config, ConfigError

    try:
        Config(dvc_dir=str((folder / DVC_CONFIG).parent))
    except ConfigError as error:
        return " ".join(str(error).split()).rstrip(".")
    return ""


def _in_the_way(folder: Path) -> list[str]:
    """What keeps a folder from counting as empty; what a killed `init` left there does not."""
    names = {one.name for one in folder.iterdir()} if folder.is_dir() else set()
    return sorted(name for name in names - MAY_BE_THERE if not name.startswith(BESIDE))


def _fit_into(folder: Path, beside: Path) -> tuple[list[str], list[str]]:
    """Make the files in `beside` fit the repository in `folder`.

    Returns their names, and of these the ones with lines of theirs that no commit has yet. A file of SHARED keeps its
    lines and gets those that it lacks. Raises ProjectError for any other file that is there with another content, and
    where git would leave a file out.
    """
    uncommitted = []
    names = sorted(file.relative_to(beside).as_posix() for file in beside.rglob("*") if file.is_file())
    clash = [name for name in names if not _is_plain(folder, name)]
    for name in set(names) - set(clash):
        if (there := folder / name).exists():
            if name in SHARED:
                theirs, ours = there.read_bytes(), (beside / name).read_bytes()
                before = _lines(git.committed(folder, name))
                if ((_lines(theirs) ^ before) | (_lines(git.staged(folder, name)) ^ before)) - _lines(ours):
                    uncommitted.append(name)
                merged = _with_settings(theirs, ours) if name == DVC_CONFIG else _with_rules(theirs, ours)
                (beside / name).write_bytes(merged)
            elif there.read_bytes() != (beside / name).read_bytes():
                clash.append(name)
    if clash:
        raise ProjectError(
            f"{folder} is a git repository with files of its own where a project has its: {named(sorted(clash))}. "
            "Nothing was written. Move or rename them, or name a new folder."
        )
    if left_out := git.ignored(folder, [*names, *LATER]):
        raise ProjectError(
            f"The rules of the git repository {folder} (.gitignore) leave out what a project keeps in git: "
            f"{named(left_out)}. Nothing was written. Change them, or name a new folder."
        )
    return names, sorted(uncommitted)


def _is_plain(folder: Path, name: str) -> bool:
    """Whether the file may stand there: it is a file already or nothing is there, and no link leads elsewhere."""
    file = folder / name
    around = [place for place in file.parents if place.is_relative_to(folder) and place != folder]
    links = any(place.is_symlink() for place in (file, *around))
    return (
        not links and (file.is_file() or not file.exists()) and all(one.is_dir() or not one.exists() for one in around)
    )


def _with_rules(theirs: bytes, ours: bytes) -> bytes:
    """Their lines, and after them those of ours that they lack."""
    there = set(theirs.splitlines())
    lacking = [line for line in ours.splitlines() if line not in there]
    if not lacking:
        return theirs
    end = b"" if not theirs or theirs.endswith(b"\n") else b"\n"
    return theirs + end + b"\n".join([b"# Nightshift", *lacking, b""])


def _with_settings(theirs: bytes, ours: bytes) -> bytes:
    """Their settings of DVC, and that it sends no figures of its use, unless they have decided on that."""
    if re.search(rb"^\s*analytics\s*=", theirs, re.MULTILINE):
        return theirs
    core = re.search(rb"^[ \t]*\[[ \t]*core[ \t]*\][^\n]*(\n|\Z)", theirs, re.MULTILINE)
    heading, setting = ours.splitlines(keepends=True)
    before, after = (theirs[: core.end()], theirs[core.end() :]) if core else (theirs, b"")
    end = b"" if not before or before.endswith(b"\n") else b"\n"
    return before + end + (setting if core else heading + setting) + after


def _lines(content: bytes) -> set[bytes]:
    """Its lines but for empty ones and comments, such as those that `dvc init` writes."""
    lines = (line.strip() for line in content.splitlines())
    return {line for line in lines if line and not line.startswith(b"#")}


@contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """A temporary folder to make a project in: inside `folder` if that is there, else beside it."""
    missing = [place for place in folder.parents if not place.exists()]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        where = folder if folder.is_dir() else folder.parent
        beside = Path(tempfile.mkdtemp(prefix=BESIDE, suffix=".tmp", dir=where))
    except OSError as error:
        _remove_empty(missing)
        raise ProjectError(
            f"{folder} cannot be made: {error.strerror}. Nothing was written. Name a folder where you may write."
        ) from error
    try:
        yield beside
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        _remove_empty(missing)
        raise
    shutil.rmtree(beside, ignore_errors=True)


def _remove_empty(folders: Iterable[Path]) -> None:
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


@contextmanager
def _moved(beside: Path, folder: Path) -> Iterator[None]:
    """What was made in `beside` stands in `folder`; if the block fails, as before."""
    undo: list[Callable[[], object]] = []
    try:
        if folder.is_dir():  # it stays the same folder: a shell may be in it, or a disk be mounted on it
            for one in sorted(beside.iterdir(), key=lambda one: one.name == LAST):
                _move(one, folder / one.name, undo)
        else:
            beside.chmod(0o777 & ~_umask())
            beside.rename(folder)
            undo.append(partial(folder.rename, beside))
        yield
    except BaseException:
        for step in reversed(undo):
            step()
        raise


def _move(one: Path, to: Path, undo: list[Callable[[], object]]) -> None:
    if one.is_dir() and to.is_dir():
        for inner in one.iterdir():
            _move(inner, to / inner.name, undo)
    elif to.exists():
        before = to.read_bytes()
        if before != one.read_bytes():
            shutil.copymode(to, one)
            one.replace(to)
            undo.append(partial(to.write_bytes, before))
    else:
        one.rename(to)
        undo.append(partial(to.rename, one))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
