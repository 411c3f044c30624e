"""Freeze the split, decode every image once. Does not augment."""

import hashlib
import sys
from collections.abc import Iterator
from typing import Never

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from pipeline.core.command import run
from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.core.paths import FROZEN_SPLITS, MANIFEST, PREPARED, RAW, TEST_PREDICTIONS
from pipeline.core.terminal import progress_bar
from pipeline.data.decoding import decode_all
from pipeline.data.prepared import SPLITS, Dataset, dataset_sha256, write_dataset, write_split
from pipeline.data.prepared_frames import write_frames
from pipeline.data.splits import LEFT_OUT, NEW_SPLIT, FrozenSplits, draw_splits
from pipeline.params.file import load_params
from pipeline.storage.files import read_json, replacing, write_json
from pipeline.versions.dvc import locked_hashes

TAUGHT = ("train", "val")  # the splits that shape a model


def read_frozen() -> FrozenSplits | None:
    """The split as it was drawn before, if it was. Raises NightshiftError when the file cannot be read."""
    try:
        return FrozenSplits.model_validate(read_json(FROZEN_SPLITS))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise NightshiftError(
            f"{FROZEN_SPLITS} is not a valid split: {error}. Fetch it again (`dvc checkout --force {FROZEN_SPLITS}`). "
            + NEW_SPLIT
        ) from error


def main() -> None:
    """The stage."""
    params = load_params()
    manifest = pd.read_parquet(MANIFEST)
    manifest = manifest[manifest["readable"] & (manifest["quarantined"] == "")].reset_index(drop=True)
    frozen = read_frozen()
    drawn = draw_splits(manifest, params.preprocess.fractions, params.seed, frozen)
    for note in drawn.notes:
        log.warning("%s", note)
    write_json(FROZEN_SPLITS, drawn.frozen.model_dump())
    if frozen is None and (words := _of_another_split(manifest, drawn.splits)):
        log.warning("%s", words)
    manifest, splits = manifest[drawn.splits != LEFT_OUT], drawn.splits[drawn.splits != LEFT_OUT]
    class_names = tuple(sorted(manifest["label"].unique()))
    with replacing(PREPARED) as beside, progress_bar(desc="decode", total=len(manifest), unit="image") as progress:
        beside.mkdir()
        dataset = Dataset(class_names=class_names, images=params.images, sha256=dataset_sha256(manifest))
        write_dataset(beside, dataset)
        for name in SPLITS:
            table = manifest[splits == name].reset_index(drop=True)
            images = decode_all(RAW, table, params.images, params.compute.threads)
            write_split(beside, name, table, progress_over(images, progress))
            if name != "train":
                write_frames(beside, name, RAW, table, params.images, params.compute.threads)
            log.debug("%s: %s", name, ", ".join(f"{n} {label}" for label, n in table["label"].value_counts().items()))
    counts = splits.value_counts()
    log.info("%s images.", ", ".join(f"{counts.get(name, 0)} {name}" for name in SPLITS))


def _of_another_split(manifest: pd.DataFrame, splits: pd.Series) -> str:
    """A warning if dvc.lock names another split, which is not here, of some of these images; else empty.

    Other images than those of the lock, as after a clone of somebody's project, have lost no split.
    """
    locked = locked_hashes().get(str(FROZEN_SPLITS))
    if locked in (None, hashlib.md5(FROZEN_SPLITS.read_bytes(), usedforsecurity=False).hexdigest()):  # DVC's own hash
        return ""
    what = "Test images may have become training images."
    if TEST_PREDICTIONS.is_file():
        tested = manifest["path"].isin(pd.read_csv(TEST_PREDICTIONS, usecols=["path"], dtype=str)["path"])
        taught = int((tested & splits.isin(TAUGHT)).sum())
        if not taught:
            return ""
        what = f"{taught} images that {TEST_PREDICTIONS} names as test images are training or validation images now."
    return (
        f"dvc.lock names a split that is not here, so a new one was drawn. {what} To keep the old one, delete "
        f"{FROZEN_SPLITS}, run `nightshift data pull`, then this command again."
    )


def progress_over(images: Iterator[NDArray[np.uint8]], progress: "tqdm[Never]") -> Iterator[NDArray[np.uint8]]:
    """The same images, counted."""
    for image in images:
        progress.update()
        yield image


if __name__ == "__main__":
    sys.exit(run(main))
