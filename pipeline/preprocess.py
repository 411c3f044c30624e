"""Freeze the split, decode every image once. Does not augment; a file's content alone decides its split."""

import hashlib
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Never

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from pipeline.errors import NightshiftError
from pipeline.files import replacing, sha256
from pipeline.images import decode
from pipeline.params import Fractions, Images, load_params
from pipeline.paths import MANIFEST, PREPARED, RAW
from pipeline.prepared import SPLITS, Dataset, write_dataset, write_split
from pipeline.stage import log, run


def assign_splits(manifest: pd.DataFrame, fractions: Fractions, seed: int) -> pd.Series:
    """`train`, `val` or `test` for each row, stratified: each class is cut at `fractions`, to within one image.

    Files of the same content go to the same split. The order within a class is that of a hash of seed and content,
    so neither names, nor the order of the rows, nor a random generator's version plays a part.
    Raises NightshiftError when a class has too few different images for three splits.
    """
    splits = pd.Series("train", index=manifest.index, dtype="str")
    for label, rows in manifest.groupby("label"):
        contents = sorted(rows["sha256"].unique(), key=lambda content: _draw(seed, content))
        if len(contents) < len(SPLITS):
            raise NightshiftError(
                f"Class {label} has {len(contents)} different images; training, validation and test need one each. "
                f"Add images to {RAW}/{label}, or remove the class."
            )
        test = min(max(1, round(len(contents) * fractions.test)), len(contents) - 2)
        val = min(max(1, round(len(contents) * fractions.val)), len(contents) - test - 1)
        splits[rows.index[rows["sha256"].isin(contents[:test])]] = "test"
        splits[rows.index[rows["sha256"].isin(contents[test : test + val])]] = "val"
    return splits


def _draw(seed: int, content: str) -> str:
    """A uniform draw that belongs to this content for ever."""
    return hashlib.sha256(f"{seed}/{content}".encode()).hexdigest()


def dataset_sha256(manifest: pd.DataFrame) -> str:
    """One hash over every image's path, label and content, whatever the order of the rows."""
    rows = manifest.sort_values("path")[["path", "label", "sha256"]]
    return sha256(rows.to_csv(index=False, lineterminator="\n").encode("utf-8", "surrogateescape"))


def decode_all(raw: Path, table: pd.DataFrame, rules: Images, workers: int) -> Iterator[NDArray[np.uint8]]:
    """The pixels of each row's file, in order. Raises NightshiftError when a file is not the one that was validated."""

    def pixels(path: str, expected: str) -> NDArray[np.uint8]:
        try:
            data = (raw / path).read_bytes()
        except FileNotFoundError:
            data = b""
        if sha256(data) != expected:
            raise NightshiftError(f"{raw / path} has changed since it was validated. Run `dvc repro` again.")
        return decode(data, rules).pixels

    chunk = 4 * workers  # a few images in flight, however many there are
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(table), chunk):
            rows = table.iloc[start : start + chunk]
            yield from pool.map(pixels, rows["path"], rows["sha256"])


def main() -> None:
    """The stage."""
    params = load_params()
    manifest = pd.read_parquet(MANIFEST)
    manifest = manifest[manifest["readable"]].reset_index(drop=True)
    splits = assign_splits(manifest, params.preprocess.fractions, params.seed)
    class_names = tuple(sorted(manifest["label"].unique()))
    with replacing(PREPARED) as beside, tqdm(desc="decode", total=len(manifest), unit="image") as progress:
        beside.mkdir()
        dataset = Dataset(class_names=class_names, images=params.images, sha256=dataset_sha256(manifest))
        write_dataset(beside, dataset)
        for name in SPLITS:
            table = manifest[splits == name].reset_index(drop=True)
            images = decode_all(RAW, table, params.images, params.compute.reading_threads)
            write_split(beside, name, table, progress_over(images, progress))
            log.info("%s: %s", name, ", ".join(f"{n} {label}" for label, n in table["label"].value_counts().items()))


def progress_over(images: Iterator[NDArray[np.uint8]], progress: "tqdm[Never]") -> Iterator[NDArray[np.uint8]]:
    """The same images, counted."""
    for image in images:
        progress.update()
        yield image


if __name__ == "__main__":
    sys.exit(run(main))
