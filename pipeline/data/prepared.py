"""The prepared dataset: one table and one array of decoded pixels per split. Owns the format."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from pipeline.core.errors import NightshiftError
from pipeline.params.data import Images
from pipeline.storage.files import read_json, sha256, write_json

SplitName = Literal["train", "val", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "val", "test")


class Dataset(BaseModel):
    """The facts that all splits share."""

    model_config = ConfigDict(frozen=True)

    class_names: tuple[str, ...]  # sorted; a label's position is its index in logits and probabilities
    images: Images
    sha256: str  # of every image's path, label and content, so any changed byte changes it


@dataclass(frozen=True, slots=True)
class Split:
    """One split; row i of each part is the same image."""

    table: pd.DataFrame  # the manifest's columns
    images: NDArray[np.uint8]  # (n, height, width, 3), RGB, 0..255, memory-mapped
    labels: NDArray[np.int64]  # (n,), index into class_names


def dataset_sha256(manifest: pd.DataFrame) -> str:
    """One hash over every image's path, label and content, whatever the order of the rows."""
    rows = manifest.sort_values("path")[["path", "label", "sha256"]]
    return sha256(rows.to_csv(index=False, lineterminator="\n").encode("utf-8", "surrogateescape"))


def write_dataset(folder: Path, dataset: Dataset) -> None:
    """Write the facts that all splits share."""
    write_json(folder / "dataset.json", dataset.model_dump())


def read_dataset(folder: Path) -> Dataset:
    """Read them back. Raises NightshiftError when they are missing."""
    try:
        return Dataset.model_validate(read_json(folder / "dataset.json"))
    except FileNotFoundError:
        raise NightshiftError(f"{folder} is empty: the stage `preprocess` has not run. Run `dvc repro`.") from None


def write_split(folder: Path, name: SplitName, table: pd.DataFrame, images: Iterable[NDArray[np.uint8]]) -> None:
    """Write one split, image by image, in constant memory."""
    table.to_parquet(folder / f"{name}.parquet", index=False)
    array = None
    for number, pixels in enumerate(images):
        if array is None:
            shape = (len(table), *pixels.shape)
            array = np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=np.uint8, shape=shape)
        array[number] = pixels
    if array is not None:
        array.flush()


def read_split(folder: Path, name: SplitName) -> Split:
    """Read one split; its pixels are memory-mapped."""
    index = {label: position for position, label in enumerate(read_dataset(folder).class_names)}
    table = pd.read_parquet(folder / f"{name}.parquet")
    labels = np.array([index[label] for label in table["label"]], np.int64)
    return Split(table, np.load(folder / f"{name}.npy", mmap_mode="r"), labels)
