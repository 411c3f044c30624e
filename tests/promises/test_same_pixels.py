"""Promise: training, evaluation, the nightly run and the served model see the same pixels and give the same answers."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.core.paths import MODEL, PREPARED, RAW, TEST_PREDICTIONS
from pipeline.data.holdout_copy import copy_test_images
from pipeline.data.prepared import SPLITS, SplitName, read_dataset, read_split
from pipeline.evaluation.results import read_evaluation
from pipeline.images.decode import decode
from pipeline.model.contract import read_contract
from pipeline.night.rows import read_rows
from pipeline.params.file import load_params
from tests.fixtures.nights import classify


@pytest.fixture(autouse=True)
def here(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)


@pytest.mark.parametrize("name", SPLITS)
def test_the_model_is_taught_with_what_its_contract_decodes(name: SplitName) -> None:
    split, contract = read_split(PREPARED, name), read_contract(MODEL)
    for path, taught in zip(split.table["path"], split.images, strict=True):
        np.testing.assert_array_equal(decode((RAW / path).read_bytes(), contract.images).pixels, taught)


def test_the_contract_is_the_datasets() -> None:
    dataset, contract = read_dataset(PREPARED), read_contract(MODEL)
    assert (contract.images, contract.class_names) == (dataset.images, dataset.class_names)
    assert contract.dataset_sha256 == dataset.sha256


def test_no_content_is_in_two_splits() -> None:
    contents = [set(read_split(PREPARED, name).table["sha256"]) for name in SPLITS]
    assert sum(map(len, contents)) == len(set.union(*contents))


def test_the_night_answers_as_the_evaluation_did(tmp_path: Path) -> None:
    copy_test_images(tmp_path / "images")
    summary = classify(tmp_path / "images", tmp_path / "out", load_params())
    assert summary.unsure / summary.listed == pytest.approx(read_evaluation().unsure_share)
    night = {
        row["sha256"]: (row["label"], float(row["confidence"])) for row in read_rows(tmp_path / "out/predictions.csv")
    }
    test = pd.read_csv(TEST_PREDICTIONS).assign(sha256=read_split(PREPARED, "test").table["sha256"])
    assert len(night) == len(test)
    for row in test.itertuples():
        label, confidence = night[str(row.sha256)]
        assert label == row.predicted
        assert confidence == pytest.approx(float(str(row.confidence)), abs=1e-5)
