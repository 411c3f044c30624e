"""git in the folder of a new project: a repository of its own, or one that is there. Knows no file of a project."""

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.core.errors import NightshiftError
from pipeline.core.text import named, shown

REPOSITORY = ".git"  # a folder, or a file that names one elsewhere (a worktree, a submodule)
MESSAGE = "A new Nightshift project"
COMMIT = f'git add --all && git commit --message "{MESSAGE}"'
WHO = (("user.name", '"Your Name"'), ("user.email", "you@example.com"))  # what git asks for, and an example
ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")  # variables that name another repository
FAULT = ("fatal:", "error:")  # begins what git says of a failure; warnings may stand before it
LINES = 12  # of a refused commit, the last: hooks may say much


class ProjectError(NightshiftError):
    """No project can be made in this folder; the message says why and what to do."""


def require_git() -> None:
    """Raise ProjectError where there is no command git."""
    if not shutil.which("git"):
        raise ProjectError(
            "A project is kept in git, and there is no command git here; nothing was written. Install it (Debian, "
            "Ubuntu: `sudo apt-get install git`), then run the same command again."
        )


def require_repository(folder: Path) -> None:
    """Raise ProjectError where git does not take `folder` for the top of a repository that it can work in."""
    done = _ask("rev-parse", "--show-toplevel", cwd=folder)
    top = Path(done.stdout.removesuffix("\n"))
    if done.returncode or not top.is_dir() or not top.samefile(folder):
        why = f": {_why(done)}" if done.returncode else ""
        raise ProjectError(
            f"{folder} holds {REPOSITORY}, and git does not work in it{why}. Nothing was written. Mend it, or name a "
            "new folder."
        )


def ignored(folder: Path, names: Iterable[str]) -> list[str]:
    """Which of these files the rules of the repository in `folder` keep out of git."""
    return _ask("check-ignore", "--", *names, cwd=folder).stdout.splitlines()


def has(folder: Path, name: str) -> bool:
    """Whether the repository in `folder` tracks this file, or one in this folder."""
    return bool(_ask("ls-files", "--", name, cwd=folder).stdout)


def committed(folder: Path, name: str) -> bytes:
    """The file in the last commit of the repository in `folder`; empty where it has none."""
    return _shown(folder, f"HEAD:{name}")


def staged(folder: Path, name: str) -> bytes:
    """The file as it is staged in the repository in `folder`; empty where it is not."""
    return _shown(folder, f":{name}")


def _shown(folder: Path, which: str) -> bytes:
    done = _ask("show", which, cwd=folder)
    return b"" if done.returncode else os.fsencode(done.stdout)


def begin(folder: Path) -> str:
    """Make a repository with everything in `folder`; returns what `commit` does. Raises ProjectError."""
    _require("init", "--quiet", cwd=folder)
    _require("add", "--all", cwd=folder)
    return commit(folder)


def stage(folder: Path, names: Iterable[str]) -> None:
    """Stage these files and no others, or none. Raises ProjectError."""
    _require("add", "--dry-run", "--", *names, cwd=folder)  # a sparse checkout refuses some when it has staged others
    _require("add", "--", *names, cwd=folder)


def commit(folder: Path, only: Iterable[str] = (), theirs: Sequence[str] = ()) -> str:
    """Commit what is staged, or say why there is no commit, and what to do about it.

    only: of it these files; theirs: of these the ones that have changes of somebody's own, for which there is none.
    """
    by_hand = f'git commit --message "{MESSAGE}"' if (names := list(only)) else COMMIT
    by_hand = f"git add {' '.join(theirs)} && {by_hand}" if theirs else by_hand
    # Without this git would make a name and an address up, from the machine's.
    asked = "-c", "user.useConfigOnly=true"
    if any(_ask(*asked, "var", who, cwd=folder).returncode for who in ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT")):
        unknown = [f"git config --global {key} {value}" for key, value in WHO if not _is_set(key, folder)]
        lines = "\n".join(f"  {line}" for line in [*unknown, by_hand])
        return f"git does not know yet who you are, so there is no first commit. Tell it, then commit:\n{lines}"
    if theirs:
        which = f"{named(theirs)} {'has' if len(theirs) == 1 else 'have'}"
        return (
            f"{which} changes of yours that are in no commit yet, so there is no first commit, which would have them "
            f"too. Look at them, then commit:\n  {by_hand}"
        )
    done = _ask("commit", "--quiet", "--message", MESSAGE, *(("--only", "--", *names) if names else ()), cwd=folder)
    if done.returncode:
        said = "\n".join(f"  {line}" for line in _said(done)[-LINES:])
        return f"git refused the first commit:\n{said}\nWhen that is mended:\n  {by_hand}"
    return ""


def _is_set(key: str, folder: Path) -> bool:
    return bool(_ask("config", "--get", key, cwd=folder).stdout.strip())


def _require(*words: str, cwd: Path) -> None:
    done = _ask(*words, cwd=cwd)
    if done.returncode:
        command = " ".join(("git", *itertools.takewhile(lambda word: word != "--", words)))
        raise ProjectError(f"`{command}` failed, so no project was made: {_why(done)}")


def _ask(*words: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    # A hook of another repository, or a shell, may say where that one is.
    env = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    return subprocess.run(
        ["git", *words], cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        errors="surrogateescape", check=False,
    )  # fmt: skip


def _said(done: "subprocess.CompletedProcess[str]") -> list[str]:
    """What git and its hooks said, without its hints."""
    lines = [shown(line.expandtabs()).rstrip() for line in (done.stderr.strip() or done.stdout.strip()).splitlines()]
    return [line for line in lines if line and not line.startswith("hint:")] or [f"exit status {done.returncode}"]


def _why(done: "subprocess.CompletedProcess[str]") -> str:
    """What git said of its failure, in one line."""
    lines = _said(done)
    first = next((number for number, line in enumerate(lines) if line.startswith(FAULT)), 0)
    return " ".join(line.strip() for line in lines[first:])
