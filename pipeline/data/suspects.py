"""reports/label_issues.csv: labels that are probably wrong, and what a person has made of them. Judges no label."""

from collections.abc import Mapping
from pathlib import Path

from pipeline.core.cells import listed_path, unguarded
from pipeline.core.people_tables import OLD_ENCODINGS, read_table
from pipeline.core.text import stripped
from pipeline.data.labels import clean

CORRECTION = "correct_label"  # a person fills it in
ISSUE_COLUMNS = (
    "path", "label", "suggested", "suggested_confidence", "label_confidence", "sha256", CORRECTION,
)  # fmt: skip
_TEXTS = ("label", "suggested")


def read_suspects(file: Path) -> list[dict[str, str]]:
    """The rows as `audit` or a spreadsheet has saved them; none without the file. A missing column is empty.

    Raises TableError when it is not a table.
    """
    if not file.is_file():
        return []
    return suspects_in(file.read_bytes(), str(file))


def suspects_in(data: bytes, name: str) -> list[dict[str, str]]:
    """The rows in the bytes of such a file."""
    rows = []
    for found in read_table(data, name, ISSUE_COLUMNS, OLD_ENCODINGS).dicts:
        row = dict.fromkeys(ISSUE_COLUMNS, "") | found
        row["path"] = listed_path(row["path"])
        row |= {column: unguarded(row[column]) for column in _TEXTS}
        rows.append(row | {CORRECTION: clean(unguarded(stripped(row[CORRECTION])))})
    return rows


def corrections_of(rows: list[dict[str, str]]) -> Mapping[str, dict[str, str]]:
    """SHA-256 -> row of those that a person gave a label."""
    return {row["sha256"]: row for row in rows if row[CORRECTION] and row["sha256"]}
