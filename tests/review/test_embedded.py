"""Embeddings of images that wait: of their bytes, once, and none of a file that is damaged or has changed."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.model.contract import read_contract
from pipeline.params.data import Images
from pipeline.params.model import Compute
from pipeline.review.embedded import embeddings_of
from pipeline.review.feature_store import FeatureStore
from pipeline.review.waiting import Waiting
from tests.fixtures.models import write_colour_model

RULES = Images(width=8, height=8, fit="stretch", max_megapixels=1)
CPU = Compute(device="cpu", precision="float32", workers=1)
COLOURS = {"day/red.png": (255, 0, 0), "day/yellow.png": (255, 255, 0), "night/black.png": (0, 0, 0)}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Its embedding of an image is the mean colour."""
    return write_colour_model(tmp_path / "model", RULES, ("warm", "cold"), [[1, 0], [0, 1], [0, 0]], [0, 0])


def waits(file: Path) -> Waiting:
    return Waiting(hashlib.sha256(file.read_bytes()).hexdigest(), file.name, str(file), "night")


@pytest.fixture
def waiting(tmp_path: Path) -> list[Waiting]:
    for name, colour in COLOURS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (20, 10), colour).save(tmp_path / name)
    (tmp_path / "day/damaged.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    gone = Waiting("0" * 64, "gone.png", str(tmp_path / "elsewhere" / "gone.png"), "night")
    changed = Waiting("1" * 64, "red.png", str(tmp_path / "day/red.png"), "night")
    return [*(waits(tmp_path / name) for name in COLOURS), waits(tmp_path / "day/damaged.png"), gone, changed]


def test_they_are_of_length_1_and_whatever_cannot_be_read_is_left_out(
    model: Path, waiting: list[Waiting], tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    found = embeddings_of(waiting, model, CPU, lambda done, of: told.append((done, of)), tmp_path / "cache")
    red, yellow, black = (one.sha256 for one in waiting[:3])
    assert list(found) == [red, yellow, black]
    np.testing.assert_allclose(found[red], [1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(found[yellow], [0.5**0.5, 0.5**0.5, 0], atol=1e-6)
    np.testing.assert_allclose(found[black], [0, 0, 0])  # it has no direction
    assert found[red].dtype == np.float32
    assert (told[0], told[-1]) == ((0, 6), (6, 6))


def test_the_next_review_asks_the_model_only_about_new_images(
    model: Path, waiting: list[Waiting], tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    first = embeddings_of(waiting[:2], model, CPU, cache=cache)
    Path(waiting[0].place).unlink()
    again = embeddings_of(waiting[:3], model, CPU, cache=cache)
    assert {*again} == {one.sha256 for one in waiting[:3]}
    for sha256, embedding in first.items():
        np.testing.assert_allclose(again[sha256], embedding, atol=1e-3)  # float16 on the disk
    kept = FeatureStore(read_contract(model).hash, cache)
    assert {*kept.of([waiting[2].sha256, "f" * 64])} == {waiting[2].sha256}
    assert FeatureStore("another model", cache).of([waiting[2].sha256]) == {}


def test_a_damaged_cache_and_one_that_cannot_be_written_cost_only_time(
    model: Path, waiting: list[Waiting], tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    kept = FeatureStore(read_contract(model).hash, cache)
    embeddings_of(waiting[:1], model, CPU, cache=cache)
    (file,) = cache.iterdir()
    file.write_bytes(b"SQLite" + b"\0" * 5000)
    assert {*embeddings_of(waiting[:1], model, CPU, cache=cache)} == {*kept.of([waiting[0].sha256])} != set()
    (tmp_path / "full").write_bytes(b"")
    assert len(embeddings_of(waiting[:1], model, CPU, cache=tmp_path / "full")) == 1
