"""The tags that MLflow gives every run of its own accord: who, by which program. Knows no store."""

import getpass
import math
import os
import re
import subprocess
import sys
from pathlib import Path

from pipeline.registry.direct import CREDENTIALS, NewRun, Unanswered, require_no_passwords

KEY = re.compile(r"[\w.\- ]{1,250}")  # narrower than MLflow's own rule for names
LONGEST_TAG, LONGEST_PARAM = 5000, 500  # characters; MLflow cuts or refuses what is a good deal longer
LONGEST_NAME = 250  # of a run
MOST_PARAMS, MOST = 100, 1000  # in one request: params, and all together; MLflow's client sends several


def surroundings(name: str) -> dict[str, str]:
    """The tags of a run by this program. Raises Unanswered where MLflow would add those of a git repository."""
    require_no_passwords()  # the file names the user, too
    program = sys.argv[0] if sys.argv else ""
    if program and _is_in_git(Path(os.path.abspath(program))):  # noqa: PTH100 - without `..`, as MLflow does
        raise Unanswered(f"{program} is in a git repository")
    return {
        "mlflow.user": os.environ.get(CREDENTIALS[0]) or getpass.getuser(),
        "mlflow.source.name": program or "<console>",
        "mlflow.source.type": "LOCAL",
        "mlflow.runName": name,
    }


def _is_in_git(program: Path) -> bool:
    """Whether the program's folder is in a git repository that does not ignore it."""
    if not program.exists():
        return False
    folder = program.parent if program.is_file() else program
    if not any((parent / ".git").exists() for parent in (folder, *folder.parents)):
        return False
    try:
        return subprocess.run(["git", "check-ignore", "-q", str(folder)], cwd=folder, check=False).returncode != 0
    except OSError:
        return True


def require_plain(run: NewRun) -> None:
    """Raise Unanswered for what MLflow may cut, refuse or store in a way of its own."""
    texts = [(run.tags, LONGEST_TAG), (run.params, LONGEST_PARAM)]
    if any(len(value) > most for pairs, most in texts for value in pairs.values()):
        raise Unanswered("a value is long")
    if len(run.params) > MOST_PARAMS or len(run.params) + len(run.metrics) > MOST:
        raise Unanswered("it has many values")
    if not all(KEY.fullmatch(key) for pairs in (run.tags, run.params, run.metrics) for key in pairs):
        raise Unanswered("a name has unusual letters")
    if not all(math.isfinite(value) for value in run.metrics.values()):
        raise Unanswered("a metric is not a number")
    if not all(_is_utf8(value) for value in (run.name, *run.tags.values(), *run.params.values())):
        raise Unanswered("a value is not valid Unicode")
    if not run.name or len(run.name) > LONGEST_NAME:
        raise Unanswered("the run has no name, or a long one")


def _is_utf8(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
