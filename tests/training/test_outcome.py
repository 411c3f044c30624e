"""What is said of a fitted network; whole trainings are in test_training.py."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.core.log import log
from pipeline.core.terminal import MARKED
from pipeline.data.prepared import Dataset, Split
from pipeline.model import precision
from pipeline.model.certificate import Certificate
from pipeline.model.contract import INT8, Contract, ContractError, read_contract, weights_sha256, write_contract
from pipeline.model.engine import load_engine
from pipeline.model.reference import make_reference, read_reference, sampled, write_reference
from pipeline.params.data import Images
from pipeline.params.file import Params
from pipeline.params.model import Compute
from pipeline.training import outcome
from pipeline.training.calibration import Calibration
from pipeline.training.inputs import Data
from pipeline.training.outcome import (
    Asked,
    Fitted,
    answers_for,
    ask,
    ask_in_int8,
    embeddings_of,
    report_threshold,
    warn_of_gap,
    write_int8,
)
from tests.fixtures.certificates import CERTIFIED, UNCERTAIN
from tests.fixtures.models import write_seeing_network

RULES = Images(width=24, height=16, fit="stretch", max_megapixels=1)
NAMES = ("blue", "red")


@pytest.mark.parametrize(("gap", "warned"), [(0.11, True), (0.1, False), (-0.3, False)])
def test_a_network_that_learnt_by_heart_is_warned_about(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, gap: float, warned: bool
) -> None:
    monkeypatch.setattr(log, "propagate", True)
    warn_of_gap(gap, max_gap=0.1)
    assert ("Overfitting" in caplog.text and "`augment`" in caplog.text) == warned


@pytest.mark.parametrize(
    ("certificate", "level", "words"),
    [
        pytest.param(CERTIFIED, logging.INFO, CERTIFIED.words, id="certified"),
        pytest.param(UNCERTAIN, logging.WARNING, UNCERTAIN.words, id="not certified"),
        pytest.param(None, logging.INFO, "Not certified: train.target_confidence is null.", id="not asked for"),
    ],
)
def test_the_log_says_whether_the_threshold_is_certified(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, certificate: Certificate | None, level: int,
    words: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(log, "propagate", True)
    caplog.set_level(logging.INFO)
    report_threshold(Calibration(1.0, 0.625, {}, certificate))
    [said] = caplog.records
    assert said.levelno == level
    assert said.getMessage() == f"Answers with a confidence below 0.625 are unsure. {words}"
    caplog.clear()
    monkeypatch.setenv(MARKED, "lines")
    report_threshold(Calibration(1.0, 0.625, {}, certificate))
    again = "\n".join(one.getMessage() for one in caplog.records)
    assert (words in again) == (certificate is None), "`nightshift train` says it at its end"


def coloured(count: int, seed: int) -> Split:
    """Noise with more blue, or more red, in its right half, by turns."""
    draw, labels = np.random.default_rng(seed), np.arange(count) % 2
    images = draw.integers(0, 160, (count, 16, 24, 3), np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, 12:, 2 - 2 * label] += np.uint8(draw.integers(20, 95))
    numbers = range(count)
    table = pd.DataFrame(
        {
            "path": [f"{number}.png" for number in numbers],
            "sha256": [f"{seed + number:064x}" for number in numbers],
            "label": [NAMES[label] for label in labels],
            "cluster": [str(number) for number in numbers],
            "width": 24,
            "height": 16,
        }
    )
    return Split(table, images, labels)


DATA = Data(Dataset(class_names=NAMES, images=RULES, sha256="d" * 64), coloured(60, 0), coloured(60, 1000))


@pytest.fixture
def params(defaults: Params, monkeypatch: pytest.MonkeyPatch) -> Callable[[float | None], Params]:
    """Parameters with this loss allowed; the processor is one that is fast in int8."""
    for module in (outcome, precision):
        monkeypatch.setattr(module, "has_int8", lambda: True)
    compute = Compute(device="cpu", precision="auto", workers=2)

    def of(loss: float | None) -> Params:
        train = defaults.train.model_copy(update={"max_int8_loss": loss})
        return defaults.model_copy(update={"train": train, "compute": compute})

    return of


def fitted(folder: Path, params: Params) -> tuple[Asked, Fitted]:
    plain, asked, _ = ask(folder, DATA.val, params)
    rows = sampled(60, params.seed)
    val = answers_for(DATA, asked)
    made = make_reference(DATA.train, rows, embeddings_of(asked, DATA, rows), val, NAMES, 0.1, params.seed)
    return plain, Fitted(asked, made)


def test_int8_has_thresholds_and_a_reference_of_its_own_and_nights_go_by_them(
    params: Callable[[float | None], Params], tmp_path: Path
) -> None:
    how = params(0.5)
    plain, whole = fitted(write_seeing_network(tmp_path, 16, 24), how)
    short = ask_in_int8(tmp_path, DATA, plain, whole, how)
    assert short is not None
    contract = Contract(
        class_names=NAMES, images=RULES, backbone="cnn", temperature=whole.asked.calibration.temperature,
        unsure_below=whole.asked.calibration.unsure_below, dataset_sha256="d" * 64,
        weights_sha256=weights_sha256(tmp_path), code_commit="",
        int8=write_int8(tmp_path / INT8, short, DATA, 0.1), **write_reference(tmp_path, whole.reference),
    )  # fmt: skip
    write_contract(tmp_path, contract)
    assert read_contract(tmp_path) == contract
    for asked, one in (("auto", short), ("float32", whole)):
        engine = load_engine(tmp_path, how.compute.model_copy(update={"precision": asked}), embedding=True)
        assert engine.contract.hash == contract.hash
        assert engine.contract.temperature == one.asked.calibration.temperature
        assert engine.contract.outlier_above == one.reference.outlier_above
        reference = read_reference(tmp_path, engine.contract)
        assert reference is not None
        answers, embeddings = engine.judge(DATA.val.images)
        atol = 1e-6 if asked == "auto" else 0.02  # what is compared with may be bfloat16's
        np.testing.assert_allclose(answers, one.asked.probabilities, atol=atol)
        assert np.mean(reference.scores(embeddings) > reference.outlier_above) <= 0.1
    (tmp_path / INT8 / "reference.npy").write_bytes(b"another one's")
    with pytest.raises(ContractError, match="The files in .*int8 are not the ones in"):
        read_contract(tmp_path)


def test_a_network_that_loses_too_much_in_int8_stays_without_it(
    params: Callable[[float | None], Params], tmp_path: Path, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(log, "propagate", True)
    caplog.set_level(logging.INFO)
    plain, whole = fitted(write_seeing_network(tmp_path, 16, 24), params(0.1))
    better = {**plain.calibration.metrics, "val_accuracy": plain.calibration.metrics["val_accuracy"] + 0.2}
    plain = replace(plain, calibration=replace(plain.calibration, metrics=better))
    assert ask_in_int8(tmp_path, DATA, plain, whole, params(0.1)) is None
    assert not (tmp_path / INT8).exists()
    assert "That is a loss of more than train.max_int8_loss, so they do not compute in int8." in caplog.text


@pytest.mark.parametrize(
    ("loss", "fast", "installed", "words"),
    [
        pytest.param(None, True, True, [], id="not asked for"),
        pytest.param(0.1, False, True, ["this processor has no instructions for it"], id="no such processor"),
        pytest.param(0.1, True, False, ["`pip install 'nightshift[int8]'` adds it"], id="no extra"),
    ],
)
def test_int8_is_not_tried_without_parameter_processor_and_extra_and_the_log_says_so_in_one_line(
    params: Callable[[float | None], Params], tmp_path: Path, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch, loss: float | None, fast: bool, installed: bool, words: list[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(log, "propagate", True)
    caplog.set_level(logging.INFO)
    plain, whole = fitted(write_seeing_network(tmp_path, 16, 24), params(loss))
    monkeypatch.setattr(outcome, "has_int8", lambda: fast)
    monkeypatch.setattr(outcome, "has_nncf", lambda: installed)
    caplog.clear()
    assert ask_in_int8(tmp_path, DATA, plain, whole, params(loss)) is None
    assert len(caplog.records) == len(words)
    assert all(word in caplog.text for word in words)
    assert not (tmp_path / INT8).exists()
