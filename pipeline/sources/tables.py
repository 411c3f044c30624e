"""Read and check the rows of a table of labelled images (CSV, TSV or Parquet). Opens no image.

Columns: `path` and `label`; optional `split` and `group`; all others are kept as they are. The source resolves `path`
and checks that the files exist.
"""

import io
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from pipeline.core import people_tables
from pipeline.core.cells import unguarded
from pipeline.core.people_tables import Table, TableError, row_numbers
from pipeline.core.text import named, stripped
from pipeline.data import labels
from pipeline.sources.layout import SPLIT_OF, SourceError

ENDINGS = (".csv", ".tsv", ".parquet")
KNOWN = ("path", "label", "split", "group")  # columns with a meaning, in any case


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
    table = _parquet(data, name) if name.lower().endswith(".parquet") else separated(data, name)
    _check_columns(table.columns, name)
    numbered = {number: _as_meant(dict(zip(table.columns, cells, strict=True))) for number, cells in table.rows}
    for column in ("path", "label"):
        empty = [number for number, row in numbered.items() if not row[column]]
        if empty:
            raise SourceError(f"{name}: {column} is empty in {row_numbers(empty)}. Fill it in, or delete the rows.")
    labels.refuse_lookalikes({row["label"] for row in numbered.values()}, name)
    numbered = {number: {**row, "label": labels.clean(row["label"])} for number, row in numbered.items()}
    _check_splits(numbered, name)
    return _unique(numbered, table.columns, name)


def separated(data: bytes, name: str, known: Collection[str] = KNOWN, encodings: Collection[str] = ()) -> Table:
    """A CSV or TSV file as `core/people_tables` reads it. Raises SourceError naming the fault."""
    try:
        return people_tables.read_table(data, name, known, encodings)
    except TableError as error:
        raise SourceError(str(error)) from error


def _as_meant(row: Mapping[str, str]) -> dict[str, str]:
    """A row without what a spreadsheet or a hand adds: blanks around path, label and group, guards of formulas."""
    words = {column: stripped(unguarded(text)) for column, text in row.items() if column in ("label", "split", "group")}
    return {**row, **words, "path": stripped(row["path"])}


def _check_columns(columns: Sequence[str], name: str) -> None:
    if missing := [column for column in ("path", "label") if column not in columns]:
        raise SourceError(
            f"{name} has no column {' and no column '.join(missing)}; its columns are {named(columns) or 'none'}. "
            f"It must have path and label, may have split, group and any others, separated by "
            f"{'tabs' if name.lower().endswith('tsv') else 'commas'} (or by semicolons, tabs or vertical bars, the "
            "same ones in every row). Rename them."
        )
    if twice := sorted({column for column in columns if columns.count(column) > 1}):
        raise SourceError(f"{name} has several columns of the same name: {named(twice)}. Rename or delete them.")
    if "" in columns:
        raise SourceError(f"{name}: column {columns.index('') + 1} has no name. Name it, or delete it.")


def _check_splits(numbered: Mapping[int, Mapping[str, str]], name: str) -> None:
    words = {number: row.get("split", "") for number, row in numbered.items()}
    if unknown := [number for number, word in words.items() if word and word.casefold() not in SPLIT_OF]:
        found = sorted({words[number] for number in unknown})
        raise SourceError(
            f"{name}: split is {named(found)} in {row_numbers(unknown)}. It must be train, val, test or empty. "
            "Correct it."
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
            values["split"] = SPLIT_OF.get(values["split"].casefold(), "")
        rows.append(Row(values["path"], values["label"], tuple((column, values[column]) for column in others)))
    return rows


def _parquet(data: bytes, name: str) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(data))
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{name} is not a valid Parquet file: {error}. Save it again.") from error
    values = [[_as_text(value) for value in column.to_pylist()] for column in table.columns]
    rows = [(number, list(row)) for number, row in enumerate(zip(*values, strict=True), start=2) if any(row)]
    return Table(people_tables.named_as(table.column_names, KNOWN), rows)


def _as_text(value: object) -> str:
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    return "" if missing else str(value)
