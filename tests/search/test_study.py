"""Which trials compare, and what is left of a process that was killed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from filelock import FileLock

from pipeline.core.errors import NightshiftError
from pipeline.core.paths import SEARCHES
from pipeline.params.file import Params
from pipeline.search.space import Mode, searched, with_values
from pipeline.search.study import (
    HISTORY,
    VALUES,
    Search,
    alone,
    bury_the_dead,
    finished,
    is_known,
    open_study,
    study_key,
)
from tests.fixtures.project import REPOSITORY

Change = Callable[[Params], Params]


def changing(**values: Any) -> Change:
    return lambda params: with_values(params, {name.replace("__", "."): value for name, value in values.items()})


@pytest.mark.parametrize(
    ("change", "mode", "same"),
    [
        (changing(train__head__learning_rate=0.002), "head", True),
        (changing(train__head__patience=9), "head", False),
        (changing(train__fine_tune__steps=9), "head", True),
        (changing(train__fine_tune__steps=9), "fine_tune", False),
        (changing(train__scratch__epochs=9), "fine_tune", True),
        (changing(train__head__patience=9), "scratch", True),
        (changing(train__class_weights="none"), "head", False),
        (changing(train__target_precision=0.8, train__target_confidence=None, train__max_gap=0.5), "fine_tune", True),
        (changing(seed=8), "head", False),
        (changing(images__width=128), "head", False),
        (changing(augment__brightness=0.2), "fine_tune", False),
        (changing(compute__precision="mixed_float16"), "head", False),
        (changing(compute__workers=3), "head", True),
        (changing(tune__metric="val_accuracy"), "head", False),
        (changing(tune__trials=99, tune__timeout=1.0), "head", True),
        (changing(register__promote="auto"), "head", True),
    ],
)
def test_trials_are_of_one_study_when_they_compare(
    change: Change, mode: Mode, same: bool, defaults: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPOSITORY)
    changed = change(defaults)
    assert changed != defaults
    keys = [study_key(params, mode, list(searched(params, mode)), "data") for params in (defaults, changed)]
    assert (keys[0] == keys[1]) == same


def test_other_images_ranges_and_code_are_other_studies(defaults: Params, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pipeline.core.code.ROOT", tmp_path)
    Path("pipeline").mkdir()
    Path("pipeline/embed.py").write_text("import json")
    Path("pipeline/train.py").write_text("from pipeline import fit")
    Path("pipeline/fit.py").write_text("STEPS = 1")
    names = list(searched(defaults, "head"))
    first = study_key(defaults, "head", names, "data")
    others = [study_key(defaults, "head", names, "other data"), study_key(defaults, "head", names[:-1], "data")]
    narrower = defaults.tune.ranges | {names[0]: defaults.tune.ranges[names[0]].model_copy(update={"high": 0.005})}
    tune = defaults.tune.model_copy(update={"ranges": narrower})
    others.append(study_key(defaults.model_copy(update={"tune": tune}), "head", names, "data"))
    Path("pipeline/fit.py").write_text("STEPS = 2")
    others.append(study_key(defaults, "head", names, "data"))
    assert len({first, *others}) == 5


@pytest.fixture
def search(defaults: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Search:
    monkeypatch.chdir(tmp_path)
    SEARCHES.parent.mkdir()
    return Search(defaults, "head", searched(defaults, "head"), "key", 100)


def test_trials_of_a_dead_process_are_no_trials_and_the_others_stay(search: Search) -> None:
    with open_study(search) as study:
        whole = study.ask(search.space)
        whole.set_user_attr(VALUES, {"a": 1})
        whole.set_user_attr(HISTORY, [])
        study.tell(whole, 0.5)
        study.ask(search.space)
        study.enqueue_trial({"train.head.dropout": 0.1})
    with open_study(search) as study:
        bury_the_dead(study)
        assert [trial.value for trial in finished(study)] == [0.5]
        states = [trial.state.name for trial in study.get_trials()]
        assert states == ["COMPLETE", "FAIL", "FAIL"]
        assert is_known(finished(study), {"a": 1})
        assert not is_known(finished(study), {"a": 2})


def test_only_one_search_runs_in_a_project(search: Search) -> None:
    with alone():
        pass
    with (
        FileLock(SEARCHES.with_suffix(".db.lock")),
        pytest.raises(NightshiftError, match="Another search is running"),
        alone(),
    ):
        pass
    with alone():
        pass


def test_a_damaged_store_of_trials_is_named_and_what_to_do(search: Search) -> None:
    SEARCHES.write_bytes(b"no database" * 100)
    with pytest.raises(NightshiftError, match=r"models/tune\.db.*remove it"), open_study(search):
        pass


def test_better_is_less_of_a_loss_and_more_of_an_accuracy(search: Search) -> None:
    accuracy = with_values(search.params, {"tune.metric": "val_accuracy"})
    with open_study(search) as study:
        assert study.direction == optuna.study.StudyDirection.MINIMIZE
    with open_study(Search(accuracy, "head", search.space, "other", 100)) as study:
        assert study.direction == optuna.study.StudyDirection.MAXIMIZE
