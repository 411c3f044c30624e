"""The search, on a small project: judged on validation, resumable, its winner in params.yaml, every trial in MLflow."""

import gc
import os
import re
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
import yaml

from pipeline.core.errors import NightshiftError
from pipeline.core.paths import CURVES, PARAMS, SEARCHES
from pipeline.params.file import load_params
from pipeline.search.run import Attempt, Found, run_search, write_winner
from pipeline.search.space import value_of
from pipeline.search.study import plan
from tests.fixtures.forked import forking
from tests.fixtures.project import NIGHTSHIFT, change_params, copy_of, dvc, nightshift, run
from tests.fixtures.searches import trials_in

RANGES = {
    "train.head.learning_rate": {"low": 0.0001, "high": 0.3, "log": True},
    "train.head.dropout": {"low": 0.0, "high": 0.5},
}


@pytest.fixture(scope="module")
def small(untouched: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained project with ranges for heads; tests leave it as it is."""
    gc.collect()
    gc.freeze()  # each trial looks for garbage, and need not look among what other tests have left
    copy = copy_of(untouched, tmp_path_factory.mktemp("small") / "project")
    set_ranges(copy, RANGES)
    return copy


@pytest.fixture
def project(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy = copy_of(small, tmp_path / "project")
    monkeypatch.chdir(copy)
    return copy


def set_ranges(project: Path, ranges: dict[str, Any]) -> None:
    change_params(project, {"tune": {"timeout": 0.0}})
    text = (project / PARAMS).read_text()
    start, end = text.index("  ranges:\n"), text.index("evaluate:\n")
    lines = "".join(f"    {name}: {yaml.safe_dump(of, default_flow_style=True)}" for name, of in ranges.items())
    (project / PARAMS).write_text(f"{text[:start]}  ranges:   # a comment\n{lines}{text[end:]}")


def runs_in(project: Path) -> pd.DataFrame:
    mlflow.set_tracking_uri(f"sqlite:///{project / 'mlflow.db'}")
    found = mlflow.search_runs(experiment_names=["nightshift-tune"])
    assert isinstance(found, pd.DataFrame)
    return found


@pytest.mark.slow
def test_a_search_compares_shows_writes_and_goes_on(project: Path) -> None:
    text = PARAMS.read_text()
    said = nightshift("tune", "--trials", "6", cwd=project).stdout
    trials = trials_in(project)
    assert len(trials) == 6
    # Trial 0 is what training gave with the same parameters.
    curves = pd.read_csv(CURVES)
    assert trials[0][1] == pytest.approx(curves.loc[curves.phase == "head", "val_loss"].min(), abs=2e-6)
    scores = [value for _, value, _ in trials if value is not None]
    best = min(scores)
    assert best < scores[0], "nothing better was found; the ranges are wide enough for it"
    assert f"val_loss {best:.4g}, against {scores[0]:.4g} with the present parameters" in said
    assert "6 trials were compared on the same" in said
    assert said.endswith("Next: nightshift train\n")
    # params.yaml: the best values, and not a character else.
    lines = zip(text.splitlines(), PARAMS.read_text().splitlines(), strict=True)
    changed = [(old, new) for old, new in lines if old != new]
    assert {new.split(":")[0].strip() for _, new in changed} <= {"learning_rate", "dropout"}
    told = re.findall(r"params\.yaml: (\S+): (\S+) -> (\S+)", said)
    assert len(told) == len(changed) > 0
    assert all(value_of(load_params(), name) == float(after) for name, _, after in told)

    runs = runs_in(project)
    parent = runs[runs["tags.mlflow.parentRunId"].isna()].iloc[0]
    children = runs[runs["tags.mlflow.parentRunId"] == parent.run_id]
    assert sorted(children["tags.nightshift.trial"].astype(int)) == list(range(6))
    assert set(children.status) <= {"FINISHED", "KILLED"}
    assert parent.status == "FINISHED"
    assert parent["metrics.best_val_loss"] == pytest.approx(best)
    assert parent["tags.nightshift.trials_compared"] == "6"
    assert "validation images" in parent["tags.mlflow.note.content"]
    client = mlflow.MlflowClient()
    assert {file.path for file in client.list_artifacts(parent.run_id)} >= {"search.png", "ranges.json"}
    first = children[children["tags.nightshift.trial"] == "0"].iloc[0]
    assert float(first["params.train.head.learning_rate"]) == 0.03
    history = client.get_metric_history(first.run_id, "val_loss")
    assert [point.value for point in history] == pytest.approx(curves.loc[curves.phase == "head", "val_loss"], abs=2e-6)

    # The same command: the winner is the present now, and one of the trials.
    again = nightshift("tune", "--trials", "6", cwd=project).stdout
    assert "No trial is better than the present parameters; params.yaml stays as it is." in again
    assert trials_in(project) == trials
    more = nightshift("tune", "--trials", "8", "--no-write", cwd=project).stdout
    assert more.startswith("\n") or "8 trials" in more
    assert trials_in(project)[:6] == trials
    assert len(trials_in(project)) == 8
    assert len(runs_in(project)) == 9


@pytest.mark.slow
def test_a_killed_search_goes_on_as_if_it_had_not_been(project: Path, tmp_path: Path) -> None:
    change_params(project, {"train": {"head": {"epochs": 15}}})
    undisturbed = copy_of(project, tmp_path / "undisturbed")
    for sent, wanted in [(signal.SIGINT, 1), (signal.SIGKILL, 3)]:
        with forking(str(NIGHTSHIFT), "tune", "--trials", "8", "--no-write", cwd=project, work="training") as process:
            give_up = time.monotonic() + 300
            while len(trials_in(project)) < wanted and process.poll() is None and time.monotonic() < give_up:
                time.sleep(0.05)
            time.sleep(0.3)  # in the middle of a trial
            os.kill(process.pid, sent)
            process.wait()
        assert process.returncode != 0
        assert wanted <= len(trials_in(project)) < 8
    ends = [nightshift("tune", "--trials", "8", "--no-write", cwd=folder).stdout for folder in (project, undisturbed)]
    assert trials_in(project) == trials_in(undisturbed)
    tables = [[line for line in end.splitlines() if re.match(r"\s+\d+ ", line)] for end in ends]
    assert tables[0] == tables[1] != []
    assert any(state == "PRUNED" for state, _, _ in trials_in(project)), "the ranges are wide enough for bad trials"
    runs = runs_in(project)
    assert sorted(runs["tags.nightshift.trial"].dropna().astype(int)) == list(range(8))
    assert not (runs.status == "RUNNING").any()


def test_a_store_that_does_not_answer_is_no_hindrance_and_catches_up(project: Path) -> None:
    dead = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    done = nightshift("tune", "--trials", "2", "--no-write", cwd=project, **dead)
    assert done.stderr.count("Could not record this search in MLflow; run it again to add what is missing") == 1
    assert len(trials_in(project)) == 2
    run_search(plan(load_params(), False), 2)
    assert sorted(runs_in(project)["tags.nightshift.trial"].dropna()) == ["0", "1"]


@pytest.mark.parametrize(
    ("changes", "ranges", "fine_tune", "phases"),
    [
        (
            {},
            {"train.fine_tune.learning_rate": {"low": 0.00001, "high": 0.01, "log": True}},
            True,
            {"head", "fine_tune"},
        ),
        (
            {"model": {"backbone": "cnn", "weights": "none"}, "train": {"scratch": {"epochs": 2}}},
            {"train.scratch.learning_rate": {"low": 0.00001, "high": 0.1, "log": True}},
            False,
            {"scratch"},
        ),
    ],
    ids=["whole trainings", "from scratch"],
)
def test_trials_may_be_whole_trainings(
    changes: dict[str, object], ranges: dict[str, Any], fine_tune: bool, phases: set[str], project: Path
) -> None:
    change_params(project, changes)
    set_ranges(project, ranges)
    params = load_params()
    found = run_search(plan(params, fine_tune), 2)
    assert [attempt.number for attempt in found.attempts] == [0, 1]
    assert found.present.score is not None
    runs = runs_in(project)
    (of_first,) = runs[runs["tags.nightshift.trial"] == "0"].run_id
    steps = [point.step for point in mlflow.MlflowClient().get_metric_history(of_first, "val_loss")]
    assert steps == list(range(1, len(steps) + 1))
    with sqlite3.connect(SEARCHES) as store:
        ((history,),) = store.execute(
            "SELECT value_json FROM trial_user_attributes a JOIN trials t ON t.trial_id = a.trial_id "
            "WHERE key = 'history' AND number = 0"
        )
    assert {phase for phase in ("head", "fine_tune", "scratch") if f'["{phase}"' in history} == phases


def test_a_loss_that_is_no_number_is_a_bad_trial_and_no_end(project: Path) -> None:
    """At this rate weights are multiplied by -9 in each of some 40 steps of an epoch."""
    change_params(
        project, {"train": {"head": {"learning_rate": 10.0, "weight_decay": 1.0, "batch_size": 1, "epochs": 3}}}
    )
    set_ranges(project, {"train.head.learning_rate": {"choices": [10.0, 0.001]}})
    found = run_search(plan(load_params(), False), 4)
    assert found.present.score is None
    assert found.winner is not None
    assert write_winner(found) == {"train.head.learning_rate": (10.0, 0.001)}
    assert load_params().train.head.learning_rate == 0.001


def found_of(best: float, now: float) -> Found:
    values = [{"train.head.learning_rate": 0.001, "train.head.dropout": 0.2}, {"train.head.dropout": 0.31}]
    attempts = (Attempt(0, values[0], now, 30), Attempt(1, values[0] | values[1], best, 30), Attempt(2, {}, None, 3))
    return Found(plan(load_params(), False), attempts, attempts[0])


@pytest.mark.parametrize(("best", "now", "written"), [(0.4, 0.5, 0.31), (0.5, 0.5, 0.2), (0.6, 0.5, 0.2)])
def test_params_yaml_is_changed_only_to_something_better(
    best: float, now: float, written: float, project: Path
) -> None:
    write_winner(found_of(best, now))
    assert load_params().train.head.dropout == written


def test_params_yaml_that_somebody_changed_meanwhile_is_left_alone(project: Path) -> None:
    found = found_of(0.4, 0.5)
    change_params(project, {"train": {"head": {"epochs": 31}}})
    text = PARAMS.read_text()
    with pytest.raises(NightshiftError, match=r"has changed while the search ran.*train\.head\.dropout: 0\.31"):
        write_winner(found)
    assert PARAMS.read_text() == text


def test_nonsense_ends_at_once_with_words(project: Path) -> None:
    set_ranges(project, {"train.head.dropuot": {"low": 0.0, "high": 0.5}})
    done = nightshift("tune", cwd=project, check=False)
    assert done.returncode == 1
    assert "did you mean train.head.dropout?" in done.stderr
    assert "Traceback" not in done.stderr
    change_params(project, {"train": {"fine_tune": {"steps": 0}}})
    set_ranges(project, RANGES)
    done = nightshift("tune", "--fine-tune", cwd=project, check=False)
    assert "there is no fine-tuning to search" in done.stderr


def test_dvc_experiments_set_the_same_parameters(project: Path) -> None:
    """`dvc exp run -S` is the other way to try values; here of a stage that takes a second."""
    run("git", "add", "--all", cwd=project)
    run("git", "commit", "--quiet", "--message", "trained", cwd=project)
    before = (project / "data/prepared/train.npy").read_bytes()
    tried = ("-S", "images.height=20", "--single-item", "preprocess")
    dvc("exp", "run", "--quiet", "--name", "lower", *tried, cwd=project)
    assert load_params().images.height == 20
    assert (project / "data/prepared/train.npy").read_bytes() != before
    shown = dvc("exp", "show", "--csv", cwd=project).stdout
    (row,) = [line for line in shown.splitlines() if "lower" in line]
    assert "20" in row.split(",")
