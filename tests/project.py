"""A whole small project, trained once for all tests that need one: real DVC, real MLflow, a real Prefect flow run."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import yaml
from PIL import Image, ImageDraw

from pipeline.night.rows import read_rows
from tests.conftest import REPOSITORY

CLASSES = ("circle", "square")
PER_CLASS = 30
NIGHTSHIFT = Path(sys.executable).with_name("nightshift")
SMALL = {
    "images": {"width": 64, "height": 64},
    "train": {"head": {"epochs": 30}, "fine_tune": {"epochs": 1}},
    "evaluate": {"resamples": 200},
    "register": {
        "gate": {
            "min_accuracy": 0.5,
            "min_balanced_accuracy": 0.5,
            "max_expected_calibration_error": 0.5,  # of ten test images, and so for the next two
            "min_compared_images": 4,
            "max_slowdown": 10.0,
        }
    },
    "batch": {"shard_size": 3, "batch_size": 4},
}


def draw_shape(file: Path, label: str, seed: int) -> None:
    """A grey shape of random size and place on noise: easy to tell apart, and no two alike."""
    rng = np.random.default_rng(seed)
    image = Image.fromarray(rng.integers(0, 90, (70, 80, 3), np.uint8))
    left, top, side = rng.integers(5, 25), rng.integers(5, 20), rng.integers(25, 40)
    draw = getattr(ImageDraw.Draw(image), "ellipse" if label == "circle" else "rectangle")
    draw((left, top, left + side, top + side), fill=(200, int(rng.integers(120, 220)), 180))
    file.parent.mkdir(parents=True, exist_ok=True)
    image.save(file)


def change_params(project: Path, changes: dict[str, object]) -> None:
    """Change values deep in params.yaml."""

    def merge(into: dict[str, object], new: dict[str, object]) -> None:
        for key, value in new.items():
            if isinstance(value, dict):
                merge(into[key], value)  # type: ignore[arg-type]
            else:
                assert key in into
                into[key] = value

    file = project / "params.yaml"
    values = yaml.safe_load(file.read_text())
    merge(values, changes)
    file.write_text(yaml.safe_dump(values, sort_keys=False))


def new_project(folder: Path) -> Path:
    """A clone's worth of files, images of two shapes, git and DVC; nothing has run."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("pipeline", "flows"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", "params.yaml", ".gitignore", "data/.gitignore", "models/.gitignore", "reports/.gitignore"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, folder / name)
    change_params(folder, SMALL)
    for label in CLASSES:
        for number in range(PER_CLASS):
            draw_shape(folder / "data" / "raw" / label / f"{number:03d}.png", label, seed=1000 * len(label) + number)
    run("git", "init", "--quiet", cwd=folder)
    run("git", "config", "user.name", "test", cwd=folder)
    run("git", "config", "user.email", "test@localhost", cwd=folder)
    dvc("init", "--quiet", cwd=folder)
    dvc("config", "core.analytics", "false", cwd=folder)
    run("git", "add", "--all", cwd=folder)
    run("git", "commit", "--quiet", "--message", "start", cwd=folder)
    return folder


DATA_ONLY = """
stages:
  preprocess:
    cmd:
      - cp data/raw/metadata.csv data/splits.json
      - mkdir -p reports
      - wc -l < data/raw/metadata.csv > reports/validation.json
    deps: [data/raw]
    params: [seed]
    outs: [data/splits.json]
    metrics: [reports/validation.json: {cache: false}]
"""


