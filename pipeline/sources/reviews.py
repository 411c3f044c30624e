"""Read a night's review.csv, or reports/label_issues.csv, filled in by a person: judgements, and labelled images.

Copies nothing and keeps nothing. Rows without a label are skipped. A label belongs to the bytes that the person looked
at: a file that has changed since, or is gone, is left out of a night's review and said; its label is a judgement all
the same. What a review only shows, as it was judged before, is nobody's judgement again: of such a row the label
counts that data/labels.jsonl has now.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.core.cells import csv_path, listed_path
from pipeline.core.paths import JUDGEMENTS, RAW
from pipeline.core.text import counted, named, shown
from pipeline.data.judgements import Judgement, Judgements, folder_as_kept, read_judgements
from pipeline.data.label_folders import folder_of
from pipeline.data.suspects import suspects_in
from pipeline.night.input_place import input_now
from pipeline.night.review_file import read_review
from pipeline.night.review_labels import typed_in
from pipeline.night.rows import CORRECTION, JUDGED, PREDICTIONS_CSV, WHY, Row, of_files, rows_if_any
from pipeline.night.scene_files import scenes_of
from pipeline.sources.layout import Found, Item, SourceError
from pipeline.sources.project_labels import labels_in
from pipeline.sources.typed import Kind, judgement_of, kind_of
from pipeline.storage.addresses import is_address, open_remote
from pipeline.storage.files import read_json
from pipeline.storage.folders import folder_at

PIECE = 1 << 20  # bytes read at once
SHOWN = "shown"  # in the column judged of a row that is nobody's new judgement
NEEDED = ("path", "status", "sha256", WHY, CORRECTION)  # a table with these columns is a review
SUSPECTS_NEEDED = ("path", "suggested", "sha256", CORRECTION)  # and one with these is of suspected labels


@dataclass(frozen=True, slots=True)
class Corrections:
    """What a person has filled into a review."""

    items: list[Item]
    without_label: int  # rows
    judged: tuple[Judgement, ...] = ()
    left_out: str = ""  # on the images that are gone, or not those that the person looked at


def is_review(columns: Sequence[str]) -> bool:
    """Whether a table with these columns is a night's review."""
    return set(NEEDED) <= set(columns)


def is_of_suspects(columns: Sequence[str]) -> bool:
    """Whether a table with these columns is reports/label_issues.csv."""
    return set(SUSPECTS_NEEDED) <= set(columns)


def relabelled(file: Path, raw: Path = RAW) -> Corrections:
    """The images of `raw` that the table of suspected labels in `file` gives another label.

    Raises SourceError as `corrections` does.
    """
    name = shown(str(file))
    rows = suspects_in(file.read_bytes(), name)
    filled = _filled([row | {"path": csv_path(row["path"])} for row in rows], name)
    kinds = _kinds(filled, raw)
    looked = [_looked_at(row, str(raw.absolute())) for row in filled if kinds[row["path"]] == "label"]
    _refuse_lost(looked, name, str(raw))
    judged = [
        judgement_of(
            row["sha256"], row["path"], folder_as_kept(raw), row[CORRECTION], kinds[row["path"]],
            proposed=row["suggested"],
        )
        for row in filled
    ]  # fmt: skip
    return Corrections([_moved(one, raw) for one in looked], len(rows) - len(filled), tuple(filter(None, judged)))


def _moved(one: "_Looked", raw: Path) -> Item:
    """The image with its new label; its name says where it was if the new folder has another image of this name."""
    old, _, below = one.found.path.partition("/")
    label = one.row[CORRECTION]
    taken = [folder / below for folder in (raw / label, raw / folder_of(label)) if (folder / below).is_file()]
    if any(digest_at(str(file))[0] != one.digest for file in taken):
        path = PurePosixPath(below)
        below = str(path.with_name(f"{path.stem} (from {old}){path.suffix}"))
    return Item(label, named_below(below), one.found)


def corrections(file: Path, raw: Path = RAW) -> Corrections:
    """The labelled images of the review in `file`, and what a person has typed into it.

    raw: the project's images, whose labels tell a class from a word. Raises SourceError when no row has a label, the
    night's folder is unknown or missing, a path has two labels, or every file has changed since; JudgementsError.
    """
    name = shown(str(file))
    rows = read_review(file.read_bytes(), name)
    known = read_judgements(raw.parent / JUDGEMENTS.name)
    filled, folder = _filled([_as_known(row, known) for row in rows], name), _folder(file)
    kinds = _kinds(filled, raw)
    labelled = [row for row in filled if kinds[row["path"]] == "label"]
    _refuse_scenes(labelled, file, name, folder)
    looked = [_looked_at(row, folder) for row in labelled]
    if any(one.lost for one in looked):  # a spreadsheet may have lost letters of the paths: the hash knows the file
        paths = {row["sha256"]: row["path"] for row in _rows_of_night(file)}
        looked = [
            _looked_at(one.row | {"path": paths.get(one.row["sha256"], one.row["path"])}, folder) if one.lost else one
            for one in looked
        ]
    same = [one for one in looked if one.digest == one.row["sha256"]]
    if not same:
        _refuse_lost(looked, name, folder)
    items = [Item(one.row[CORRECTION], named_below(one.found.path), one.found) for one in same]
    left_out = [one.row["path"] for one in looked if one.digest != one.row["sha256"]]
    found = {one.digest: one.row["path"] for one in same}
    judged = [
        judgement_of(
            row["sha256"], found.get(row["sha256"], row["path"]), folder_as_kept(folder), row[CORRECTION],
            kinds[row["path"]], proposed=row["label"], model_version=row["model_version"],
        )
        for row in filled if row[JUDGED] != SHOWN
    ]  # fmt: skip
    words = left_out and (
        f"Left out: {counted(len(left_out), 'image')} of {shown(folder)}, gone or changed since somebody looked: "
        f"{named(left_out)}. Restore them, and `nightshift data import labels` brings them in."
    )
    return Corrections(items, len(rows) - len(filled), tuple(filter(None, judged)), words or "")


