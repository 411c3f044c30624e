"""The hashes of the images that made a model, stored inside it. Knows no model and no registry."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # every process of a night knows this file's name, and none needs half a second for pandas
    import pandas as pd

TRAINING_IMAGES = "training_images.parquet"  # columns sha256 and split, one row per content
TAUGHT = ("train", "val")  # the splits that shape a model: its weights, when to stop, temperature, threshold


def image_table(prepared: Path) -> "pd.DataFrame":
    """Columns sha256 and split of all images in the prepared dataset; a content in two splits counts for the first."""
    import pandas as pd

    from pipeline.data.prepared import SPLITS

    tables = [pd.read_parquet(prepared / f"{name}.parquet", columns=["sha256"]).assign(split=name) for name in SPLITS]
    return pd.concat(tables, ignore_index=True).drop_duplicates("sha256", keep="first")


def write_image_table(table: "pd.DataFrame", file: Path) -> None:
    """Write the table; about 40 bytes per image."""
    table.sort_values("sha256").to_parquet(file, index=False, compression="zstd")
