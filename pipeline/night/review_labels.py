"""What people have judged, shown in a night's review.csv: the columns correct_label and judged. Judges nothing.

data/labels.jsonl is the one place of judgements, and the review a view of it. `judged` has what each reader said;
correct_label has it where all of them agree, and is empty where they differ. A correct_label that does not follow from
`judged` was typed by a person and is in no ledger yet: it stays as it is until it is imported.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from pipeline.core.cells import guarded, unguarded
from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.core.paths import PREDICTIONS
from pipeline.core.people_tables import TableError, with_cells
from pipeline.core.text import stripped
from pipeline.data.judgements import Judgement, Judgements, read_judgements
from pipeline.data.labels import clean, sameness
from pipeline.night.review_file import REVIEW_COLUMNS
from pipeline.night.rows import CORRECTION, JUDGED, Row
from pipeline.storage.folders import Folder, folder_at

REVIEW = "review.csv"  # beside predictions.csv
REJECT, CANNOT_TELL = "reject", "cannot tell"  # in a cell, instead of a label


def known_judgements() -> Judgements:
    """This project's judgements; none, with a line in the log, where they cannot be read: a night is worth more."""
    try:
        return read_judgements()
    except (NightshiftError, OSError) as error:
        log.warning("The review does not show what was judged before: %s", error)
        return Judgements()


def said_in(judgement: Judgement) -> str:
    """What a reader said, as the text of a cell."""
    return judgement.label or (REJECT if judgement.reject else CANNOT_TELL)


def judged_cell(judgements: Judgements, sha256: str) -> str:
    """Each reader of an image with what they said, the latest last, as a JSON object; empty without any."""
    told = {one.reader: said_in(one) for one in judgements.of(sha256)} if sha256 else {}
    return json.dumps(told, ensure_ascii=False) if told else ""


def said_by(judged: str) -> dict[str, str] | None:
    """Reader -> what they say, of a cell `judged`; None: a person wrote into it."""
    try:
        said = json.loads(judged or "{}")
    except ValueError:
        return None
    return said if isinstance(said, dict) and all(isinstance(text, str) for text in said.values()) else None


def agreed_in(judged: str) -> str:
    """What all readers of a cell `judged` say, but for those who cannot tell; empty where they differ."""
    every = [*(said_by(judged) or {}).values()]
    told = [text for text in every if text != CANNOT_TELL] or every
    return told[-1] if len({*map(sameness, told)}) == 1 else ""


def typed_in(row: Row) -> str:
    """The label that a person has typed into a row, and nobody has imported; empty where it has none, or shows one."""
    label = clean(row[CORRECTION])
    return "" if label == clean(agreed_in(row.get(JUDGED, ""))) else label


def shown_in(row: Row) -> str:
    """The label that a row shows as one that is known; empty where a person has typed another, or none is known."""
    return "" if typed_in(row) else clean(row[CORRECTION])


def show_known(night: Folder, judgements: Judgements) -> bool:
    """Bring the review.csv of a night up to date; returns whether that changed it.

    Nothing but the columns correct_label and judged changes, and no label that a person has typed; the file stays in
    the form in which a spreadsheet has saved it. One that is not a table is left alone. Raises OSError, StoreError.
    """
    if not night.exists(REVIEW):
        return False
    data = night.read(REVIEW)

    def cells_of(row: Mapping[str, str]) -> dict[str, str]:
        judged = judged_cell(judgements, row.get("sha256", ""))
        now = {column: cell for column, cell in {JUDGED: judged}.items() if cell or column in row}
        ours = {CORRECTION: clean(unguarded(stripped(row.get(CORRECTION, "")))), JUDGED: row.get(JUDGED, "")}
        if not typed_in(ours) and ours[CORRECTION] != (answer := agreed_in(judged)):
            now[CORRECTION] = guarded(answer)
        return now

    try:
        after = with_cells(data, str(night / REVIEW), REVIEW_COLUMNS, cells_of)
    except TableError as error:
        log.warning("%s does not show what was judged: %s", night / REVIEW, error)
        return False
    if after == data:
        return False
    night.write(REVIEW, after)
    return True


def show_known_in_all(predictions: Path = PREDICTIONS) -> None:
    """`show_known` for each night in `predictions`, where this project has judgements."""
    judgements = known_judgements()
    for review in sorted(predictions.glob(f"*/{REVIEW}")) if judgements.by_image else ():
        try:
            show_known(folder_at(review.parent), judgements)
        except OSError as error:
            log.warning("%s does not show what was judged: %s", review, error)