def _as_known(row: dict[str, str], known: Judgements) -> dict[str, str]:
    """The row; one that only shows what was judged has the label on which its readers agree now."""
    if typed_in(row) or not known.of(row["sha256"]):
        return row
    return row | {CORRECTION: known.label_of(row["sha256"]), JUDGED: SHOWN}


def _kinds(rows: Iterable[dict[str, str]], raw: Path) -> dict[str, Kind]:
    """By path, what a person means by the text in the column."""
    classes = labels_in(raw).folders
    return {row["path"]: kind_of(row[CORRECTION], classes) for row in rows}


def _filled(rows: Iterable[dict[str, str]], name: str) -> list[dict[str, str]]:
    """The rows with a label, each image once. Raises SourceError without any, and where an image has two labels."""
    labels: dict[str, dict[str, str]] = {}
    for row in rows:
        if row[CORRECTION] and labels.setdefault(row["path"], row)[CORRECTION] != row[CORRECTION]:
            raise SourceError(f"{name} has two labels for {shown(row['path'])}. Keep one of the rows.")
    if not labels:
        raise SourceError(
            f"{name} has no labels in the column {CORRECTION}. Write the right label there for the images "
            "to learn from; rows without one are skipped."
        )
    return list(labels.values())


def _refuse_scenes(rows: Iterable[dict[str, str]], file: Path, name: str, folder: str) -> None:
    """Raise SourceError where a scene has a label: it shows several classes, and a model learns from its tiles."""
    scenes = scenes_of(folder_at(file.parent))
    if found := [row["path"] for row in rows if row["path"] in scenes]:
        raise SourceError(
            f"{name} has a label for {counted(len(found), 'scene')}, and a model learns from tiles: {named(found)}. "
            f"Empty {CORRECTION} there, and cut scenes into tiles to label: `nightshift data tiles {shown(folder)} "
            "FOLDER`; nothing was copied."
        )


def _refuse_lost(looked: Sequence["_Looked"], name: str, folder: str) -> None:
    """Raise SourceError for files that are gone, or not those that the person looked at."""
    if missing := [one.row["path"] for one in looked if one.lost]:
        raise SourceError(
            f"{name} names {len(missing):,} files that cannot be read in {shown(folder)}: "
            f"{named(missing)}. Restore them, or empty their {CORRECTION}; nothing was copied."
        )
    if changed := [one.row["path"] for one in looked if one.digest != one.row["sha256"]]:
        raise SourceError(
            f"{len(changed):,} files of {shown(folder)} have changed since: {named(changed)}. "
            f"Their labels in {name} may be wrong. Make the table again, or empty their {CORRECTION}; "
            "nothing was copied."
        )


@dataclass(frozen=True, slots=True)
class _Looked:
    """A row of the review with its file as it is now."""

    row: dict[str, str]
    found: Found
    digest: str  # of the file; empty when it cannot be read

    @property
    def lost(self) -> bool:
        return not self.digest


def _looked_at(row: dict[str, str], folder: str) -> _Looked:
    path = listed_path(row["path"])
    place = f"{folder.rstrip('/')}/{path}"
    digest, size = digest_at(place)
    return _Looked(row, Found(path, place, size), digest)


def _rows_of_night(file: Path) -> Iterable[Row]:
    predictions = file.with_name(PREDICTIONS_CSV)
    return of_files(rows_if_any(predictions)) if predictions.is_file() else ()


def _folder(file: Path) -> str:
    """The folder or address of the images, from the summary.json beside the review."""
    summary = file.with_name("summary.json")
    try:
        said = read_json(summary)
        now = input_now(str(said["input"]), said.get("input_from_here"), folder_at(file.parent))
        folder = listed_path(now)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise SourceError(
            f"{shown(str(summary))} does not say which folder {shown(file.name)} is a review of. Keep both files in "
            "the folder that the night wrote."
        ) from None
    if not is_address(folder) and not Path(folder).is_dir():
        raise SourceError(
            f"{shown(folder)}, the folder of the images in {shown(str(file))}, does not exist. Restore it (perhaps "
            "a disk is not mounted)."
        )
    return folder


def digest_at(place: str) -> tuple[str, int]:
    """SHA-256 and size of a file; an empty hash and 0 if it cannot be read."""
    try:
        with open_remote(place) if is_address(place) else Path(place).open("rb") as stream:
            found, size = hashlib.sha256(), 0
            while piece := stream.read(PIECE):
                found.update(piece)
                size += len(piece)
            return found.hexdigest(), size
    except (OSError, ValueError):  # ValueError: a path that a person has changed into one that no file has
        return "", 0


def named_below(path: str) -> str:
    """The image's path below its label's folder, with bytes that are not UTF-8 escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
