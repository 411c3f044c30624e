"""Automatic training on a small project: networks, heads, fine-tuning; resuming; the winner in params.yaml; a page."""

import gc
import json
import re
import shutil
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest

from pipeline.core.errors import NightshiftError
from pipeline.core.paths import AUTO, AUTO_REPORT, PARAMS, PREPARED, RAW, SEARCHES
from pipeline.data.prepared import read_split
from pipeline.data.split_units import unit_numbers
from pipeline.params.file import load_params
from pipeline.search.auto import auto_key, run_auto, take
from pipeline.search.auto_result import AutoResult
from pipeline.search.auto_trials import Trials
from pipeline.search.averages import average_best
from pipeline.search.candidates import ENSEMBLE, FLIPS, RATE, STEPS, heads
from pipeline.search.embedded import gallery
from pipeline.search.judging import judge
from pipeline.search.space import value_of, with_values
from pipeline.search.study import HISTORY, finished, stored_study
from pipeline.search.written import write_values
from pipeline.training.choice import difference
from tests.fixtures import forked
from tests.fixtures.project import BACKBONE, change_params, copy_of, nightshift
from tests.fixtures.searches import trials_in

NETWORKS = [{"backbone": "keras_file", "weights": BACKBONE, "size": side} for side in (32, 24)]
MINUTES = 10.0  # more than it takes
# Two candidates of fine-tuning instead of sixteen: two short trainings, one whole.
RUN = (
    "from pipeline.params.file import load_params; from pipeline.search import auto, candidates; candidates.MOST = 2; "
    f"auto.run_auto(load_params(), {MINUTES})"
)


