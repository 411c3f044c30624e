"""The project's DVC commands: version the data, run a stage of `dvc.yaml`, say which versions are here."""

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

from pipeline.core import log_file, terminal
from pipeline.core.disk_errors import disk_error
from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.core.paths import RAW
from pipeline.core.stage_code import follow_package
from pipeline.core.yaml_values import parsed

PROGRESS_SECONDS = 5  # between two lines of a progress bar that goes to a log


class VersionsError(NightshiftError):
    """A DVC or git command failed; the last lines of what it said."""


class StageError(VersionsError):
    """A stage failed; its own words."""


Tell = Callable[[terminal.Said], object]  # gets what a stage says


def stages() -> list[str]:
    """The training graph's stages, in the order of `dvc.yaml`. Raises VersionsError when it cannot be read."""
    return list(_stages_in(Path("dvc.yaml"), "names the stages of a training"))


def _stages_in(file: Path, what_it_does: str) -> dict[str, dict[str, list[dict[str, str]]]]:
    try:
        found = parsed(file.read_text(encoding="utf-8"))["stages"]
        if isinstance(found, dict):
            return found
        error: Exception = TypeError("its `stages` are not a mapping")
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as caught:
        error = caught
    what = "is missing" if isinstance(error, FileNotFoundError) else "is damaged"
    raise VersionsError(
        f"{file}, which {what_it_does}, {what} in {Path.cwd()} ({' '.join(str(error).split())}). Get it back: "
        f"`git checkout {file}`; in the middle of a merge `git checkout --ours {file}`."
    ) from error


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
        if Path("dvc.yaml").is_file():
            raise VersionsError(
                f"{here} has no folder .dvc, where DVC keeps its settings and its copies of the images. Nothing was "
                "written. Get it back: `git checkout .dvc`, or `dvc init`."
            )
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
    _locked_stages()  # if it is damaged, DVC's words name no remedy


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


def require_images() -> None:
    """Raise VersionsError when there are no images, or DVC could not version them."""
    if not RAW.is_dir():
        raise VersionsError(
            f"{RAW} is missing: there are no images to learn from. Run `nightshift data import FOLDER`, "
            "or `nightshift data demo`."
        )
    require_repository()


def add_data(tell: Tell = terminal.show) -> None:
    """Record the images, with the side table beside them, as this project's data version. Raises VersionsError."""
    require_images()
    with timed("images", tell):
        run_python("-m", "dvc", "add", str(RAW), say=log.debug)


def reproduce(stage: str, tell: Tell = terminal.show) -> None:
    """Run `stage` if anything it depends on has changed; `tell` gets what it says. Raises VersionsError."""
    _reproduce("--single-item", stage, tell=tell)


def reproduce_up_to(stage: str, tell: Tell = terminal.show) -> None:
    """Run `stage` and what it needs, as far as anything has changed. Raises VersionsError."""
    _reproduce(stage, tell=tell)


@contextmanager
def keeping(finished: Sequence[str]) -> Iterator[None]:
    """Let an error of ours that ends this block say which stages were finished before it."""
    try:
        yield
    except NightshiftError as error:
        if finished:
            which = "The finished stage" if len(finished) == 1 else "The finished stages"
            error.kept = f"{which} ({', '.join(finished)}), not to be run again. Nothing changes for nights."
        raise


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
    entries = [
        entry for stage in _locked_stages().values() for kind in ("deps", "outs") for entry in stage.get(kind, [])
    ]
    return {entry["path"]: entry["md5"] for entry in entries if "md5" in entry}


def is_evaluated(model: Path) -> bool:
    """Whether the stage `evaluate` last ran on what the stage `train` last made in `model`, by `dvc.lock`."""
    stages = _locked_stages()

    def locked(stage: str, kind: str) -> str | None:
        entries = stages.get(stage, {}).get(kind, [])
        return next((entry["md5"] for entry in entries if entry["path"] == str(model)), None)

    return locked("train", "outs") == locked("evaluate", "deps")


def _locked_stages() -> dict[str, dict[str, list[dict[str, str]]]]:
    """What `dvc.lock` says of each stage that has run."""
    lock = Path("dvc.lock")
    return _stages_in(lock, "says what the finished stages worked with") if lock.is_file() else {}


