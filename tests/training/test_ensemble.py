"""Several networks and flips on a small project: what is written, and that a killed training resumes in any of them."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from mlflow import MlflowClient

from pipeline.backbones.keras_file import load_keras
from pipeline.core.paths import CHECKPOINTS, CURVES, MODEL, PREPARED
from pipeline.data.prepared import read_split
from pipeline.model.contract import KERAS
from pipeline.model.device import prepare_device
from pipeline.model.engine import load_engine
from pipeline.model.export import largest_difference
from pipeline.model.nearest import unit
from pipeline.model.reference import read_reference
from pipeline.params.file import Params, load_params
from pipeline.search.space import with_values
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.ensemble import train_member, train_model
from pipeline.training.inputs import read_data, training_key
from tests.fixtures.project import change_params, stage


def test_two_networks_with_flips_are_a_model_like_any_other_also_when_killed_in_the_second(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    change_params(project, {"train": {"ensemble": 2, "test_time_flips": True, "head": {"epochs": 2}}})
    params = load_params()
    strategy, data = prepare_device(params.compute, params.seed), read_data(params)
    phases: list[str] = []

    def keep_what_a_kill_leaves(phase: str, _: dict[str, float]) -> None:
        phases.append(phase)
        if phases.count("fine_tune") == 3:
            shutil.copytree(tmp_path / "checkpoints", CHECKPOINTS / training_key(params, data))

    undisturbed = train_model(params, data, strategy, Checkpoints(tmp_path / "checkpoints"), keep_what_a_kill_leaves)
    assert phases == ["head", "head", "fine_tune", "fine_tune"] * 2
    said = stage("train", project).stderr
    assert "Network 2 of 2, from seed 8" in said
    assert said.count("resumes after step 2 of 2") == 3
    ours, theirs = load_keras(MODEL / KERAS).get_weights(), undisturbed.model.get_weights()
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)
    assert CURVES.read_text() == undisturbed.curves.to_csv(index=False)
    curves = pd.read_csv(CURVES)
    assert curves["network"].tolist() == [1] * 4 + [2] * 4
    assert curves["step"].tolist() == list(range(1, 9))
    client = MlflowClient(f"sqlite:///{project}/mlflow.db")
    runs = client.search_runs([one.experiment_id for one in client.search_experiments()])
    steps = [metric.step for metric in client.get_metric_history(runs[0].info.run_id, "val_loss")]
    assert sorted(steps) == list(range(1, 9)), "the second network's judgements come after the first one's"

    val, train = read_split(PREPARED, "val"), read_split(PREPARED, "train")
    assert largest_difference(MODEL, val.images, 1.0) < 1e-4
    engine = load_engine(MODEL, params.compute, embedding=True)
    mirrored = engine.predict(np.ascontiguousarray(val.images[:, :, ::-1]))
    np.testing.assert_allclose(engine.predict(np.asarray(val.images)), mirrored, atol=1e-5)
    reference = read_reference(MODEL, engine.contract)
    assert reference is not None
    np.testing.assert_allclose(reference.embeddings, unit(engine.judge(np.asarray(train.images))[1]), atol=1e-3)


def test_heads_on_one_frozen_network_become_one_head(here: Params) -> None:
    params = with_values(here, {"train.ensemble": 2, "train.fine_tune.steps": 0, "train.head.epochs": 2})
    strategy, data = tf.distribute.get_strategy(), read_data(params)
    alone = [train_member(number, params, data, strategy) for number in (1, 2)]
    heads = [one.model.layers[-1].get_weights() for one in alone]
    assert not np.array_equal(heads[0][0], heads[1][0])
    found = train_model(params, data, strategy)
    assert found.is_frozen
    assert len(found.model.layers) == len(alone[0].model.layers)
    for mean, parts in zip(found.model.layers[-1].get_weights(), zip(*heads, strict=True), strict=True):
        np.testing.assert_allclose(mean, np.mean(parts, axis=0), atol=1e-6)
    assert found.kept["gap_loss"] == pytest.approx(np.mean([one.kept["gap_loss"] for one in alone]))