@pytest.fixture(scope="module")
def start(untouched: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained project, with two networks to try; tests leave it as it is."""
    gc.collect()
    gc.freeze()  # each trial looks for garbage, and need not look among what other tests have left
    copy = copy_of(untouched, tmp_path_factory.mktemp("auto") / "project")
    change_params(copy, {"tune": {"backbones": NETWORKS}, "train": {"head": {"epochs": 4}, "fine_tune": {"steps": 4}}})
    return copy


@pytest.fixture(scope="module")
def searched(start: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, AutoResult]:
    """The same after a search, during which there were no test images; before it there was no MLflow store."""
    project = shutil.copytree(start, tmp_path_factory.mktemp("searched") / "project", symlinks=True)
    (project / "mlflow.db").unlink()
    shutil.rmtree(project / "mlartifacts")
    away = tmp_path_factory.mktemp("away")
    test = pd.read_parquet(project / PREPARED / "test.parquet")
    hidden = [PREPARED / "test.parquet", PREPARED / "test.npy", *(RAW / path for path in test["path"])]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr("pipeline.search.candidates.MOST", 2)
        for number, file in enumerate(hidden):
            shutil.move(file, away / str(number))
        found = run_auto(load_params(), MINUTES)
        for number, file in enumerate(hidden):
            shutil.move(away / str(number), file)
    return project, found


@pytest.fixture
def project(searched: tuple[Path, AutoResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, for a test to change, as the current folder."""
    copy = shutil.copytree(searched[0], tmp_path / "project", symlinks=True)
    monkeypatch.chdir(copy)
    monkeypatch.setattr("pipeline.search.candidates.MOST", 2)
    return copy


@pytest.fixture
def fresh(start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project before any search, as the current folder."""
    copy = copy_of(start, tmp_path / "project")
    monkeypatch.chdir(copy)
    return copy


def values_in(project: Path) -> list[dict[str, Any]]:
    return [json.loads(values) for _, _, values in trials_in(project)]


def test_every_network_has_every_head_and_the_best_are_fine_tuned(searched: tuple[Path, AutoResult]) -> None:
    project, found = searched
    assert {str(base) for base in found.measured} == {f"keras_file {BACKBONE}, {side} px" for side in (32, 24)}
    assert all(cost.images_per_second > 0 < cost.megabytes for cost in found.measured.values())
    alone = [one for one in found.tried if not one.is_averaged]
    of_heads = [one for one in alone if not one.is_tuned]
    assert len(of_heads) == 2 * len(heads(found.params))
    assert {one.values["train.head.method"] for one in of_heads} == {"auto", "linear", "ridge", "nearest_mean"}
    tuned = [one for one in alone if one.is_tuned]
    assert len(tuned) == 3
    assert [one.values[STEPS] for one in tuned] == [1, 1, 4]
    assert all(one.measured["seconds"] > 0 for one in found.tried)
    assert found.present is not None
    assert found.present.is_tuned
    assert found.best_alone.score == min(one.score for one in alone if one.score is not None)
    assert values_in(project) == [one.values for one in found.tried]
    (note,) = found.notes
    assert note.startswith("A second network was not tried: the best trial is not fine-tuned")


def test_flips_of_a_head_are_judged_on_the_frozen_network(searched: tuple[Path, AutoResult]) -> None:
    _, found = searched
    best, (flips,) = found.best_alone, found.averages
    assert not best.is_tuned
    assert flips.values == best.values | {FLIPS: True}
    assert flips.images_per_second == pytest.approx(best.images_per_second / 2)
    assert flips.score == pytest.approx(best.score - flips.measured["gain"], abs=1e-6)
    assert found.winner == (flips if flips.pays else best)


def test_flips_and_a_second_network_are_compared_image_by_image_with_what_they_average(project: Path) -> None:
    params, val = load_params(), read_split(PREPARED, "val")
    key = auto_key(params)
    with stored_study(key, params.tune.metric) as study:
        trials = Trials(params, study, gallery(params, key), 60 * MINUTES)
        best = next(one for one in trials.result(0).ranked if one.is_tuned)
        trials.measured[best.base] = trials.gallery.measure(best.base, 60.0)
        average_best(trials, best, lambda: None)
        flips, two = trials.tried[-2:]
        answers = trials.answers(best.values)
        assert judge(answers[0], val, 0.95).metrics["log_loss"] == best.score
        assert not np.allclose(answers[0], answers[1])
        expected = difference(answers.mean(axis=0), answers[0], val.labels, unit_numbers(val.table), "val_loss")
        assert (flips.measured["gain"], flips.measured["gain_error"]) == pytest.approx((expected.mean, expected.error))
        before = flips if flips.pays else best
        assert two.values == before.values | {ENSEMBLE: 2}
        assert two.score == pytest.approx(before.score - two.measured["gain"], abs=1e-6)
        assert two.measured["steps"] == best.measured["steps"]
        assert {phase for phase, _ in finished(study)[-1].user_attrs[HISTORY]} == {"head", "fine_tune"}
        assert two.images_per_second == pytest.approx(before.images_per_second / 2)
        assert two.measured["megabytes"] == pytest.approx(2 * best.measured["megabytes"])
        assert not list(AUTO.rglob("*.npz")), "its checkpoints are gone"
        assert trials.notes == []

        again = trials.tried
        average_best(trials, best, lambda: None)
        assert trials.tried == again

        hasty = Trials(params, study, trials.gallery, 1e-3)
        other = next(one for one in again if one.is_tuned and not one.is_averaged and one != best)
        hasty.measured[other.base] = trials.measured[best.base]
        average_best(hasty, other, lambda: None)
        (note,) = hasty.notes
        assert re.search(r"^A second network was not tried: it takes about \d+ s, and 0 s were left", note)


def test_mlflow_has_a_run_of_the_search_and_a_nested_one_of_each_trial(searched: tuple[Path, AutoResult]) -> None:
    project, found = searched
    mlflow.set_tracking_uri(f"sqlite:///{project / 'mlflow.db'}")
    runs = mlflow.search_runs(experiment_names=["nightshift-tune"])
    assert isinstance(runs, pd.DataFrame)
    parent = runs[runs["tags.mlflow.parentRunId"].isna()].iloc[0]
    children = runs[runs["tags.mlflow.parentRunId"] == parent.run_id].sort_values("start_time")
    assert sorted(children["tags.nightshift.trial"].astype(int)) == [one.number for one in found.tried]
    assert set(children.status) == {"FINISHED"}
    (best,) = children[children["tags.nightshift.trial"] == str(found.winner.number)].to_dict("records")
    assert best["metrics.accuracy"] == pytest.approx(found.winner.accuracy)
    assert best["metrics.images_per_second"] == pytest.approx(found.winner.images_per_second)
    assert best["params.model.weights"] == BACKBONE
    assert parent.status == "FINISHED"
    assert parent["metrics.best_val_loss"] == pytest.approx(found.winner.score)


def test_the_page_has_the_verdict_first_then_the_picture_then_every_trial(searched: tuple[Path, AutoResult]) -> None:
    project, found = searched
    page = (project / AUTO_REPORT).read_text()
    verdict, picture, table = (page.index(words) for words in ("is the best", "<img", "All trials"))
    assert verdict < picture < table
    rows = re.findall(r"<tr><td class=\"number\">(\d+)</td><td>", page)
    assert sorted(map(int, rows)) == [one.number for one in found.tried]
    assert all(f"nightshift tune --take {one.number}" in page for one in found.front)
    assert not re.findall(r"(?:src|href)=\"(?!data:|#|[a-z_]+\.html\")", page)


def test_a_second_call_repeats_nothing_and_its_winner_is_written_beside_the_comments(project: Path) -> None:
    before, found = trials_in(project), run_auto(load_params(), MINUTES)
    assert trials_in(project) == before
    text = PARAMS.read_text()
    PARAMS.write_text(text.replace("backbone: keras_file\n  weights", "backbone: keras_file   # mine\n  weights", 1))
    changed = write_values(load_params(), found.values_of(found.winner))
    now = load_params()
    assert all(value_of(now, name) == value for name, value in found.winner.values.items())
    assert "# mine" in PARAMS.read_text()
    assert set(changed) <= {*found.winner.values, STEPS}
    assert auto_key(now) == auto_key(found.params), "the next call would begin again"


def test_the_command_goes_through_and_another_takes_a_trial(project: Path) -> None:
    before = trials_in(project)
    said = nightshift("tune", "--auto", "--minutes", "5", "--no-write", cwd=project).stdout
    assert trials_in(project) == before
    assert "is the best" in said
    assert "reports/auto.html" in said
    assert "--no-write" in said.splitlines()[-1]
    number = next(place for place, values in enumerate(values_in(project)) if values["images.width"] == 24)
    said = nightshift("tune", "--take", str(number), cwd=project).stdout
    assert "params.yaml: images.width: 32 -> 24" in said
    assert said.endswith("Next: nightshift train\n")
    assert load_params().images.width == 24
    assert load_params().train.fine_tune.steps == 0


def test_a_trial_that_is_not_there_is_not_taken(project: Path) -> None:
    with pytest.raises(NightshiftError, match=r"no trial 99 with these images and parameters \(18 trials, 0 to 17\)"):
        take(load_params(), 99)
    change_params(project, {"seed": 8})
    with pytest.raises(NightshiftError, match=r"no trial 0 .*\(none yet\)"):
        take(load_params(), 0)


@pytest.mark.slow
def test_killed_searches_resume_as_if_nothing_had_happened(
    searched: tuple[Path, AutoResult], fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed, found = searched
    heads_alone = sum(not one.is_tuned and not one.is_averaged for one in found.tried)
    for wanted in (2, heads_alone + 1):
        with forked.forking("-c", RUN, cwd=fresh, work="training") as process:
            give_up = time.monotonic() + 300
            while len(trials_in(fresh)) < wanted and process.poll() is None and time.monotonic() < give_up:
                time.sleep(0.05)
            time.sleep(0.2)  # in the middle of the next one
            process.kill()
            assert process.wait() == -signal.SIGKILL
        assert wanted <= len(trials_in(fresh)) < len(found.tried)
    monkeypatch.setattr("pipeline.search.candidates.MOST", 2)
    run_auto(load_params(), MINUTES)
    assert trials_in(fresh) == trials_in(undisturbed)
    with sqlite3.connect(fresh / SEARCHES) as store:
        states = {state for (state,) in store.execute("SELECT state FROM trials")}
    assert states - {"FAIL"} == {"COMPLETE"}, "a trial of a dead process is neither repeated nor left running"
    mlflow.set_tracking_uri(f"sqlite:///{fresh / 'mlflow.db'}")
    runs = mlflow.search_runs(experiment_names=["nightshift-tune"])
    assert isinstance(runs, pd.DataFrame)
    assert sorted(runs["tags.nightshift.trial"].dropna().astype(int)) == list(range(len(found.tried)))


def test_too_short_a_time_for_one_network_is_said_with_a_time_that_is_not(fresh: Path) -> None:
    with pytest.raises(NightshiftError, match=r"are too few: the features of keras_file .*--minutes \d+\."):
        run_auto(load_params(), 0.0001)
    assert trials_in(fresh) == []


def test_without_time_for_fine_tuning_heads_alone_are_compared_and_it_stays_as_it_is(fresh: Path) -> None:
    change_params(fresh, {"tune": {"backbones": NETWORKS[:1]}, "train": {"head": {"learning_rate": 10.0}}})
    change_params(fresh, {"train": {"head": {"weight_decay": 1.0, "batch_size": 1}}})  # as set it is no number
    found = run_auto(load_params(), 0.4)
    assert found.tuned == 0
    assert any("Nothing was fine-tuned" in note for note in found.notes)
    assert found.tried[0].score is None
    assert "NaN loss" in AUTO_REPORT.read_text()
    assert STEPS not in found.values_of(found.winner)


def test_images_that_are_not_prepared_are_one_message(fresh: Path) -> None:
    shutil.rmtree(PREPARED)
    with pytest.raises(NightshiftError, match=r"data/prepared is empty: the stage `preprocess` has not run"):
        run_auto(load_params(), MINUTES)


def test_a_page_that_cannot_be_written_is_said_before_minutes_are_spent(fresh: Path) -> None:
    shutil.rmtree(AUTO_REPORT.parent)
    AUTO_REPORT.parent.touch()
    with pytest.raises(NightshiftError, match=r"reports/auto\.html cannot be written: .*Make reports a folder"):
        run_auto(load_params(), MINUTES)
    assert not AUTO.exists()


def test_networks_that_cannot_be_built_are_left_out_and_named(fresh: Path) -> None:
    Path("no.keras").write_text("no network")
    networks = [{"backbone": "keras_file", "weights": "no.keras", "size": 32}]
    change_params(fresh, {"tune": {"backbones": networks}, "train": {"head": {"epochs": 1}}})
    found = run_auto(load_params(), 0.4)
    assert [str(base) for base in found.measured] == [f"keras_file {BACKBONE}, 32 px"]
    assert any("no.keras" in note for note in found.notes)
    Path(BACKBONE).unlink()
    shutil.rmtree(AUTO)
    with pytest.raises(NightshiftError, match="There is no network to try"):
        run_auto(load_params(), 0.4)


@pytest.mark.parametrize(
    "words",
    [("--auto", "--trials", "3"), ("--auto", "--take", "3"), ("--minutes", "3"), ("--take", "1", "--fine-tune")],
    ids=" ".join,
)
def test_options_that_do_not_belong_together_are_refused(words: tuple[str, ...], fresh: Path) -> None:
    done = nightshift("tune", *words, cwd=fresh, check=False)
    assert done.returncode == 2
    assert "--auto" in done.stderr


def test_parameters_that_no_trial_varies_make_another_search(project: Path) -> None:
    params = load_params()
    first = auto_key(params)
    same = {"images.width": 24, "train.head.method": "ridge", STEPS: 7, RATE: 0.1, "augment.mix_up": 0.2}
    assert auto_key(with_values(params, same)) == first
    others = [{"seed": 8}, {"augment.hue": 0.1}, {"train.head.epochs": 9}, {"tune.metric": "val_accuracy"}]
    assert len({first, *(auto_key(with_values(params, other)) for other in others)}) == 5


def test_features_of_earlier_searches_are_removed(project: Path) -> None:
    (AUTO / "auto-older").mkdir()
    run_auto(load_params(), MINUTES)
    assert [folder.name for folder in AUTO.iterdir()] == [auto_key(load_params())]
    assert not list(AUTO.rglob("pixels"))
