"""What one pass over predictions.csv counts. Each counter gets every row once, and keeps no rows."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.core.text import named, shown
from pipeline.model.doubt import OUTLIER, REASONS
from pipeline.night.frame_counts import FramesFound
from pipeline.night.repeats import Known
from pipeline.night.rows import GONE, STATUSES, InOrder, Row, of_files
from pipeline.night.summary import Compared


class LabelsError(NightshiftError):
    """The table of known labels cannot be read."""


class Accumulator(Protocol):
    """A counter that gets each row of predictions.csv, in order."""

    def add(self, row: Row) -> None:
        """Take the next row into account."""


def feed(rows: Iterable[Row], accumulators: Iterable[Accumulator]) -> None:
    """Give every row to every accumulator."""
    all_of_them = list(accumulators)
    for row in rows:
        for one in all_of_them:
            one.add(row)


class OfFiles:
    """Gives the rows of files, and not those of their frames, to other counters."""

    def __init__(self, accumulators: Iterable[Accumulator]) -> None:
        """accumulators: these counters."""
        self._accumulators = [*accumulators]

    def add(self, row: Row) -> None:
        """Hand a row on."""
        feed(of_files([row]), self._accumulators)


@dataclass(frozen=True, slots=True)
class Counted:
    """The rows of files by status and by label. The names are those of the summary."""

    listed: int
    ok: int
    unsure: int
    unreadable: int
    reconciled: bool
    outliers: int
    flagged: int
    labels: dict[str, int]
    labels_ok: dict[str, int]  # every label of `labels` -> rows with status ok
    frames: FramesFound | None = None  # None: no file has rows of frames
    gone: int = 0  # of the unreadable, those that were gone at their turn


class Counts:
    """Counts rows, and compares them with the listing.

    `outliers` have that flag, `flagged` have one on their measures. `reconciled`: the rows are those of the listed
    paths, one each, in their order, each with a known status; the rows of a file's frames stand before its own.
    """

    def __init__(self, listed: Iterable[str]) -> None:
        """listed: the paths of the plan, in order; one is taken for each row."""
        self._order = InOrder(listed)
        self._statuses: Counter[str] = Counter()
        self._labels: Counter[str] = Counter()
        self._labels_ok: Counter[str] = Counter()
        self._outliers, self._flagged, self._gone = 0, 0, 0
        self._frames: Counter[str] = Counter()  # status -> rows
        self._of_frames, self._is_of_frames = 0, False  # files with such rows; whether the last row was one

    def add(self, row: Row) -> None:
        """Count a row."""
        if self._order.add(row["path"]):
            self._frames[row["status"]] += 1
            self._is_of_frames = True
            return
        self._of_frames += self._is_of_frames
        self._is_of_frames = False
        self._statuses[row["status"]] += 1
        self._gone += row["error"] == GONE
        if row["label"]:
            self._labels[row["label"]] += 1
            self._labels_ok[row["label"]] += row["status"] == "ok"
        flags = row["flags"].split()
        self._outliers += OUTLIER in flags
        self._flagged += any(flag not in REASONS for flag in flags)

    def found(self) -> Counted:
        """The counts after the last row. Listed paths that are left over have no row."""
        holds, files = self._order.ended(), self._order.files
        ok, unsure, unreadable = (self._statuses[status] for status in STATUSES)
        frames = None
        if self._frames:
            of_frames = (self._frames[status] for status in STATUSES)
            frames = FramesFound(**dict(zip(STATUSES, of_frames, strict=True)), files=self._of_frames, words="")
            holds = holds and self._frames.total() == frames.in_all
        reconciled = holds and files == ok + unsure + unreadable
        labels, labels_ok = (dict(sorted(counted.items())) for counted in (self._labels, self._labels_ok))
        return Counted(
            files,
            ok,
            unsure,
            unreadable,
            reconciled,
            self._outliers,
            self._flagged,
            labels,
            labels_ok,
            frames,
            self._gone,
        )


class Repeats:
    """Counts the rows that repeat an answer of an earlier run."""

    def __init__(self, known: Known) -> None:
        """known: the answers of that run."""
        self._known, self.count = known, 0

    def add(self, row: Row) -> None:
        """Count a row."""
        if row["label"] and self._known.has_earlier:
            self.count += self._known.earlier(row["sha256"]) is not None


class Truth:
    """Compares answers with the labels of images whose label is known."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        """labels: SHA-256 -> label."""
        self._labels = labels
        self._known = self._right = self._known_and_ok = self._right_and_ok = 0

    def add(self, row: Row) -> None:
        """Compare a row."""
        if not row["label"] or row["sha256"] not in self._labels:
            return
        right, sure = row["label"] == self._labels[row["sha256"]], row["status"] == "ok"
        self._known += 1
        self._right += right
        self._known_and_ok += sure
        self._right_and_ok += right and sure

    def found(self) -> Compared:
        """How many rows agree: of those known, and of those known and `ok`."""
        return Compared(
            known=self._known, right=self._right, known_and_ok=self._known_and_ok, right_and_ok=self._right_and_ok
        )


def read_labels(file: Path) -> dict[str, str]:
    """SHA-256 -> label, of a Parquet table with columns sha256 and label. Raises LabelsError.

    Rows without a label are left out.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with file.open("rb") as opened:  # of a folder, PyArrow would read every file below it
            table = parquet.read_table(opened, columns=["sha256", "label"]).to_pydict()
        pairs = [(digest, label) for digest, label in zip(table["sha256"], table["label"], strict=True) if label]
    except (OSError, pa.ArrowException, KeyError) as error:
        why = f"it has no column {error}" if isinstance(error, KeyError) else str(error).partition("\n")[0]
        raise LabelsError(f"{file} cannot be read as a Parquet table with columns sha256 and label: {why}") from error
    if odd := [pair for pair in pairs if not _is_labelled(*pair)]:
        digest, label = odd[0]
        raise LabelsError(
            f"{file}: {len(odd)} of {len(pairs)} rows are not a SHA-256 (64 hexadecimal digits) and a label in words, "
            f"the first is {shown(str(digest))}, {shown(str(label))}. `sha256sum FILE` gives an image's."
        )
    pairs = [(digest.lower(), label) for digest, label in pairs]
    labels = dict(pairs)
    if twice := next((digest for digest, label in pairs if labels[digest] != label), ""):
        raise LabelsError(f"{file} has two labels for the image with the SHA-256 {twice}. Keep one of the rows.")
    return labels


def _is_labelled(digest: object, label: object) -> bool:
    is_digest = isinstance(digest, str) and re.fullmatch(r"[0-9a-fA-F]{64}", digest) is not None
    return is_digest and isinstance(label, str) and bool(label)


def require_labels_of(class_names: Collection[str], labels: Mapping[str, str], file: Path) -> None:
    """Raise LabelsError when `labels`, of `file`, has no label that the model can give; warn of those that it cannot.

    class_names: of the model.
    """
    unknown = sorted({*labels.values()} - {*class_names})
    known = f"The model's labels are {named(sorted(class_names))}"
    if len(unknown) == len({*labels.values()}):
        has = f"the labels {named(unknown)}" if unknown else "no labels"
        raise LabelsError(f"{file} has {has}, and none of them is the model's. {known}. Is it the right table?")
    if unknown:
        log.warning("%s has labels that count as mistakes: the model cannot give %s. %s.", file, named(unknown), known)
