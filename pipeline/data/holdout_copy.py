"""Copy the test images, which no training has used, into a folder for a night. Copies bytes; decodes no pixel."""

import shutil
from pathlib import Path

import pandas as pd

from pipeline.core.errors import NightshiftError
from pipeline.core.paths import PREPARED, RAW
from pipeline.core.terminal import progress_bar
from pipeline.storage.files import replacing


class HoldoutError(NightshiftError):
    """There are no test images yet, or their copies would mix with other files; the message says what to do."""


def copy_test_images(destination: Path, raw: Path = RAW, prepared: Path = PREPARED) -> int:
    """Copy the test split's files into `destination`, without their labels; returns their number.

    Raises HoldoutError when there is no split yet, or `destination` holds other files.
    """
    table = prepared / "test.parquet"
    if not table.is_file():
        raise HoldoutError(f"{table} is missing: the images are not split yet. Run `nightshift train` first.")
    paths = pd.read_parquet(table, columns=["path"])["path"]
    # Two classes may each have a 001.jpg: a number keeps both apart without revealing the label.
    names = {path: f"{number:06d}-{Path(path).name}" for number, path in enumerate(sorted(paths, key=_name))}
    others = [file for file in destination.glob("*") if file.name not in names.values()]
    if others:
        raise HoldoutError(
            f"{destination} holds other files already (for example {others[0]}). Choose an empty folder."
        )
    with replacing(destination) as beside:
        beside.mkdir()
        for path, name in progress_bar(names.items(), "test images", unit="image"):
            shutil.copyfile(raw / path, beside / name)
    return len(names)


def _name(path: str) -> tuple[str, str]:
    """Sort by file name, then by the whole path, so that the order does not reveal the class."""
    return Path(path).name, path