@contextmanager
def timed(what: str, tell: Tell = terminal.show) -> Iterator[None]:
    """Tell in one line how long this block took."""
    began = time.monotonic()
    yield
    tell(terminal.of_stage(what, duration(time.monotonic() - began)))


def duration(seconds: float) -> str:
    """A time as people say it."""
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{whole} s"


def run_python(*words: str, say: Callable[[str], object], bars: bool = False) -> None:
    """Run this Python with `words`, line by line; `bars`: with DVC's progress bars too. Raises VersionsError."""
    said: list[str] = []

    def hear(line: str) -> None:
        said.append(line)
        say(line)

    environment = {"DVC_IGNORE_ISATTY": "1"} if bars else {}
    if status := _run(words, environment, hear):
        last = "\n".join(said[-20:])
        if remedied := _remedied(last):
            raise VersionsError(remedied)
        command = " ".join(words).removeprefix("-m ")
        raise VersionsError(f"`{command}` failed (exit status {status}):\n{last}")


def _remedied(said: str) -> str:
    """DVC's words for another command at work or a disk's error, for a person, with what to do; else empty."""
    if busy := re.search(r"'(.+)' is busy, it is being blocked by:\n((?: +\(PID .+\n?)+)", said):
        who = "; ".join(line.strip() for line in busy[2].splitlines())
        return f"Another command is at work on {busy[1]}: {who}. Run the same command again when it has ended."
    if refused := re.search(r"\[Errno (\d+)\] [^:]+: '([^']+)'(?: -> '([^']+)')?", said):
        return str(disk_error(OSError(int(refused[1]), "", refused[3] or refused[2])) or "")
    return ""


def _run(words: Iterable[str], more: Mapping[str, str], hear: Callable[[str], None]) -> int:
    """Run this Python with `words` and `more` in its environment; returns the exit status."""
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONUNBUFFERED": "1",
        "TQDM_MININTERVAL": str(PROGRESS_SECONDS),
        **more,
    }
    with subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        env=environment,
    ) as process:  # fmt: skip
        for line in process.stdout or ():  # text mode ends lines at \r too, so each step of a progress bar is one
            if line.strip():
                hear(line.rstrip())
    return process.returncode


def _reproduce(*words: str, tell: Tell) -> None:
    follow_package()
    heard = _Stages(tell)
    status = _run(("-m", "dvc", "repro", *words), {**log_file.environment(), **terminal.environment()}, heard.hear)
    heard.end(failed=bool(status))
    if status:
        raise StageError(heard.why(words[-1]))


class _Stages:
    """Listens to `dvc repro`: tells what its stages say and how long each took; the rest is for the log file."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._stage, self._began = "", 0.0
        self._errors: list[str] = []
        self._said: list[str] = []

    def hear(self, line: str) -> None:
        if said := terminal.heard(line):
            if said.level >= logging.ERROR:
                self._errors.append(said.text)
            else:
                self._tell(said)
            return
        self._said.append(line)
        log.debug("%s", line)
        if begun := re.match(r"Running stage '(.+)':", line):
            self.end()
            self._stage, self._began = begun[1], time.monotonic()
        elif same := re.match(r"Stage '(.+)' didn't change, skipping", line):
            self.end()
            self._tell(terminal.of_stage(same[1], "unchanged"))

    def end(self, failed: bool = False) -> None:
        """The stage at work has ended."""
        if self._stage:
            took = duration(time.monotonic() - self._began)
            self._tell(terminal.of_stage(self._stage, f"failed after {took}" if failed else took))
        self._stage = "" if not failed else self._stage

    def why(self, asked: str) -> str:
        """Why it failed, for a person."""
        if self._errors:
            return "\n".join(self._errors)
        last = "\n".join(self._said[-20:])
        stage = self._stage or asked
        if killed := re.search(r"exited with -(\d+)", last):
            name = signal.Signals(int(killed[1])).name
            why = " The system usually does that when memory runs out." if name == "SIGKILL" else ""
            return f"The stage {stage} was killed ({name}).{why} Run the same command again to go on."
        if remedied := _remedied(last):
            return remedied
        if stopped := re.findall(r"^ERROR: (.+)", last, re.MULTILINE):
            return f"The stage {stage} failed. DVC says: {stopped[0]}"
        return f"The stage {stage} failed. Its last lines:\n{last}"
