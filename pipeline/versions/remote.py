"""Data versions to and from the project's DVC remote, a folder or an S3 bucket, and what its failures mean."""

import logging
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dvc.logger import setup

from pipeline.core import terminal
from pipeline.core.paths import FROZEN_SPLITS, RAW
from pipeline.versions import dvc, snapshots
from pipeline.versions.dvc import VersionsError

TRANSFER = r"(Pushing|Fetching): [\d.]+k?/"  # how `progress` begins
BELONGING = (RAW, FROZEN_SPLITS)  # what `pull` brings

NO_REMOTE = (
    "This project has no default DVC remote. Add a folder or a bucket: `dvc remote add --default storage "
    "/mnt/storage/nightshift`, or `dvc remote add --default storage s3://bucket/nightshift`."
)


@dataclass(frozen=True, slots=True)
class Remote:
    """The project's default DVC remote."""

    name: str
    address: str

    def __str__(self) -> str:
        """As it stands in a sentence."""
        return f"the remote {self.name} ({self.address})"


def default_remote() -> Remote | None:
    """The default remote of the DVC configuration, if there is one. Raises VersionsError."""
    config = snapshots.settings()
    name = config["core"].get("remote")
    return Remote(name, str(config["remote"].get(name, {}).get("url", "no address"))) if name else None


def push(say: Callable[[str], None] = print) -> bool:
    """Send data and outputs to the default remote, if there is one; says whether. Raises VersionsError."""
    if not (remote := default_remote()):
        return False
    _run(["-m", "dvc", "push"], remote, say)
    return True


def as_said(line: str) -> terminal.Said:
    """A line that `push` gives, for a person who trains: a transfer that goes on is a progress bar."""
    if re.match(TRANSFER, line):
        return terminal.Said(logging.NOTSET, line)
    return terminal.of_stage("push", line)


def show(line: str) -> None:
    """Show a line that `push` gives."""
    terminal.show(as_said(line))


def pull(say: Callable[[str], None] = print, *, force: bool = False) -> None:
    """Fetch the images and what belongs to them from the default remote, and lay them out in the working folder.

    Nothing is touched before everything is fetched, and no file that DVC has no copy of is overwritten, unless
    `force`. Raises VersionsError.
    """
    remote = _required()
    targets = [str(RAW)] if Path(f"{RAW}.dvc").is_file() else []
    targets += [str(FROZEN_SPLITS)] if str(FROZEN_SPLITS) in dvc.locked_hashes() else []
    if not targets:
        raise VersionsError(
            f"There is nothing to pull: {RAW}.dvc, which names the data version, is not in {Path.cwd()}. Change to "
            "the folder of your Nightshift project, or get its latest commit with `git pull`."
        )
    _fetch(["-m", "dvc", "fetch", *targets], remote, say)
    _run(["-m", "dvc", "checkout", *(["--force"] if force else []), *targets], remote, say)


def fetch_revision(revision: str, say: Callable[[str], None] = print) -> None:
    """Fetch the images of a git revision into the local cache; the working folder stays as it is.

    Then they can be compared, and gone back to. Raises VersionsError.
    """
    remote = _required()
    with snapshots.opened() as repo:
        commit = snapshots.resolve(repo, revision)
        with repo.switch(commit):
            targets = [str(path) for path in BELONGING if snapshots.output(repo, path)]
    if not targets:
        raise VersionsError(f"{revision} has no version of {RAW}: it holds no {RAW}.dvc. Choose a later revision.")
    _fetch(
        ["-m", "pipeline.versions.remote", commit, *targets], remote, say
    )  # no command of DVC's fetches one revision


def _required() -> Remote:
    if not (remote := default_remote()):
        raise VersionsError(NO_REMOTE)
    return remote


def _fetch(words: list[str], remote: Remote, say: Callable[[str], None]) -> None:
    """Fetch, or raise where something is missing: DVC fails at the checkout only, and then empties the folder."""
    missing = [line for line in _run(words, remote, say) if re.fullmatch(r"md5: [0-9a-f]{32}(\.dir)?", line)]
    if missing:
        raise VersionsError(
            f"{len(missing)} files, or lists of files, of this data version are neither in the local cache nor in "
            f"{remote}; nothing was changed here. Ask whoever made the version for a `nightshift data push`."
        )


