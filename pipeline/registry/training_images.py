"""The hashes of the images that made a model, stored inside it, and of those that test it. Knows no registry."""

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.storage.files import sha256

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


def test_images(prepared: Path) -> str:
    """A short hash of the test images and their labels: accuracies compare only where it is the same."""
    import pandas as pd

    table = pd.read_parquet(prepared / "test.parquet", columns=["sha256", "label"])
    rows = sorted(f"{image} {label}" for image, label in table.itertuples(index=False))
    return sha256("\n".join(rows).encode("utf-8", "surrogateescape"))[:16]


def write_image_table(table: "pd.DataFrame", file: Path) -> None:
    """Write the table; about 40 bytes per image."""
    table.sort_values("sha256").to_parquet(file, index=False, compression="zstd")
