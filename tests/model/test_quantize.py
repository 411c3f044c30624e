"""A network in int8: nearly the same answers, the same bytes each time, and nothing is said about it."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.model.contract import weights_sha256
from pipeline.model.engine import openvino_judging
from pipeline.model.precision import network_file
from pipeline.model.quantize import quantize
from tests.fixtures.models import write_seeing_network


def test_a_quantized_network_answers_nearly_alike_and_is_the_same_each_time(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 16, 24, 3), np.uint8)
    model = write_seeing_network(tmp_path, 16, 24)
    for folder in (model / "int8", tmp_path / "again"):
        quantize(model, folder, images)
    assert weights_sha256(model / "int8") == weights_sha256(tmp_path / "again")
    assert "".join(capfd.readouterr()) == ""
    whole, short = (openvino_judging(network_file(model, numbers), 2, numbers)(images) for numbers in ("f32", "int8"))
    for ours, theirs in zip(short, whole, strict=True):
        assert ours.shape == theirs.shape
        difference = np.abs(ours - theirs).max()
        assert 0 < difference < 0.1 * theirs.std() + 0.02 * np.abs(theirs).max()
