"""The project's DVC commands: version the data, run a stage of `dvc.yaml`, say which versions are here."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import yaml

from pipeline.core.errors import NightshiftError
from pipeline.core.paths import RAW
from pipeline.core.stage_code import follow_package

PROGRESS_SECONDS = 5  # between two lines of a progress bar that goes to a log


class VersionsError(NightshiftError):
    """A DVC or git command failed; the last lines of what it said."""


def stages() -> list[str]:
    """The training graph's stages, in the order of `dvc.yaml`."""
    return list(yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"])


def require_repository() -> None:
    """Raise VersionsError when DVC could not version the images here; call it before anything is written."""
    here = Path.cwd()
    for path in (RAW, *RAW.parents[:-1]):
        if path.is_symlink():
            raise VersionsError(
                f"{path} is a link to {path.readlink()}, and DVC cannot version what lies behind a link. Nothing was "
                f"written. Remove the link (`rm {path}`; what it leads to stays) and import that folder with "
                f"`nightshift data import {path.resolve()}`. If the project's disk is too small, move the whole "
                "project to the other disk, or mount that at data/raw (`mount --bind`)."
            )
    places = (here, *here.parents)
    if not any((place / ".dvc").is_dir() for place in places):
        raise VersionsError(
            f"{here} is not in a DVC repository. Nothing was written. Change to the folder of your Nightshift project "
            "(the one with dvc.yaml), or make a new one: `nightshift init FOLDER`."
        )
    if _git_of(places) is None and not _without_git(places):
        raise VersionsError(
            f"{here} is not in a git repository (is it an unpacked archive?), and DVC needs one. Nothing was written. "
            "Make it one: `git init && git add --all && git commit --message start`, then run the same command again. "
            "Better: `git clone` the project, which keeps its history."
        )
    require_trusted_owner()


def require_trusted_owner() -> None:
    """Raise VersionsError when git refuses this repository because it belongs to somebody else."""
    git = _git_of((Path.cwd(), *Path.cwd().parents))
    if git is not None and "dubious ownership" in _said_by_git():
        owner, ours = git.stat().st_uid, os.geteuid()
        raise VersionsError(
            f"{git.parent} belongs to another user (uid {owner}; you are uid {ours}), so git refuses to use it. "
            f"Nothing was written. If you trust it: `git config --global --add safe.directory {git.parent}`, then run "
            "the same command again; or change its owner (`chown -R`)."
        )


def _git_of(places: Iterable[Path]) -> Path | None:
    return next((place / ".git" for place in places if (place / ".git").exists()), None)


def _without_git(places: Iterable[Path]) -> bool:
    """Whether DVC was told to do without git (`dvc init --no-scm`)."""
    config = next((place / ".dvc/config" for place in places if (place / ".dvc/config").is_file()), None)
    return config is not None and "no_scm = true" in config.read_text(encoding="utf-8").lower()


def _said_by_git() -> str:
    try:
        words = {**os.environ, "LC_ALL": "C"}
        return subprocess.run(
            ["git", "rev-parse", "--git-dir"], capture_output=True, text=True, check=False, env=words
        ).stderr
    except OSError:  # without git, DVC's own message follows
        return ""


def add_data(say: Callable[[str], None] = print) -> None:
    """Record the images, with the side table beside them, as this project's data version. Raises VersionsError."""
    if not RAW.is_dir():
        raise VersionsError(
            f"{RAW} is missing: there are no images to learn from. Run `nightshift data import FOLDER`, "
            "or `nightshift data demo`."
        )
    require_repository()
    _dvc("add", str(RAW), say=say)


def reproduce(stage: str, say: Callable[[str], None] = print) -> None:
    """Run `stage` if anything it depends on has changed; every line it prints goes to `say`. Raises VersionsError."""
    follow_package()
    _dvc("repro", "--single-item", stage, say=say)


def reproduce_up_to(stage: str, say: Callable[[str], None] = print) -> None:
    """Run `stage` and what it needs, as far as anything has changed. Raises VersionsError."""
    follow_package()
    _dvc("repro", stage, say=say)


def images_changed() -> bool:
    """Whether data/raw differs from what the stage `validate` last saw; no where there are none. Raises VersionsError.

    Changed code and parameters do not count: the next training handles them.
    """
    if not RAW.is_dir():
        return False
    said: list[str] = []
    run_python("-m", "dvc", "status", "validate", "--json", say=said.append)
    found = json.loads(next(line for line in reversed(said) if line.startswith("{")))
    return any(str(RAW) in changed.get("changed deps", {}) for changed in found.get("validate", []))


def git_commit() -> str:
    """The commit checked out here, with `-dirty` when files differ from it; empty outside a repository."""
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return ""
    return answer.stdout.strip()


def locked_hashes() -> dict[str, str]:
    """Hash of every dependency and output of the last run of the stages, by path, from `dvc.lock`."""
    lock = Path("dvc.lock")
    if not lock.is_file():
        return {}
    locked = yaml.safe_load(lock.read_text(encoding="utf-8"))["stages"].values()
    entries = [entry for stage in locked for kind in ("deps", "outs") for entry in stage.get(kind, [])]
    return {entry["path"]: entry["md5"] for entry in entries if "md5" in entry}


def is_evaluated(model: Path) -> bool:
    """Whether the stage `evaluate` last ran on what the stage `train` last made in `model`, by `dvc.lock`."""
    lock = Path("dvc.lock")
    if not lock.is_file():
        return True
    stages = yaml.safe_load(lock.read_text(encoding="utf-8"))["stages"]

    def locked(stage: str, kind: str) -> str | None:
        entries = stages.get(stage, {}).get(kind, [])
        return next((entry["md5"] for entry in entries if entry["path"] == str(model)), None)

    return locked("train", "outs") == locked("evaluate", "deps")


def run_python(*words: str, say: Callable[[str], None], bars: bool = False) -> None:
    """Run this Python with `words`, line by line; `bars`: with DVC's progress bars too. Raises VersionsError."""
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONUNBUFFERED": "1",
        "TQDM_MININTERVAL": str(PROGRESS_SECONDS),
    }
    if bars:
        environment["DVC_IGNORE_ISATTY"] = "1"
    said: list[str] = []
    with subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        env=environment,
    ) as process:  # fmt: skip
        for line in process.stdout or ():  # text mode ends lines at \r too, so each step of a progress bar is one
            if line.strip():
                said.append(line.rstrip())
                say(said[-1])
    if process.returncode:
        last = "\n".join(said[-20:])
        command = " ".join(words).removeprefix("-m ")
        raise VersionsError(f"`{command}` failed (exit status {process.returncode}):\n{last}")


def _dvc(*words: str, say: Callable[[str], None]) -> None:
    run_python("-m", "dvc", *words, say=say)
