"""Promise: the parameters as they are shipped lead from images to a night. The other tests make everything smaller."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from pipeline.data.prepared import read_split
from pipeline.model.export import largest_difference
from tests.fixtures.forked import nightshift
from tests.fixtures.project import draw_shape, rows_of
from tests.fixtures.site import Shipped, Site


@pytest.mark.slow
def test_a_project_as_it_is_shipped_trains_and_has_its_night(
    site: Site, shipped: Shipped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every stage is a process that DVC starts."""
    for name, value in site.worker.items():
        monkeypatch.setenv(name, value)
    project = shipped.project
    assert "It passed the gate, and it is the champion: nights use it." in shipped.said
    log = shipped.said + shipped.log
    assert re.findall(r"^(\w+) +(?:\d+ min )?\d+ s$", log, re.MULTILINE) == [
        "images",
        "validate",
        "preprocess",
        "embed",
        "audit",
        "train",
        "evaluate",
        "register",
    ]
    assert "17 of 17 expectations met" in log
    client = MlflowClient(site.worker["MLFLOW_TRACKING_URI"])
    run_id = client.get_model_version_by_alias("nightshift", "champion").run_id
    assert run_id
    assert len(client.get_run(run_id).data.tags["prefect.flow_run_id"]) == 36
    contract = json.loads((project / "models/current/contract.json").read_text())
    assert contract["backbone"] == "efficientnet_lite0"
    assert (contract["images"]["width"], contract["images"]["height"]) == (224, 224)
    images = read_split(project / "data/prepared", "test").images
    assert np.load(project / "data/features/test.npy").shape == (len(images), 1280)
    assert largest_difference(project / "models/current", images, contract["temperature"]) < 1e-4
    evaluation = json.loads((project / "reports/evaluation.json").read_text())
    assert evaluation["accuracy"]["value"] >= 0.7
    assert "corrupted_balanced_accuracy" in evaluation
    assert len(pd.read_csv(project / "reports/robustness.csv")) == 1 + 18
    drawn = {file.stem for file in (project / "reports/figures").glob("*.png")}
    assert {"confusion_matrix", "robustness", "corruptions", "evidence"} <= drawn

    for number in range(6):
        draw_shape(tmp_path / "night" / f"{number}.png", ("circle", "square")[number % 2], seed=number)
    (tmp_path / "night" / "9.png").write_text("no image")
    nightshift("classify", str(tmp_path / "night"), str(tmp_path / "out"), "--no-prefect", cwd=project, **site.worker)
    rows = rows_of(tmp_path / "out")
    assert [row["path"] for row in rows] == [*(f"{number}.png" for number in range(6)), "9.png"]
    assert rows[-1]["status"] == "unreadable"
    assert [row["label"] for row in rows[:-1]].count("circle") in (2, 3, 4)
