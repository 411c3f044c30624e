"""What only the whole set shows: unused upper bits, infrared that is marked as transparency, groups of another name."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from pipeline.checks.hints import group_hints, hints
from pipeline.data.manifest import build_manifest
from pipeline.images.decode import decode
from pipeline.params.data import Images
from tests.fixtures.images import noise

RULES = Images(width=32, height=24, fit="stretch", max_megapixels=1)


def measured(folder: Path) -> pd.DataFrame:
    return build_manifest(folder, RULES, 1, folder.parent / "measured")


def write(file: Path, values: NDArray[np.uint16 | np.uint8]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".png":
        Image.fromarray(values).save(file)
    else:
        options = {"extrasamples": ["unassalpha"]} if values.ndim == 3 and values.shape[2] == 4 else {}
        tifffile.imwrite(file, values, photometric="rgb" if values.ndim == 3 else "minisblack", **options)


def textures(bits: int, seed: int, samples: int = 1) -> NDArray[np.uint16]:
    values = noise(96, 96, seed).astype(np.uint16) << (bits - 8)
    return values[:, :, 0] if samples == 1 else values


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize(("ending", "samples"), [(".png", 1), (".tif", 1), (".tif", 3)])
def test_unused_upper_bits_of_all_images_name_the_setting(tmp_path: Path, bits: int, ending: str, samples: int) -> None:
    for seed in range(6):
        write(tmp_path / f"raw/{'ab'[seed % 2]}/{seed}{ending}", textures(bits, seed, samples))
    table = measured(tmp_path / "raw")
    [words] = hints(table, tmp_path / "raw", RULES)
    assert words.startswith("6 images store 16 bits a sample")
    assert f"images.white_level: {2**bits - 1} in" in words
    level = RULES.model_copy(update={"white_level": 2**bits - 1})
    assert hints(table, tmp_path / "raw", level) == []
    shown = decode((tmp_path / f"raw/a/0{ending}").read_bytes(), level).pixels
    expected = decode(_png(textures(8, 0, samples).astype(np.uint8)), RULES).pixels
    assert np.abs(shown.astype(int) - expected).max() <= 2


def _png(values: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()


def test_one_image_that_uses_them_or_images_of_eight_bits_name_nothing(tmp_path: Path) -> None:
    for seed in range(4):
        write(tmp_path / f"raw/a/{seed}.png", textures(12, seed))
    write(tmp_path / "raw/a/bright.png", textures(16, 9))
    assert hints(measured(tmp_path / "raw"), tmp_path / "raw", RULES) == []
    write(tmp_path / "eight/a/1.png", noise(96, 96))
    assert hints(measured(tmp_path / "eight"), tmp_path / "eight", RULES) == []


def test_infrared_that_is_marked_as_transparency_names_the_bands(tmp_path: Path) -> None:
    for seed in range(3):
        bands = np.dstack([noise(96, 96, seed), noise(96, 96, seed + 50)[:, :, 0]])
        write(tmp_path / f"raw/a/{seed}.tif", bands)
    table = measured(tmp_path / "raw")
    [words] = hints(table, tmp_path / "raw", RULES)
    assert "images.bands: [1, 2, 3]" in words
    assert hints(table, tmp_path / "raw", RULES.model_copy(update={"bands": (1, 2, 3)})) == []


def test_transparency_that_cuts_a_picture_out_names_nothing(tmp_path: Path) -> None:
    mask = np.zeros((96, 96), np.uint8)
    mask[20:70, 20:70] = 255
    mask[20:70, 18:20] = 128
    write(tmp_path / "raw/a/1.tif", np.dstack([noise(96, 96), mask]))
    assert hints(measured(tmp_path / "raw"), tmp_path / "raw", RULES) == []


@pytest.mark.parametrize("name", ["grop", "groups", "patient", "Patient_ID", "patientid", "module"])
def test_groups_under_another_name_are_no_secret(name: str) -> None:
    side = pd.DataFrame({"path": ["a/1.png", "a/2.png", "b/3.png"], name: ["7", "7", "8"]})
    [words] = group_hints(side, "group")
    assert f"metadata.csv has no column group, and its column {name} has one value" in words
    assert f"set preprocess.group_column: {name} in params.yaml" in words
    assert group_hints(side, name) == group_hints(side, None) == []
    assert group_hints(side.assign(group="1"), "group") == []


@pytest.mark.parametrize(
    ("name", "values"), [("model", "778"), ("age", "778"), ("side", "778"), ("patient", ["7", "8", ""])]
)
def test_other_columns_are_not_taken_for_groups(name: str, values: str | list[str]) -> None:
    assert group_hints(pd.DataFrame({"path": list("123"), name: list(values)}), "group") == []
