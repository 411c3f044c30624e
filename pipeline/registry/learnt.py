"""The images and labels of the last training that came to the registry: what people have said since then is news."""

from collections.abc import Mapping
from pathlib import Path

from pipeline.core.log import log
from pipeline.core.paths import PREPARED
from pipeline.storage.files import replacing

LEARNT = Path(".nightshift/learnt.parquet")  # columns sha256 and label; without it a training counts as none


def note_learnt(prepared: Path = PREPARED, file: Path = LEARNT) -> None:
    """Note the dataset in `prepared` as learnt. A note that cannot be written is a warning: the training is done."""
    import pandas as pd

    from pipeline.data.prepared import SPLITS

    try:
        tables = [pd.read_parquet(prepared / f"{name}.parquet", columns=["sha256", "label"]) for name in SPLITS]
        with replacing(file) as beside:
            pd.concat(tables, ignore_index=True).to_parquet(beside, index=False, compression="zstd")
    except OSError as error:
        log.warning("%s could not be written, so the deployment `learn` counts from earlier on: %s", file, error)


def read_learnt(file: Path = LEARNT) -> Mapping[str, str]:
    """SHA-256 -> label; empty where no training is noted."""
    import pyarrow.parquet as pq
    from pyarrow import ArrowException

    try:
        table = pq.read_table(file, columns=["sha256", "label"]).to_pydict()
    except (OSError, ArrowException):  # of another version, or half copied: the next training notes it again
        return {}
    return dict(zip(table["sha256"], table["label"], strict=True))
