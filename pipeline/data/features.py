"""Features of images on disk: `<split>.npy` (n, d) and `train_views.npy` (views, n, d), float32. Owns the format.

Row i belongs to image i of the split. Does not know which network computed them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import NightshiftError
from pipeline.data.prepared import SplitName

Features = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """The features of the training images, followed by those of each augmented view: (n * (1 + views), d).

    Index it with an array of row numbers; it reads only those rows from disk.
    """

    images: Features  # (n, d)
    views: Features  # (views, n, d)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and features."""
        views, count, width = self.views.shape
        return (1 + views) * count, width

    @property
    def dtype(self) -> np.dtype[np.float32]:
        """Of each row."""
        return self.images.dtype

    def __len__(self) -> int:
        """Rows."""
        return self.shape[0]

    def __getitem__(self, index: NDArray[np.int64]) -> Features:
        """The rows `index`, (len(index), d)."""
        rows = np.empty((len(index), self.shape[1]), np.float32)
        of_view = index >= len(self.images)
        rows[~of_view] = self.images[index[~of_view]]
        rows[of_view] = self.views.reshape(-1, self.shape[1])[index[of_view] - len(self.images)]
        return rows


def write_features(folder: Path, name: SplitName, count: int, parts: Iterable[Features]) -> None:
    """Write the features of a split of `count` images from its parts (k, d), in constant memory."""
    _write(folder / f"{name}.npy", (count,), parts)


def write_views(folder: Path, views: int, count: int, parts: Iterable[Features]) -> None:
    """Write the features of augmented training images from parts (k, d): the whole first view, then the next."""
    _write(folder / "train_views.npy", (views, count), parts)


def read_features(folder: Path, name: SplitName) -> Features:
    """The features of a split, (n, d), memory-mapped. Raises NightshiftError when the file is missing."""
    return _read(folder / f"{name}.npy")


def read_training_rows(folder: Path) -> TrainingRows:
    """The training images and their views; `np.tile(labels, 1 + len(rows.views))` are the labels.

    Raises NightshiftError when the features are missing, or the views belong to other images.
    """
    images, file = read_features(folder, "train"), folder / "train_views.npy"
    views = _read(file) if file.is_file() else np.empty((0, *images.shape), np.float32)
    if views.shape[1:] != images.shape:
        raise NightshiftError(
            f"{file} has features of shape {views.shape[1:]} in each view, {folder / 'train.npy'} has {images.shape}: "
            "they are of different images. Run `dvc repro embed`."
        )
    return TrainingRows(images, views)


def _write(file: Path, rows: tuple[int, ...], parts: Iterable[Features]) -> None:
    flat, done = None, 0
    for part in parts:
        if flat is None:
            array = np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=(*rows, part.shape[1]))
            flat = array.reshape(-1, part.shape[1])
        flat[done : done + len(part)] = part
        done += len(part)
    if flat is None or done != len(flat):
        raise ValueError(f"{file.name} needs {np.prod(rows)} rows, got {done}.")
    array.flush()


def _read(file: Path) -> Features:
    try:
        found: Features = np.load(file, mmap_mode="r")
    except FileNotFoundError:
        raise NightshiftError(f"{file} is missing: the stage `embed` has not run. Run `dvc repro embed`.") from None
    return found