def _run(words: list[str], remote: Remote, say: Callable[[str], None]) -> list[str]:
    """Run a command that speaks with the remote; returns what it said. Raises VersionsError with what to do."""
    said: list[str] = []

    def hear(line: str) -> None:
        line = re.sub(r"\x1b\[[\d;]*[A-Za-z]", "", line).strip()  # DVC moves the cursor between its bars
        said.append(line)
        if (shown := progress(line)) is not None:
            say(shown)

    try:
        dvc.run_python(*words, say=hear, bars=True)
    except VersionsError as error:
        raise VersionsError(explain("\n".join(said), remote) or str(error)) from None
    return said


def progress(line: str) -> str | None:
    """A line of DVC's as a person follows it: the whole transfer's bar in short; None for all other bars and noise."""
    if bar := re.search(r"\|(Pushing|Fetching) (?:to|from) .*? +([\d.]+k?/[\d.]+k?) \[", line):
        return f"{bar[1]}: {bar[2]} files"
    is_bar = re.search(r"\[\d\d:\d\d.*/s\]$", line) or line in ("", "!", "Pushing", "Fetching")
    return None if is_bar or line.startswith(("ERROR:", "WARNING:", "md5: ", "Having any troubles?")) else line


# What DVC and its S3 client say -> what happened and what to do. The first that is found counts.
FAILURES = (
    (
        r"requires 'dvc-s3'|No module named '?(dvc_s3|s3fs)",
        "{remote} is an S3 bucket, which needs one more package: `pip install 'nightshift[s3]'`.",
    ),
    (
        r"[Bb]ucket does not exist|NoSuchBucket",
        "The bucket of {remote} does not exist. Create it, or correct the address: "
        "`dvc remote modify {remote.name} url s3://bucket/folder`.",
    ),
    (
        r"Unable to locate credentials|Partial credentials",
        "There are no credentials for {remote}. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or keep them out of "
        "git with `dvc remote modify --local {remote.name} access_key_id …` and `… secret_access_key …`.",
    ),
    (
        r"\(403\)|Forbidden|Access ?Denied|InvalidAccessKeyId|Access Key Id|SignatureDoesNotMatch|ExpiredToken",
        "{remote} refuses these credentials. Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or `dvc remote modify "
        "--local {remote.name} access_key_id …`, and that they may read and write this bucket.",
    ),
    (
        r"Could not connect|[Cc]onnect(ion)? timeout|timed out|Connection refused|Name or service not known"
        r"|Temporary failure in name resolution|Network is unreachable",
        "{remote} does not answer. Check the network and the server's address: "
        "`dvc remote modify {remote.name} endpointurl https://…`.",
    ),
    (
        r"unsaved files without confirmation",
        "Files here differ from the data version, and DVC has no copy of them, so they are left alone. Keep them: "
        f"`dvc add {RAW}` makes them a version of their own. Or give them up: `nightshift data pull --force`.",
    ),
    (
        r"Not a directory|Permission denied|Read-only file system|No space left",
        "{remote} cannot be used. Check the folder, its permissions and its free space, or choose another: "
        "`dvc remote modify {remote.name} url /another/folder`.",
    ),
)


def explain(said: str, remote: Remote) -> str:
    """What a failed command of DVC's means for a person, with DVC's own words; empty when it is none of the known."""
    for pattern, meaning in FAILURES:
        if re.search(pattern, said):
            errors = [line for line in said.splitlines() if re.search(pattern, line)]
            unsaved = said.partition("without confirmation")[2].splitlines()[1:6]
            text = meaning.format(remote=remote)
            return "\n".join([text[0].upper() + text[1:], f"DVC says: {errors[0].strip()}", *unsaved])
    return ""


def main() -> None:
    """Fetch the targets of a commit, in a process of its own, so that what DVC says can be read."""
    setup()
    commit, *targets = sys.argv[1:]
    with snapshots.opened() as repo:
        repo.fetch(targets, revs=[commit], workspace=False)


if __name__ == "__main__":
    main()
