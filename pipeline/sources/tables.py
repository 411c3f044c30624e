"""Read and check the rows of a table of labelled images (CSV, TSV or Parquet). Opens no image.

Columns: `path` and `label`; optional `split` and `group`; all others are kept as they are. The source resolves `path`
and checks that the files exist.
"""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.core.text import EXAMPLES, named, shown
from pipeline.sources.layout import SPLIT_OF, SourceError

ENDINGS = (".csv", ".tsv", ".parquet")


@dataclass(frozen=True, slots=True)
class Row:
    """One image of a table."""

    path: str
    label: str
    known: tuple[tuple[str, str], ...]  # the other columns, in their order


def read_table(data: bytes, name: str) -> list[Row]:
    """The rows of a table, each image once. Raises SourceError naming the wrong rows.

    `name` ends in `.csv`, `.tsv` or `.parquet`; messages name it. Rows are counted as a spreadsheet does: the header
    is row 1.
    """
    ending = name.lower().rpartition(".")[2]
    columns, cells = _parquet(data, name) if ending == "parquet" else separated(data, name, ending)
    _check_columns(columns, name)
    numbered = {
        number: dict(zip(columns, row, strict=True)) for number, row in enumerate(cells, start=2) if any(row)
    }  # without empty rows
    for column in ("path", "label"):
        empty = [number for number, row in numbered.items() if not row[column].strip()]
        if empty:
            raise SourceError(f"{name}: {column} is empty in {_rows(empty)}. Fill it in, or delete the rows.")
    _check_splits(numbered, name)
    return _unique(numbered, columns, name)


def _check_columns(columns: Sequence[str], name: str) -> None:
    if missing := [column for column in ("path", "label") if column not in columns]:
        raise SourceError(
            f"{name} has no column {' and no column '.join(missing)}; its columns are {named(columns) or 'none'}. "
            f"It must have path and label, may have split, group and any others, separated by "
            f"{'tabs' if name.lower().endswith('tsv') else 'commas'}. Rename them."
        )
    if twice := sorted({column for column in columns if columns.count(column) > 1}):
        raise SourceError(f"{name} has several columns of the same name: {named(twice)}. Rename or delete them.")
    if "" in columns:
        raise SourceError(f"{name}: column {columns.index('') + 1} has no name. Name it, or delete it.")


def _check_splits(numbered: Mapping[int, Mapping[str, str]], name: str) -> None:
    words = {number: row.get("split", "").strip() for number, row in numbered.items()}
    if unknown := [number for number, word in words.items() if word and word.casefold() not in SPLIT_OF]:
        found = sorted({words[number] for number in unknown})
        raise SourceError(
            f"{name}: split is {named(found)} in {_rows(unknown)}. It must be train, val, test or empty. Correct it."
        )


def _unique(numbered: Mapping[int, Mapping[str, str]], columns: Sequence[str], name: str) -> list[Row]:
    """The rows without repeated ones; raises SourceError if a repeated row differs."""
    first: dict[str, int] = {}
    unlike: dict[str, list[int]] = {}
    for number, row in numbered.items():
        earlier = first.setdefault(row["path"], number)
        for column in columns:
            if row[column] != numbered[earlier][column]:
                unlike.setdefault(column, []).append(number)
    for column in ("label", *unlike):
        if numbers := unlike.get(column):
            pairs = [f"{numbered[number]['path']} (rows {first[numbered[number]['path']]} and {number})"
                     for number in numbers]  # fmt: skip
            raise SourceError(
                f"{name}: {len(pairs):,} rows name an image a second time with another {column}: {named(pairs)}. "
                "Decide which is right and delete the other."
            )
    others = [column for column in columns if column not in ("path", "label")]
    rows = []
    for number in first.values():
        values = dict(numbered[number])
        if "split" in values:
            values["split"] = SPLIT_OF.get(values["split"].strip().casefold(), "")
        rows.append(Row(values["path"], values["label"], tuple((column, values[column]) for column in others)))
    return rows


def separated(data: bytes, name: str, ending: str) -> tuple[list[str], list[list[str]]]:
    """The columns of a CSV or TSV file, and its rows' cells, as many in each. Raises SourceError naming the fault."""
    try:
        text = data.decode("utf-8-sig")
        lines = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if ending == "tsv" else ",", strict=True)
        columns, *cells = list(lines) or [[]]
    except UnicodeDecodeError as error:
        raise SourceError(f"{name} is not UTF-8 text: {error}. Save it as UTF-8.") from error
    except csv.Error as error:
        raise SourceError(f"{name} is not valid {ending.upper()}: {error}. Save it again.") from error
    cells = [row or [""] * len(columns) for row in cells]
    if uneven := [number for number, row in enumerate(cells, start=2) if len(row) != len(columns)]:
        raise SourceError(
            f"{name}: {_rows(uneven)} do not have {len(columns)} values, one for each column. Put values that hold a "
            "separator in quotes."
        )
    return columns, cells


def _parquet(data: bytes, name: str) -> tuple[list[str], list[list[str]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(data))
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{name} is not a valid Parquet file: {error}. Save it again.") from error
    values = [[_as_text(value) for value in column.to_pylist()] for column in table.columns]
    return list(table.column_names), [list(row) for row in zip(*values, strict=True)]


def _as_text(value: object) -> str:
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    return "" if missing else str(value)


def _rows(numbers: Sequence[int]) -> str:
    """`row 3`, or `rows 3, 4, 5 and 2 more`."""
    more = f" and {len(numbers) - EXAMPLES:,} more" if len(numbers) > EXAMPLES else ""
    return f"row{'s' if len(numbers) > 1 else ''} {shown(', '.join(map(str, numbers[:EXAMPLES])))}{more}"
