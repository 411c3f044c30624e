"""Promise: whatever the format and the enhancement, training, the night and the served model see the same pixels."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pillow_heif
import pytest
import tifffile
from PIL import Image

from pipeline.data.decoding import decode_all
from pipeline.data.prepared import Dataset, read_dataset, write_dataset
from pipeline.images.decode import decode
from pipeline.model.contract import Contract
from pipeline.night.reading import Decoded, read_image
from pipeline.params.data import Images
from pipeline.storage.files import sha256
from pipeline.storage.folders import folder_at
from tests.fixtures.dicom_files import dicom
from tests.fixtures.images import noise, save_image

RULES = Images(width=48, height=32, fit="pad", max_megapixels=1)
EVERY_RULE = [
    {},
    {"denoise": "median"},
    {"denoise": "non_local_means", "clahe": 3.0, "fit": "crop"},
    {"clahe": 2.0, "window": [1000, 2000], "bands": [2, 2, 1], "stretch": [5, 95]},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of every format."""
    folder = tmp_path_factory.mktemp("images")
    for number, kind in enumerate(("jpg", "png", "webp", "bmp", "gif", "jp2", "avif")):
        save_image(folder / f"{number}.{kind}", seed=number, width=80, height=50)
    pillow_heif.from_pillow(Image.fromarray(noise(80, 50))).save(folder / "photo.heic")
    (folder / "scan.dcm").write_bytes(
        dicom(noise(80, 50)[:, :, 0].astype(np.int16) * 9, WindowCenter=99, WindowWidth=99)
    )
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer, np.dstack([noise(80, 50, seed) for seed in (1, 2)]).astype(np.uint16), planarconfig="contig"
    )
    (folder / "scene.tif").write_bytes(buffer.getvalue())
    return folder


@pytest.mark.parametrize("changes", EVERY_RULE, ids=str)
def test_training_and_the_night_see_the_same_pixels(folder: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    rules = Images.model_validate(RULES.model_dump() | changes)
    paths = sorted(file.name for file in folder.iterdir())
    table = pd.DataFrame({"path": paths, "sha256": [sha256((folder / path).read_bytes()) for path in paths]})
    taught = list(decode_all(folder, table, rules, workers=2))

    write_dataset(tmp_path, Dataset(class_names=("a", "b"), images=rules, sha256=""))
    carried = Contract.model_validate_json(
        Contract(
            class_names=("a", "b"), images=read_dataset(tmp_path).images, backbone="cnn", temperature=1, unsure_below=0,
            dataset_sha256="", weights_sha256="", code_commit="",
        ).model_dump_json()
    ).images  # fmt: skip
    assert carried == rules
    for path, pixels in zip(paths, taught, strict=True):
        read = read_image(folder_at(folder), path, carried)
        assert isinstance(read, Decoded), read
        np.testing.assert_array_equal(read.picture.pixels, pixels)
        np.testing.assert_array_equal(decode((folder / path).read_bytes(), carried).pixels, pixels)
