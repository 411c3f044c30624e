"""The side table of the images, `data/raw/metadata.csv`: one row per image, with `path` and any other columns.

It is beside the images so that one data version contains both. All values are text, as given.
"""

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pandas as pd

from pipeline.core.cells import guarded_path, guarded_value, unguarded, unguarded_path
from pipeline.core.errors import NightshiftError
from pipeline.core.paths import METADATA
from pipeline.core.people_tables import OLD_ENCODINGS, TableError, read_table
from pipeline.core.text import named

KNOWN = ("path", "split", "group")  # columns with a meaning, in any case
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


def moved_rows(table: pd.DataFrame, moves: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """`table` with the rows of images under their new paths: new path -> the paths before, of which the first counts.

    A row that the new path has already stays.
    """
    known = set(table["path"])
    now: dict[str, str | None] = {}
    for path, before in moves.items():
        free = path not in known
        for old in before:
            now[old] = path if free and old in known else None
            free = free and now[old] is None
    renamed = [now.get(path, path) for path in table["path"]]
    kept = pd.Series([path is not None for path in renamed], index=table.index, dtype="bool")
    return table.assign(path=pd.array(renamed, dtype="str"))[kept].reset_index(drop=True)


def read_metadata(file: Path) -> pd.DataFrame:
    """The side table, all columns as text; without rows if the file does not exist. Raises MetadataError."""
    if not file.exists():
        return pd.DataFrame({"path": []}, dtype="str")
    try:
        # Not UTF-8: its paths are compared with the files' names, so a wrong guess does not pass unseen.
        found = read_table(file.read_bytes(), str(file), KNOWN, OLD_ENCODINGS)
    except (TableError, OSError) as error:
        raise MetadataError(f"Could not read {file}: {error} Repair it, or move it away.") from error
    if "path" not in found.columns:
        raise MetadataError(f"{file} has no column path; its columns are {named(found.columns) or 'none'}. Add it.")
    if twice := sorted({column for column in found.columns if found.columns.count(column) > 1}):
        raise MetadataError(f"{file} has several columns of the same name: {named(twice)}. Rename or delete them.")
    table = pd.DataFrame([cells for _, cells in found.rows], columns=found.columns, dtype="str")
    texts = {column: table[column].map(unguarded) for column in table.columns if column != "path"}
    return table.assign(path=table["path"].map(unguarded_path), **texts)


def as_named(table: pd.DataFrame, paths: Collection[str]) -> pd.DataFrame:
    """The table with each path as the file is named: with `/` for the `\\` of Windows, in the files' own Unicode form.

    paths: of the files. A path that leads to none of them stays as it is.
    """
    real = {_form(path): path for path in paths}
    there = set(paths)
    found = [path if path in there else _real(path, real) for path in table["path"]]
    return table.assign(path=pd.array(found, dtype="str"))


def orphans_of(side: pd.DataFrame, paths: Collection[str]) -> list[str]:
    """The paths of the table's rows that belong to none of `paths`. Raises MetadataError when most of them do not."""
    there = set(paths)
    orphans = [path for path in as_named(side, paths)["path"] if path not in there]
    if 2 * len(orphans) > len(side):
        raise MetadataError(
            f"{METADATA}: {len(orphans):,} of {len(side):,} rows belong to no image, so their groups and splits would "
            f"be lost: {named(orphans)}. Paths must be relative to {METADATA.parent}, such as {named([*paths][:1])}. "
            "Correct the column path, or delete the rows."
        )
    return orphans


def _real(path: str, real: Mapping[str, str]) -> str:
    below = path.replace("\\", "/").removeprefix("./")
    ways = (path, below, below.removeprefix("data/raw/"))
    return next((real[_form(way)] for way in ways if _form(way) in real), path)


def _form(path: str) -> str:
    return unicodedata.normalize("NFC", path)


def write_metadata(file: Path, table: pd.DataFrame) -> None:
    """Write the table as CSV to `file`; no text in it begins a spreadsheet's formula."""
    texts = {column: table[column].map(guarded_value) for column in table.columns if column != "path"}
    table.assign(path=table["path"].map(guarded_path), **texts).to_csv(file, index=False, lineterminator="\n")
