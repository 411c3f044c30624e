"""A user's mistake is one message and a status, told before a server is started or a large library imported."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.images import save_image
from tests.fixtures.project import REPOSITORY, environment, nightshift

DEAD = "http://127.0.0.1:9"
BY_MISTAKE = {
    "no champion": ("No version of nightshift is @champion in MLflow. Run `nightshift train`", {}),
    "no folder": ("nowhere does not exist; it must be a folder of images", {}),
    "a file": ("photos/0.png is a file; it must be a folder of images", {}),
    "an output that is a file": ("photos/0.png must be a folder", {}),
    "a dead store": (f"The MLflow store {DEAD} failed: ", {"MLFLOW_TRACKING_URI": DEAD}),
}
WORDS = {
    "no folder": ("nowhere", "out"),
    "a file": ("photos/0.png", "out"),
    "an output that is a file": ("photos", "photos/0.png"),
}
LIGHT = """
import sys
from flows.cli.main import main
sys.argv = ["nightshift", *sys.argv[1:]]
try:
    main()
finally:
    print(*sorted({"tensorflow", "keras", "mlflow", "prefect", "dvc"} & set(sys.modules)))
"""


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A project without a model, with photos."""
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    save_image(tmp_path / "photos/0.png")
    return tmp_path


@pytest.mark.parametrize("what", BY_MISTAKE)
def test_a_night_that_cannot_be_says_why_in_one_message(empty: Path, what: str) -> None:
    message, env = BY_MISTAKE[what]
    words = ("classify", *WORDS.get(what, ("photos", "out")), "--no-prefect")
    done = nightshift(*words, cwd=empty, check=False, in_process=True, **env)
    assert done.returncode == 1
    (said,) = [line for line in done.stderr.splitlines() if not line.startswith("Log: ")]
    assert said.startswith("Error: ")
    assert message in said
    assert done.stdout == ""
    assert not (empty / "mlflow.db").exists()
    assert not (empty / "out").exists()


@pytest.mark.parametrize("words", [("classify", ""), ("tag", "latest", "--into", ""), ("data", "import", "")], ids=str)
def test_an_empty_word_does_not_mean_this_folder(empty: Path, words: tuple[str, ...]) -> None:
    done = nightshift(*words, cwd=empty, check=False, in_process=True)
    assert done.returncode == 1
    assert done.stderr == (
        f"Error: `nightshift {' '.join(words[:-1])} ''` has an empty word, such as a variable that is not set in the "
        "shell. Give a folder, a file or another value there, or omit it; `.` is the folder you are in.\n"
    )
    assert {file.name for file in empty.iterdir()} <= {".nightshift", "params.yaml", "photos"}


@pytest.mark.parametrize("command", ["train", "tune", "data check", "classify photos out"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("seed: 7", "seed: -1"), "params.yaml: seed is -1; it must be greater than or equal to 0."),
        (("seed: 7", "seed: ["), "params.yaml is not valid YAML"),
        ((None, ""), "params.yaml is empty; it must hold sections such as `images:`"),
    ],
    ids=["a wrong value", "broken YAML", "empty"],
)
def test_wrong_parameters_stop_every_command_at_once(
    empty: Path, command: str, change: tuple[str | None, str], message: str
) -> None:
    text = (empty / "params.yaml").read_text()
    (empty / "params.yaml").write_text(text.replace(change[0], change[1], 1) if change[0] else change[1])
    flow = ["--no-prefect"] if command.startswith(("train", "classify")) else []
    done = nightshift(*command.split(), *flow, cwd=empty, check=False, in_process=True)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: {message}")
    assert not re.search("Traceback|Log: ", done.stderr)
    assert not (empty / "data").exists()


def test_with_prefect_too_it_comes_before_anything_large_is_imported(empty: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, "classify", "photos", "out", "--prefect"], cwd=empty, text=True,
        capture_output=True, check=False, env=environment(PYTHONPATH=str(REPOSITORY)),
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "\n")
    assert done.stderr == f"Error: {BY_MISTAKE['no champion'][0]}: the first version that passes the gate becomes it.\n"
