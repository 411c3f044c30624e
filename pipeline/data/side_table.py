"""The side table of the images, `data/raw/metadata.csv`: one row per image, with `path` and any other columns.

It is beside the images so that one data version contains both. All values are text, as given.
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from pipeline.core.errors import NightshiftError

Rows = Mapping[str, Mapping[str, str]]  # path -> column -> value


class MetadataError(NightshiftError):
    """The side table cannot be read; the message says why."""


def merged(table: pd.DataFrame, rows: Rows) -> pd.DataFrame:
    """`table` with the values of `rows`, by path, sorted by path; other rows and columns do not change."""
    known: dict[str, dict[str, str]] = {row["path"]: row for row in table.to_dict("records")}  # type: ignore[misc]
    for path, row in rows.items():
        known[path] = {**known.get(path, {}), "path": path, **row}
    columns = dict.fromkeys(["path", *table.columns, *(column for row in rows.values() for column in row)])
    frame = pd.DataFrame([known[path] for path in sorted(known)], columns=list(columns), dtype="str")
    return frame.fillna("")


def read_metadata(file: Path) -> pd.DataFrame:
    """The side table, all columns as text; without rows if the file does not exist. Raises MetadataError."""
    if not file.exists():
        return pd.DataFrame({"path": []}, dtype="str")
    try:
        table = pd.read_csv(file, dtype="str", keep_default_na=False)
    except (ValueError, OSError) as error:  # pandas' own errors, and bytes that are not UTF-8, are ValueErrors
        raise MetadataError(f"Could not read {file}: {error}. Repair it, or move it away.") from error
    if "path" not in table.columns:
        raise MetadataError(f"{file} has no column path; its columns are {', '.join(table.columns)}. Add it.")
    return table


def write_metadata(file: Path, table: pd.DataFrame) -> None:
    """Write the table as CSV to `file`."""
    table.to_csv(file, index=False, lineterminator="\n")
