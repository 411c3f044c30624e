"""Write the demo set to `data/raw/<class>/`. Copies bytes; decodes no pixel."""

from importlib import resources
from pathlib import Path

import pandas as pd

from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.core.paths import METADATA, RAW
from pipeline.sources.copy import import_images
from pipeline.sources.layout import Found, Item
from pipeline.sources.source import Files
from pipeline.sources.staging import staging

DEFECT_CUT = 0.5  # the published benchmark's threshold between functional and defective cells


class DemoError(NightshiftError):
    """The demo set is missing, or would mix with other images; the message says what to do."""


def write_demo(raw: Path = RAW) -> pd.Series:
    """Write the demo set, 2,624 photographs of solar cells, and its side table; returns the images per class.

    Writing it again changes nothing. Raises DemoError when the package is missing or `raw` holds other images.
    """
    try:
        source = resources.files("elpv_dataset") / "data"
    except ModuleNotFoundError:
        raise DemoError(
            "The demo images come from the package elpv-dataset, which is not installed. Run `make install`, "
            "or `pip install 'nightshift[demo]'`."
        ) from None
    with resources.as_file(source) as folder, staging(raw) as room:
        columns = ["file", "defect_probability", "cell_type"]
        cells = pd.read_csv(folder / "labels.csv", sep=r"\s+", names=columns, dtype="str")
        label = cells["defect_probability"].astype("float").ge(DEFECT_CUT).map({True: "defective", False: "functional"})
        items = [
            Item(name, Path(row["file"]).name, Found(row["file"], str(folder / row["file"])),
                 tuple((column, row[column]) for column in columns[1:]))
            for name, row in zip(label, cells.to_dict("records"), strict=True)
        ]  # fmt: skip
        _refuse_other_images(raw, {METADATA.name, *(f"{item.label}/{item.below}" for item in items)})
        done = import_images(Files(items, left_aside=0), raw, room, replace=True)
        if not done.new and not done.replaced:
            log.info("%s already holds the demo images.", raw)
    return label.value_counts()


def _refuse_other_images(raw: Path, ours: set[str]) -> None:
    """The demo set never mixes with, or replaces, somebody's own images."""
    others = [file for file in raw.rglob("*") if file.is_file() and file.relative_to(raw).as_posix() not in ours]
    if others:
        raise DemoError(
            f"{raw} holds other images already (for example {others[0]}). Move them away first: `mv {raw} my-images`."
        )
