"""The prepared dataset comes back as it was written, each row beside its pixels and label."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import NightshiftError
from pipeline.data.prepared import (
    SPLITS,
    Dataset,
    SplitName,
    dataset_sha256,
    read_dataset,
    read_split,
    write_dataset,
    write_split,
)
from pipeline.images.decode import decode
from pipeline.params.data import Images
from pipeline.storage.files import sha256
from tests.fixtures.images import save_image

LABELS: dict[SplitName, list[str]] = {
    "train": ["dog", "ant", "cat", "dog", "cat"],
    "val": ["cat"],
    "test": ["dog", "ant"],
}


@pytest.fixture
def dataset(rules: Images) -> Dataset:
    return Dataset(class_names=("ant", "cat", "dog"), images=rules, sha256="ab" * 32)


@pytest.fixture
def prepared(tmp_path: Path, dataset: Dataset) -> Path:
    """Three written splits; each row names the file that its pixels are decoded from."""
    folder = tmp_path / "prepared"
    folder.mkdir()
    write_dataset(folder, dataset)
    for name, labels in LABELS.items():
        files = [save_image(tmp_path / name / f"{seed}.png", seed) for seed in range(len(labels))]
        table = pd.DataFrame({"path": [str(file) for file in files], "label": labels, "width": [40] * len(files)})
        write_split(folder, name, table, (decode(file.read_bytes(), dataset.images).pixels for file in files))
    return folder


def test_what_holds_for_all_splits_comes_back(prepared: Path, dataset: Dataset) -> None:
    assert read_dataset(prepared) == dataset


@pytest.mark.parametrize("name", SPLITS)
def test_row_by_row_table_pixels_and_labels_are_the_same_image(
    prepared: Path, dataset: Dataset, name: SplitName
) -> None:
    split = read_split(prepared, name)
    assert split.table["label"].tolist() == LABELS[name]
    assert split.table["width"].tolist() == [40] * len(LABELS[name])
    assert (split.images.shape, split.images.dtype) == ((len(LABELS[name]), 24, 32, 3), np.uint8)
    assert split.labels.dtype == np.int64
    assert [dataset.class_names[index] for index in split.labels] == LABELS[name]
    for path, pixels in zip(split.table["path"], split.images, strict=True):
        assert np.array_equal(pixels, decode(Path(path).read_bytes(), dataset.images).pixels)


def test_pixels_stay_on_disk_and_cannot_be_changed(prepared: Path) -> None:
    images = read_split(prepared, "train").images
    assert isinstance(images, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 0


@pytest.mark.parametrize("read", [read_dataset, lambda folder: read_split(folder, "test")], ids=["dataset", "split"])
def test_a_missing_dataset_says_what_to_run(tmp_path: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(NightshiftError, match=r"the stage `preprocess` has not run. Run `dvc repro`"):
        read(tmp_path / "nothing")


def manifest_of(**classes: int) -> pd.DataFrame:
    """So many different images a class."""
    rows = [
        (f"{label}/{number}.jpg", label, sha256(f"{label}{number}".encode()))
        for label, count in classes.items()
        for number in range(count)
    ]
    return pd.DataFrame(rows, columns=["path", "label", "sha256"])


@given(order=st.permutations(range(9)))
def test_the_datasets_hash_does_not_depend_on_the_order_of_rows(order: list[int]) -> None:
    manifest = manifest_of(cat=5, dog=4)
    assert dataset_sha256(manifest.iloc[order]) == dataset_sha256(manifest)


@pytest.mark.parametrize("column", ["path", "label", "sha256"])
@pytest.mark.parametrize("row", [0, 4, 8])
def test_the_datasets_hash_changes_with_anything_of_any_image(column: str, row: int) -> None:
    manifest = manifest_of(cat=5, dog=4)
    changed = manifest.copy()
    changed.loc[row, column] = "another"
    hashes = {dataset_sha256(table) for table in (manifest, changed, manifest.drop(index=row))}
    assert len(hashes) == 3
