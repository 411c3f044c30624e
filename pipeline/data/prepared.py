"""The prepared dataset: one table and one array of decoded pixels per split, and all frames of files of several.

Owns the format.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

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


@dataclass(frozen=True, slots=True)
class SplitFrames:
    """The frames of a split's files of several (images.frame: all); position i of both parts is the same frame."""

    images: NDArray[np.uint8]  # (m, height, width, 3), RGB, 0..255, memory-mapped
    rows: NDArray[np.int64]  # (m,), of each one's file in the split's table; -1: damaged, and black

    @property
    def readable(self) -> NDArray[np.int64]:
        """The positions of the frames that are not damaged."""
        return np.flatnonzero(self.rows >= 0)


def new_frames(folder: Path, name: SplitName, shape: tuple[int, int, int, int]) -> "np.memmap[Any, np.dtype[np.uint8]]":
    """A black `<split>_frames.npy` of this shape, (m, height, width, 3), to write the frames of a split into."""
    return np.lib.format.open_memmap(folder / f"{name}_frames.npy", mode="w+", dtype=np.uint8, shape=shape)


def write_rows_of_frames(folder: Path, name: SplitName, rows: Sequence[int]) -> None:
    """Write `<split>_frames.parquet`: the row of each frame's file, as in SplitFrames."""
    pd.DataFrame({"row": np.array(rows, np.int64)}).to_parquet(folder / f"{name}_frames.parquet", index=False)


def read_frames(folder: Path, name: SplitName) -> SplitFrames | None:
    """Read both back, memory-mapped; None: no file of the split has several frames with an answer of their own."""
    file = folder / f"{name}_frames.parquet"
    if not file.is_file():
        return None
    rows = pd.read_parquet(file)["row"].to_numpy(np.int64)
    return SplitFrames(np.load(folder / f"{name}_frames.npy", mmap_mode="r"), rows)
