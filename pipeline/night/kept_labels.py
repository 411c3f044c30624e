"""Labels that a person has typed into a review: no later run into the same folder loses one.

Those that are in data/labels.jsonl already come from there (`review_labels`).

A label belongs to an image's bytes. Where the new run has an image with the same bytes, its row stands in the new
review, with the label. If the old file holds anything else that a person wrote, the whole of it is kept beside the new
one, as review-1.csv, review-2.csv, ...
"""

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.core.log import log
from pipeline.core.people_tables import TableError
from pipeline.night.review_file import REVIEW_COLUMNS, read_review
from pipeline.night.review_labels import REVIEW, said_by, shown_in, typed_in
from pipeline.night.rows import JUDGED, Row
from pipeline.storage.folders import Folder

KEPT = re.compile(r"review-\d+\.csv")


@dataclass(frozen=True, slots=True)
class KeptLabels:
    """What a person has typed into the review of an earlier run into the same folder."""

    labels: Mapping[tuple[str, str], str] = field(default_factory=dict)  # path and SHA-256, as in the CSV -> label
    by_content: Mapping[str, str] = field(default_factory=dict)  # SHA-256 -> label, where there is one label
    shown: frozenset[str] = frozenset()  # SHA-256 of images whose row shows what was judged: it stays in the review
    file: bytes = b""  # the review, if it holds more: own columns, or a form that only a person's program writes

    def label_of(self, row: Row) -> str:
        """The label that a person gave the image of this row; empty without one."""
        return self.labels.get((row["path"], row["sha256"]), "") or self.by_content.get(row["sha256"], "")

    def keeps(self, row: Row) -> bool:
        """Whether this row stays in the review whatever the model says of its image."""
        return bool(self.label_of(row)) or row["sha256"] in self.shown


def read_kept(output: Folder) -> KeptLabels:
    """What a person has written into the review in `output`; nothing without a review. Raises OSError, StoreError."""
    if not output.exists(REVIEW):
        return KeptLabels()
    data = output.read(REVIEW)
    if (rows := _rows(data)) is None:
        return KeptLabels(file=data)
    labels = {(row["path"], row["sha256"]): label for row in rows if (label := typed_in(row))}
    found: dict[str, set[str]] = defaultdict(set)
    for (_, digest), label in labels.items():
        found[digest].add(label)
    single = {digest: label for digest, (label, *others) in found.items() if digest and not others}
    own = any(row[column] for row in rows for column in row.keys() - {*REVIEW_COLUMNS})
    own |= any(said_by(row[JUDGED]) is None for row in rows)
    twice = sum(bool(typed_in(row)) for row in rows) > len(labels)
    shown = frozenset(row["sha256"] for row in rows if row["sha256"] and shown_in(row))
    return KeptLabels(labels, single, shown, data if own or twice else b"")


def _rows(data: bytes) -> list[dict[str, str]] | None:
    """The rows of a review in a form that leaves no doubt; None for any other file."""
    try:
        rows = read_review(data, REVIEW, encodings=())
    except TableError:
        return None
    return rows if all(row["sha256"] or row["status"] == "unreadable" for row in rows) else None


def keep_file(output: Folder, kept: KeptLabels, rows: Iterable[Row]) -> None:
    """Keep the whole review in `output` beside the new one, unless its labels all stand in `rows`, the new one's."""
    carried = {(row["sha256"] or row["path"], kept.label_of(row)) for row in rows}
    lost = [path for (path, digest), label in kept.labels.items() if (digest or path, label) not in carried]
    if not lost and not kept.file:
        return
    data = output.read(REVIEW)
    names = [*kept_names(output)]
    if any(output.read(name) == data for name in names):  # a run that was interrupted here has done it
        return
    name = next(name for number in itertools.count(1) if (name := f"review-{number}.csv") not in names)
    output.write(name, data)
    log.warning(
        "%s holds what a person wrote and this night's review does not have (%s): it is kept as %s. To learn from its "
        "labels: `nightshift data import %s`.",
        output / REVIEW, f"labels of {len(lost)} images" if lost else "more than labels", name, output / name,
    )  # fmt: skip


def kept_names(output: Folder) -> list[str]:
    """The names of the earlier reviews that are kept in `output`."""
    return sorted(name for name in output.names() if KEPT.fullmatch(name))


def labelled(folder: Path) -> Iterator[tuple[Path, list[dict[str, str]] | None]]:
    """Each review in a night's folder, and its rows with a label that a person has typed; None: in no form we know."""
    for file in sorted(file for file in folder.glob("review*.csv") if file.name == REVIEW or KEPT.fullmatch(file.name)):
        rows = _rows(file.read_bytes())
        yield file, None if rows is None else [row for row in rows if typed_in(row)]
