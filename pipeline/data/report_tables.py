"""Tables of the reports as CSV, for people and spreadsheets. Computes nothing."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from pipeline.core.cells import csv_path, guarded
from pipeline.storage.files import replacing


def write_table(file: Path, table: pd.DataFrame) -> None:
    """Write `table` as CSV, whole; no text in it begins a spreadsheet's formula, and `core/cells` turns it back."""
    texts = table.select_dtypes(exclude=["number", "bool", "datetime"]).columns
    safe = table.assign(**{column: table[column].map(_cell(column), na_action="ignore") for column in texts})
    with replacing(file) as beside:
        safe.to_csv(beside, index=False)


def _cell(column: str) -> Callable[[object], object]:
    write = csv_path if column == "path" else guarded
    return lambda value: write(value) if isinstance(value, str) else value
