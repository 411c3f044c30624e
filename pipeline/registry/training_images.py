"""The hashes of the images a model was made with, as they travel inside it. Knows no model and no registry."""

from pathlib import Path

import pandas as pd

from pipeline.data.prepared import SPLITS

TRAINING_IMAGES = "training_images.parquet"  # columns sha256 and split, one row a content
TAUGHT = ("train", "val")  # the splits that shape a model: weights, and when to stop, temperature, threshold


def image_table(prepared: Path) -> pd.DataFrame:
    """Columns sha256 and split of all images in the prepared dataset; a content in two splits counts as taught."""
    tables = [pd.read_parquet(prepared / f"{name}.parquet", columns=["sha256"]).assign(split=name) for name in SPLITS]
    return pd.concat(tables, ignore_index=True).drop_duplicates("sha256", keep="first")


def write_image_table(table: pd.DataFrame, file: Path) -> None:
    """Write it; about 40 bytes an image."""
    table.sort_values("sha256").to_parquet(file, index=False, compression="zstd")
