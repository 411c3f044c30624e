"""Read a review.csv back, as the night has written it or as a spreadsheet has saved it. Judges no label."""

from collections.abc import Collection

from pipeline.core.cells import unguarded
from pipeline.core.people_tables import OLD_ENCODINGS, TableError, read_table
from pipeline.core.text import named, stripped
from pipeline.data.labels import clean
from pipeline.night.rows import COLUMNS, CORRECTION, JUDGED, NUMBERS, TEXTS, WHY

REVIEW_COLUMNS = (*COLUMNS, WHY, CORRECTION, JUDGED)


def read_review(data: bytes, name: str, encodings: Collection[str] = tuple(OLD_ENCODINGS)) -> list[dict[str, str]]:
    """The rows of a review.csv as the night or a spreadsheet has saved it; a column that is missing is empty.

    encodings: tried where the text is not Unicode.

    Raises TableError when it is not a review: without its columns for a path and a correction.
    """
    table = read_table(data, name, REVIEW_COLUMNS, encodings)
    if not {"path", CORRECTION} <= set(table.columns):
        raise TableError(
            f"{name} is not a night's review: it has no columns path and {CORRECTION}, but "
            f"{named(table.columns) or 'none'}. Restore the columns' names in its first row."
        )
    rows = []
    for found in table.dicts:
        row = dict.fromkeys(REVIEW_COLUMNS, "") | found
        row |= {column: unguarded(row[column]) for column in TEXTS}
        row |= {column: row[column].replace(",", ".") for column in NUMBERS}  # decimal commas
        rows.append(row | {CORRECTION: clean(unguarded(stripped(row[CORRECTION])))})
    return rows