def new_data_project(folder: Path) -> Path:
    """git, DVC and one stage that needs no training; tag `first` has three cats and two dogs, `second` other images."""
    for name in ("params.yaml", ".gitignore"):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, folder / name)
    (folder / "dvc.yaml").write_text(DATA_ONLY)
    for words in (["init", "--quiet"], ["config", "user.name", "test"], ["config", "user.email", "test@localhost"]):
        run("git", *words, cwd=folder)
    dvc("init", "--quiet", cwd=folder)
    (folder / ".dvc/config").write_text("[core]\nanalytics = false\n")
    raw = folder / "data/raw"
    for path in ("cat/1.jpg", "cat/2.jpg", "cat/3.jpg", "dog/1.jpg", "dog/2.jpg"):
        (raw / path).parent.mkdir(parents=True, exist_ok=True)
        (raw / path).write_text(f"the bytes of {path}")
    (raw / "metadata.csv").write_text("path,group\ncat/1.jpg,a\ndog/1.jpg,b\n")
    commit_data(folder, "first")
    (raw / "cat/1.jpg").rename(raw / "dog/9.jpg")
    (raw / "cat/2.jpg").write_text("a better photograph")
    (raw / "bird").mkdir()
    (raw / "bird/1.jpg").write_text("the first bird")
    (raw / "metadata.csv").write_text("path,group,split\nbird/1.jpg,c,test\ndog/1.jpg,a,\n")
    change_params(folder, {"seed": 2})
    commit_data(folder, "second")
    return folder


def commit_data(project: Path, tag: str) -> None:
    """What a person does after a change of the images: record, reproduce, commit."""
    dvc("add", "--quiet", "data/raw", cwd=project)
    dvc("repro", "--quiet", cwd=project)
    run("git", "add", "--all", cwd=project)
    run("git", "commit", "--quiet", "--message", tag, cwd=project)
    run("git", "tag", tag, cwd=project)


Rows = list[dict[str, str]]


def undated(rows: Iterable[dict[str, str]]) -> Rows:
    """Rows but for when their run was planned, so that two runs can be compared."""
    return [{**row, "classified_at": ""} for row in rows]


def rows_of(output: Path) -> Rows:
    """A night's rows, undated."""
    return undated(read_rows(output / "predictions.csv"))


def environment(**more: str) -> dict[str, str]:
    """This environment's commands first, and no tracking server of the machine's."""
    path = os.pathsep.join([str(NIGHTSHIFT.parent), os.environ["PATH"]])
    kept = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    return {**kept, "PATH": path, **more}


def run(*words: str, cwd: Path, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
    """A command in the project; its output as text."""
    done = subprocess.run(words, cwd=cwd, env=environment(**env), text=True, capture_output=True, check=False)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done


def dvc(*words: str, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """A DVC command in the project."""
    return run(sys.executable, "-m", "dvc", *words, cwd=cwd, check=check)


def nightshift(*words: str, cwd: Path, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
    """A `nightshift` command in the project."""
    return run(str(NIGHTSHIFT), *words, cwd=cwd, check=check, **env)


def run_stage(stage: str, project: Path) -> str:
    """Run one stage as DVC would; what it says."""
    done = run(sys.executable, "-m", f"pipeline.{stage}", cwd=project)
    return done.stdout + done.stderr


OTHER_MODEL = """
import json, sys
import numpy as np
import keras
from pathlib import Path
from pipeline.model.contract import KERAS, OPENVINO, read_contract, weights_sha256, write_contract
from pipeline.storage.files import sha256_of_file
from pipeline.model.export import export_openvino
from pipeline.core.paths import MODEL

contract = read_contract(MODEL)
model = keras.saving.load_model(MODEL / KERAS, compile=False)
*_, bias = model.layers[-1].weights
bias.assign(np.array(json.loads(sys.argv[1]), np.float32))
model.save(MODEL / KERAS)
export_openvino(model, MODEL / OPENVINO)
hashes = {"weights_sha256": weights_sha256(MODEL), "keras_sha256": sha256_of_file(MODEL / KERAS)}
write_contract(MODEL, contract.model_copy(update=hashes))
"""


def change_bias(project: Path, bias: list[float]) -> None:
    """Make the current model another one, without training: this bias in its last layer; then evaluate it."""
    run(sys.executable, "-c", OTHER_MODEL, str(bias), cwd=project)
    run_stage("evaluate", project)


def change_contract(project: Path, **changes: object) -> None:
    """Make the current model another one that gives the same answers: other words in its contract."""
    file = project / "models/current/contract.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
