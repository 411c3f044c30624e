"""Freeze the split, decode every image once. Does not augment."""

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
from pipeline.core.paths import FROZEN_SPLITS, MANIFEST, PREPARED, RAW
from pipeline.data.decoding import decode_all
from pipeline.data.prepared import SPLITS, Dataset, dataset_sha256, write_dataset, write_split
from pipeline.data.splits import LEFT_OUT, NEW_SPLIT, FrozenSplits, draw_splits
from pipeline.params.file import load_params
from pipeline.storage.files import read_json, replacing, write_json
from pipeline.versions.dvc import locked_hashes


def read_frozen() -> FrozenSplits | None:
    """The split as it was drawn before, if it was. Raises NightshiftError when the file cannot be read."""
    try:
        return FrozenSplits.model_validate(read_json(FROZEN_SPLITS))
    except FileNotFoundError:
        if str(FROZEN_SPLITS) in locked_hashes():
            log.warning(
                "dvc.lock names a split that is not here: a new one is drawn, and test images may become training "
                "images. To keep the old one, run `nightshift data pull`, then this command again."
            )
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
    drawn = draw_splits(manifest, params.preprocess.fractions, params.seed, read_frozen())
    for note in drawn.notes:
        log.warning("%s", note)
    write_json(FROZEN_SPLITS, drawn.frozen.model_dump())
    manifest, splits = manifest[drawn.splits != LEFT_OUT], drawn.splits[drawn.splits != LEFT_OUT]
    class_names = tuple(sorted(manifest["label"].unique()))
    with replacing(PREPARED) as beside, tqdm(desc="decode", total=len(manifest), unit="image") as progress:
        beside.mkdir()
        dataset = Dataset(class_names=class_names, images=params.images, sha256=dataset_sha256(manifest))
        write_dataset(beside, dataset)
        for name in SPLITS:
            table = manifest[splits == name].reset_index(drop=True)
            images = decode_all(RAW, table, params.images, params.compute.threads)
            write_split(beside, name, table, progress_over(images, progress))
            log.info("%s: %s", name, ", ".join(f"{n} {label}" for label, n in table["label"].value_counts().items()))


def progress_over(images: Iterator[NDArray[np.uint8]], progress: "tqdm[Never]") -> Iterator[NDArray[np.uint8]]:
    """The same images, counted."""
    for image in images:
        progress.update()
        yield image


if __name__ == "__main__":
    sys.exit(run(main))
