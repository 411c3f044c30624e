"""A fixed camera takes nearly the same picture again: nearly the same alone never makes a split impossible."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.checks.expectations import checks, tables
from pipeline.data.duplicates import cluster
from pipeline.data.manifest import build_manifest
from pipeline.data.split_units import scenes
from pipeline.data.splits import ImpossibleSplit, draw_splits
from pipeline.params.data import Fractions, Images
from pipeline.params.file import load_params
from pipeline.storage.files import sha256
from tests.fixtures.images import noise, save_image
from tests.fixtures.project import REPOSITORY

RULES = Images(width=64, height=64, fit="stretch", max_megapixels=1)
FRACTIONS = Fractions(train=0.7, val=0.15, test=0.15)
BITS, BLANK = 24, 2.0


def fixed_camera(raw: Path, per_class: int = 20) -> pd.DataFrame:
    """One texture with noise; in half of the images there is a small dark patch."""
    scene, rng = noise(96, 96, seed=1).astype(np.float64), np.random.default_rng(0)
    for label in ("defect", "good"):
        (raw / label).mkdir(parents=True)
        for number in range(per_class):
            pixels = scene + rng.normal(0, 3, scene.shape)
            if label == "defect":
                pixels[40:48, 40:48] = 20
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(raw / label / f"{number}.png")
    return build_manifest(raw, RULES, 2, raw.parent / "memory")


def test_images_of_a_fixed_camera_can_be_split_and_the_message_says_how_to_settle_it(tmp_path: Path) -> None:
    manifest = fixed_camera(tmp_path / "raw")
    with pytest.raises(ImpossibleSplit, match=r"its 20 images are (1|2) separate units"):
        draw_splits(manifest.assign(cluster=cluster(manifest, BITS, BLANK)), FRACTIONS, 7)
    found = scenes(manifest, BITS, BLANK)
    assert "With validate.near_duplicate_bits 24 the 20 images of class defect are only" in found.note
    assert "fixed camera?" in found.note
    assert "set validate.near_duplicate_bits in params.yaml to null" in found.note
    drawn = draw_splits(manifest.assign(cluster=found.cluster), FRACTIONS, 7)
    assert set(drawn.splits) == {"train", "val", "test"}
    settled = scenes(manifest, None, BLANK)
    assert (settled.note, settled.cluster.tolist()) == ("", found.cluster.tolist())


def test_given_splits_of_a_fixed_camera_do_not_leak(tmp_path: Path) -> None:
    manifest = fixed_camera(tmp_path / "raw")
    split = (["train"] * 12 + ["val"] * 4 + ["test"] * 4) * 2
    limits = load_params(REPOSITORY / "params.yaml").validate_
    given = manifest.assign(split=split, quarantined="", cluster=scenes(manifest, BITS, BLANK).cluster)
    files = tables(given, pd.DataFrame(), 0, limits)["files"]
    (leaking,) = [check for check in checks(limits) if check.fault == "leaking_duplicate"]
    assert not leaking.faulty(files).any()
    (copied,) = [check for check in checks(limits) if check.fault == "conflicting_near_duplicate"]
    assert not copied.faulty(files).any()


def test_identical_files_stay_together_all_the_same(tmp_path: Path) -> None:
    manifest = fixed_camera(tmp_path / "raw")
    manifest.loc[[3, 5], "sha256"] = sha256(b"twice")
    found = scenes(manifest, BITS, BLANK).cluster
    assert found[3] == found[5]
    assert found.nunique() == len(manifest) - 1


def test_the_highest_value_that_works_is_named(tmp_path: Path) -> None:
    manifest = fixed_camera(tmp_path / "raw")
    hashes = np.random.default_rng(3).integers(0, 256, 32, np.uint8)
    for row in range(len(manifest)):  # five bits from each to the next one
        other = hashes.copy()
        other[: row // 2 + 1] ^= 0b11111
        manifest.loc[row, "phash"] = other.tobytes().hex()
    found = scenes(manifest, BITS, BLANK)
    assert "to null (or 4, the highest that leaves every class 3 scenes)" in found.note
    assert not scenes(manifest, 4, BLANK).note
    assert scenes(manifest, 5, BLANK).note


def test_enough_scenes_are_left_as_they_are(tmp_path: Path) -> None:
    for number in range(8):
        save_image(tmp_path / "raw" / "ab"[number % 2] / f"{number}.png", seed=number)
    manifest = build_manifest(tmp_path / "raw", RULES, 2, tmp_path / "memory")
    assert scenes(manifest, BITS, BLANK).note == ""


def test_a_class_of_one_group_is_not_the_cameras_fault(tmp_path: Path) -> None:
    manifest = fixed_camera(tmp_path / "raw").assign(group="one patient")
    found = scenes(manifest, BITS, BLANK)
    assert found.note == ""
    with pytest.raises(ImpossibleSplit, match="group one patient"):
        draw_splits(manifest.assign(cluster=found.cluster), FRACTIONS, 7)
