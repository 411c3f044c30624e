"""A training that is killed at any moment resumes, and ends with the same bits as one that was never interrupted."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from mlflow import MlflowClient

from tests.fixtures.forked import forking, run
from tests.fixtures.project import change_params, stage

TRAIN = ("-m", "pipeline.train")
RECIPE = {
    "train": {
        "label_smoothing": 0.1,
        "head": {"epochs": 20},
        "fine_tune": {"steps": 24, "patience": 10, "batch_size": 16, "ema": 0.9, "layer_decay": 0.3, "clip_norm": 1.0},
    },
    "augment": {"rotation": 0.1, "mix_up": 0.2},
}


def results(project: Path) -> dict[str, Any]:
    contract = json.loads((project / "models/current/contract.json").read_text())
    del contract["keras_sha256"]  # Keras writes the time into its file; `weights_sha256` is of the same weights
    files = ("reports/training.json", "reports/curves.csv")
    return {"contract": contract} | {file: (project / file).read_text() for file in files}


def written(project: Path, phase: str) -> float:
    """When the last snapshot of `phase` was written; 0 without one."""
    return max((file.stat().st_mtime for file in project.glob(f"models/checkpoints/*/{phase}.npz")), default=0.0)


def kill_after_next(project: Path, phase: str, seconds: float) -> bool:
    """Start the stage and kill it some time after its next snapshot of `phase`; False where it was done before."""
    before = written(project, phase)
    with forking(*TRAIN, cwd=project, work="training") as process:
        while process.poll() is None and written(project, phase) <= before:
            time.sleep(0.02)
        time.sleep(seconds)
        killed = process.poll() is None
        process.kill()
    return killed


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_training_killed_in_each_phase_ends_as_an_undisturbed_one(project: Path) -> None:
    change_params(project, RECIPE)
    run(*TRAIN, cwd=project, work="training")  # names in its files count what a process built before
    undisturbed = results(project)
    assert list(project.glob("models/checkpoints/*/")) == []
    for file in ("models/current", "reports/curves.png"):
        shutil.rmtree(project / file, ignore_errors=True)
    store = MlflowClient(f"sqlite:///{project}/mlflow.db")
    experiments = [found.experiment_id for found in store.search_experiments()]
    runs_before = {found.info.run_id for found in store.search_runs(experiments)}

    chance = np.random.default_rng(11)
    killed = [
        kill_after_next(project, phase, chance.uniform(0, longest))
        for phase, longest in (("head", 0.1), ("fine_tune", 0.1))
    ]
    assert killed == [True] * 2
    said = run(*TRAIN, cwd=project, work="training")
    assert "Fine-tuning resumes after step" in said.stderr
    assert results(project) == undisturbed
    assert list(project.glob("models/checkpoints/*/")) == []

    runs = [found for found in store.search_runs(experiments) if found.info.run_id not in runs_before]
    finished = [found for found in runs if found.info.status == "FINISHED"]
    assert [found.info.status for found in runs if found not in finished] in ([], ["KILLED"])
    [one] = finished
    steps = [metric.step for metric in store.get_metric_history(one.info.run_id, "val_loss")]
    assert sorted(steps) == list(range(1, len(undisturbed["reports/curves.csv"].splitlines())))


def test_two_trainings_in_one_project_do_not_mix(project: Path) -> None:
    before = results(project)
    folder = project / "models/checkpoints"
    folder.mkdir(exist_ok=True)
    with FileLock(folder / "lock"):
        done = stage("train", project, check=False)
    assert done.returncode == 1
    assert "A training is already running in" in done.stderr
    assert "Traceback" not in done.stderr
    assert results(project) == before
